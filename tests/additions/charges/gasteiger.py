"""Gasteiger charges by RDKit (Gasteiger and Marsili, Tetrahedron 36, 3219 (1980)), equal on equivalent atoms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.data.molecule import Molecule


def gasteiger_charges(molecule: Molecule, *, progress: bool = True) -> NDArray[np.float64]:
    """Charges (n_atoms,), e."""
    from rdkit.Chem import AllChem

    mol = molecule.to_rdkit()
    AllChem.ComputeGasteigerCharges(mol)
    raw = np.array([atom.GetDoubleProp("_GasteigerCharge") for atom in mol.GetAtoms()])
    _, row = np.unique(molecule.symmetry_classes, return_inverse=True)
    charges = (np.bincount(row, raw) / np.bincount(row))[row]
    return charges + (molecule.charge - charges.sum()) / len(charges)
