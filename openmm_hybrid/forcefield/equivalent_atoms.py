"""Whether a force field tells atoms apart that elements and bonds do not tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.data.identity import Identity
from openmm_hybrid.forcefield.model import ForceField

if TYPE_CHECKING:
    from rdkit import Chem

_MOST = 500  # exchanges of atoms that are tried
_DIFFERENCE = 1e-3  # kcal/mol; far above rounding errors
_ELEMENTS = (9, 9, 6, 6, 6, 16, 16)  # atomic number by the number of bonds


def atoms_told_apart(forcefield: ForceField) -> tuple[int, ...]:
    """Atoms that an exchange of equivalent atoms moves where it changes the energy; none for a symmetric force field.

    Equivalent atoms have the same place in the graph of elements and bonds, such as the hydrogens of a methyl group. A
    force field tells them apart if they have other parameters, or if the order of the atoms of an improper dihedral
    counts, as in AMBER. The energies are compared at two distorted geometries, for the first 500 exchanges.

    Returns
    -------
    tuple of int
        Indices of the atoms that the first such exchange moves.
    """
    graph = Identity.of("the force field", forcefield.atomic_numbers, forcefield.bonds.tolist()).graph()
    orders = np.array(graph.GetSubstructMatches(graph, uniquify=False, maxMatches=_MOST), dtype=np.int64)
    if len(orders) < 2:
        return ()
    for positions in _shapes(graph):
        energies, _ = forcefield.predict(positions[orders])
        (different,) = np.nonzero(np.abs(energies - energies[0]) > _DIFFERENCE)
        if len(different):
            order = orders[different[0]]
            return tuple(np.flatnonzero(order != orders[0]).tolist())
    return ()


def _shapes(graph: Chem.Mol) -> Iterator[NDArray[np.float64]]:
    """Positions (n_atoms, 3) in Å of distorted geometries, as all bonds count as single bonds."""
    from rdkit import Chem
    from rdkit.Chem import rdDistGeom

    shape = Chem.RWMol(graph)
    for atom in shape.GetAtoms():
        if atom.GetAtomicNum() > 1:  # elements that RDKit allows this many single bonds
            atom.SetAtomicNum(_ELEMENTS[min(atom.GetDegree(), len(_ELEMENTS) - 1)])
    Chem.SanitizeMol(shape)
    for seed in (1, 2):
        place = rdDistGeom.EmbedMolecule(shape, randomSeed=seed, useRandomCoords=True)
        if place >= 0:
            yield shape.GetConformer(place).GetPositions()
