"""AM1-BCC charges by antechamber and sqm, on a geometry relaxed with MMFF94 or UFF."""

from __future__ import annotations

import tempfile
import warnings
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
_UNRELAXED = ("-ek", "qm_theory='AM1', maxcyc=0, scfconv=1.d-10, ndiis_attempts=700,")
"""antechamber's options for sqm without a relaxation; all but maxcyc are its defaults."""


def am1bcc_charges(molecule: Molecule, *, progress: bool = True) -> NDArray[np.float64]:
    """AM1-BCC charges (n_atoms,) in e, equal on equivalent atoms, summing to the net charge.

    Jakalian, Jack, Bayly, J. Comput. Chem. 23, 1623 (2002). The first conformer is relaxed with MMFF94 (with UFF if
    MMFF94 lacks a type), then by sqm with AM1; the other conformers are not used. Where sqm's relaxation would break a
    bond, the charges are those of the geometry before it.

    Raises
    ------
    MissingDependencyError
        AmberTools, or a library that sqm needs, is not installed.
    InputError
        An element without GAFF parameters.
    NumericalError
        sqm or antechamber failed.

    Warns
    -----
    UserWarning
        sqm's relaxation broke a bond, as in zwitterions whose proton moves from the cation to the anion.
    """
    check_gaff_elements(molecule)
    relaxed = _relaxed(molecule)
    with (
        progress_bar(1, f"AM1-BCC of {molecule.name}", "molecules", enabled=progress) as advance,
        tempfile.TemporaryDirectory(prefix="am1-bcc-") as name,
    ):
        raw, positions = _antechamber(molecule, relaxed, Path(name))
        broken = _broken_bond(molecule, relaxed.GetConformer().GetPositions(), positions)
        if broken is not None:
            i, j = broken
            warnings.warn(
                f"sqm's AM1 relaxation broke the bond between atoms {i} ({molecule.elements[i]}) and {j} "
                f"({molecule.elements[j]}) of {molecule.name}; its AM1-BCC charges are those of the geometry before "
                'the relaxation. Compare them with charges="resp"',
                stacklevel=2,
            )
            raw, _ = _antechamber(molecule, relaxed, Path(name), options=_UNRELAXED)
        advance(1)
    return symmetrized(raw, molecule)


def _antechamber(
    molecule: Molecule, relaxed: Chem.Mol, folder: Path, options: tuple[str, ...] = ()
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Charges (n_atoms,) in e, and positions (n_atoms, 3) in Å after sqm's relaxation."""
    from rdkit import Chem

    Chem.MolToMolFile(relaxed, str(folder / "in.sdf"))
    arguments = ["-i", "in.sdf", "-fi", "mdl", "-o", "out.mol2", "-fo", "mol2", "-c", "bcc", *options]
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
    return charges, positions


def _pdb_positions(path: Path) -> NDArray[np.float64]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(("ATOM", "HETATM"))]
    return np.array([[float(line[start : start + 8]) for start in (30, 38, 46)] for line in lines])


def _broken_bond(molecule: Molecule, before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[int, int] | None:
    """The bond that was stretched most, if it was broken."""
    first, second = molecule.bonds.T
    stretch = np.linalg.norm(after[first] - after[second], axis=1) / np.linalg.norm(
        before[first] - before[second], axis=1
    )
    if stretch.max(initial=0.0) <= _BROKEN:
        return None
    i, j = molecule.bonds[int(stretch.argmax())].tolist()
    return i, j


def _relaxed(molecule: Molecule) -> Chem.Mol:
    from rdkit.Chem import rdForceFieldHelpers

    mol = molecule.with_conformers(molecule.positions).to_rdkit()
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=2000)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.UFFOptimizeMolecule(mol, maxIters=2000)
    return mol
