"""AM1-BCC charges by antechamber and sqm, on a geometry relaxed with MMFF94 or UFF."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.charges.equivalent import symmetrized
from openmm_hybrid.core.ambertools import mol2_atoms, run_program
from openmm_hybrid.core.errors import HybridError, MissingDependencyError, NumericalError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.data.elements import check_gaff_elements
from openmm_hybrid.data.molecule import Molecule

if TYPE_CHECKING:
    from rdkit import Chem

_BROKEN = 1.5
"""Length of a broken bond, relative to its length before the relaxation."""


def am1bcc_charges(molecule: Molecule, *, progress: bool = True) -> NDArray[np.float64]:
    """AM1-BCC charges (n_atoms,) in e, equal on equivalent atoms, summing to the net charge.

    Jakalian, Jack, Bayly, J. Comput. Chem. 23, 1623 (2002). The first conformer is relaxed with MMFF94 (with UFF if
    MMFF94 lacks a type), then by sqm with AM1; the other conformers are not used.

    Raises
    ------
    MissingDependencyError
        AmberTools, or a library that sqm needs, is not installed.
    InputError
        An element without GAFF parameters.
    NumericalError
        sqm or antechamber failed, or sqm's relaxation broke a bond. In some zwitterions a proton moves from cation to
        anion.
    """
    check_gaff_elements(molecule)
    with (
        progress_bar(1, f"AM1-BCC of {molecule.name}", "molecules", enabled=progress) as advance,
        tempfile.TemporaryDirectory(prefix="am1-bcc-") as name,
    ):
        raw = _antechamber(molecule, Path(name))
        advance(1)
    return symmetrized(raw, molecule)


def _antechamber(molecule: Molecule, folder: Path) -> NDArray[np.float64]:
    from rdkit import Chem

    relaxed = _relaxed(molecule)
    Chem.MolToMolFile(relaxed, str(folder / "in.sdf"))
    arguments = ["-i", "in.sdf", "-fi", "mdl", "-o", "out.mol2", "-fo", "mol2", "-c", "bcc"]
    arguments += ["-nc", str(molecule.charge), "-at", "sybyl", "-j", "5", "-dr", "no", "-seq", "no"]
    try:
        run_program("antechamber", arguments, folder)
        charges = np.array([float(words[8]) for words in mol2_atoms(folder / "out.mol2")])
        positions = _pdb_positions(folder / "sqm.pdb")
    except MissingDependencyError:
        raise
    except (HybridError, OSError, ValueError, IndexError) as error:
        raise NumericalError(
            f"AM1-BCC charges of {molecule.name} failed: {error}",
            hint='check its geometry and formal charges, or use charges="resp"',
        ) from error
    if charges.shape != (molecule.n_atoms,):
        raise NumericalError(f"antechamber returned {len(charges)} charges for the {molecule.n_atoms} atoms")
    _check_bonds(molecule, relaxed.GetConformer().GetPositions(), positions)
    return charges


def _pdb_positions(path: Path) -> NDArray[np.float64]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(("ATOM", "HETATM"))]
    return np.array([[float(line[start : start + 8]) for start in (30, 38, 46)] for line in lines])


def _check_bonds(molecule: Molecule, before: NDArray[np.float64], after: NDArray[np.float64]) -> None:
    first, second = molecule.bonds.T
    stretch = np.linalg.norm(after[first] - after[second], axis=1) / np.linalg.norm(
        before[first] - before[second], axis=1
    )
    if stretch.max(initial=0.0) > _BROKEN:
        i, j = molecule.bonds[int(stretch.argmax())]
        raise NumericalError(
            f"AM1-BCC charges of {molecule.name} failed: sqm's relaxation broke the bond between atoms {i} "
            f"({molecule.elements[i]}) and {j} ({molecule.elements[j]})",
            hint='use charges="nagl" or "resp", which do not relax the geometry',
        )


def _relaxed(molecule: Molecule) -> Chem.Mol:
    from rdkit.Chem import rdForceFieldHelpers

    mol = molecule.with_conformers(molecule.positions).to_rdkit()
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=2000)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.UFFOptimizeMolecule(mol, maxIters=2000)
    return mol
