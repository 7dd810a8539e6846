"""Molecules whose isomer, geometry or charges have to be guessed, as functions that try them.

See `tests.faults.outcomes` for names and outcomes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from openmm_hybrid import Molecule, gaff
from tests.faults.outcomes import attempt


def am1bcc(smiles: str) -> str:
    """Charges of a zwitterion: the ammonium group keeps its charge, with a warning where its proton moves.

    RHF/6-31G* (RESP) gives 0.4 to 0.6 e to N and its hydrogens; after the move AM1-BCC has 0.06 e.
    """

    def charge(_: object) -> float:
        molecule = Molecule.from_smiles(smiles)
        charges = gaff.assign_charges(molecule, "am1-bcc", progress=False)
        group = {n for match in molecule.find("[NX4+]") for n in (match[0], *molecule.neighbours[match[0]])}
        kept = sum(charges[n] for n in group if molecule.elements[n] in "NH")
        if not 0.3 < kept < 0.8:
            raise ValueError(f"the ammonium group has {kept:.2f} e")
        return float(kept)

    return attempt(charge, lambda kept: True)


def isomer(smiles: str, n_conformers: int = 6, seed: int = 0) -> str:
    """All conformers are of one isomer, whose configuration the SMILES of the molecule has where it matters."""

    def made(_: object) -> set[str]:
        molecule = Molecule.from_smiles(smiles, n_conformers=n_conformers, seed=seed)
        found = set()
        for conformer in molecule.conformers:
            shape = molecule.with_conformers(conformer).to_rdkit()
            Chem.AssignStereochemistryFrom3D(shape, replaceExistingTags=True)
            found.add(Chem.MolToSmiles(Chem.RemoveHs(shape)))
        if molecule.smiles not in found and not molecule.find("[#7;H1]"):
            raise ValueError(f"{found} was made of {molecule.smiles}")
        return found

    return attempt(made, lambda found: len(found) == 1)


def angles(smiles: str, centre: str, expected: set[int], *, tblite: bool = True) -> str:
    """The angles at an atom, rounded to 15°, in experimental structures: octahedra, bipyramids, a seesaw."""

    def found(_: object) -> set[int]:
        with nullcontext() if tblite else mock.patch.dict(sys.modules, {"tblite.ase": None}):
            molecule = Molecule.from_smiles(smiles)
        (apex,) = (atom for atom, element in enumerate(molecule.elements) if element == centre)
        bonds = molecule.positions[list(molecule.neighbours[apex])] - molecule.positions[apex]
        units = bonds / np.linalg.norm(bonds, axis=1)[:, None]
        cosines = (units @ units.T)[np.triu_indices(len(units), 1)]
        return {int(15 * round(angle / 15)) for angle in np.degrees(np.arccos(cosines.clip(-1, 1)))}

    return attempt(found, lambda values: values == expected)


def labelling(smiles: str, *atoms: int) -> str:
    """The side of the first of two equivalent atoms is the same for 8 seeds: the sign of a tetrahedron, or cis."""

    def sides(_: object) -> set[bool]:
        found = set()
        for seed in range(8):
            a, b, c, d = Molecule.from_smiles(smiles, seed=seed).positions[list(atoms)]
            triple = np.linalg.det([b - a, c - a, d - a])
            found.add(bool(triple > 0) if abs(triple) > 1.0 else bool(np.linalg.norm(a - d) < 3.0))
        return found

    return attempt(sides, lambda found: len(found) == 1)


def conformer(smiles: str, change: Callable[[Molecule], NDArray[np.float64]], says: str = "(?!)") -> str:
    """A conformer in other units, of another isomer or in another order of atoms."""
    return attempt(
        lambda _: Molecule.from_smiles(smiles).with_conformers(change(Molecule.from_smiles(smiles))), says=says
    )


CASES: dict[str, Callable[[], str]] = {
    "4 AM1-BCC of Gly-Gly": partial(am1bcc, "[NH3+]CC(=O)NCC(=O)[O-]"),
    "4 AM1-BCC of beta-alanine": partial(am1bcc, "[NH3+]CCC(=O)[O-]"),
    "4 AM1-BCC of GABA": partial(am1bcc, "[NH3+]CCCC(=O)[O-]"),
    "4 AM1-BCC of glycine": partial(am1bcc, "[NH3+]CC(=O)[O-]"),
    "5 difluoroethene, E or Z": partial(isomer, "FC=CF"),
    "5 difluoroethene, one conformer": partial(isomer, "FC=CF", 1, 3),
    "5 difluoroethene, Z": partial(isomer, r"F/C=C\F"),
    "5 dimethylcyclohexane, cis or trans": partial(isomer, "CC1CCC(C)CC1"),
    "5 acetaldoxime, E or Z": partial(isomer, "CC=NO"),
    "5 threonine with one of two centres": partial(isomer, "C[C@@H](O)C(N)C(=O)O"),
    "5 azobenzene, E or Z": partial(isomer, "c1ccccc1N=Nc1ccccc1"),
    "5 one centre": partial(isomer, "CC(F)Cl"),
    "5 one centre and an ammonium": partial(isomer, "C[NH+]1CCCC1c1cccnc1"),
    "5 amidine": partial(isomer, "CC(=N)N"),
    "7 hexafluorophosphate": partial(angles, "F[P-](F)(F)(F)(F)F", "P", {90, 180}),
    "7 sulfur hexafluoride": partial(angles, "FS(F)(F)(F)(F)F", "S", {90, 180}),
    "7 phosphorus pentafluoride": partial(angles, "FP(F)(F)(F)F", "P", {90, 120, 180}),
    "7 iodine pentafluoride": partial(angles, "FI(F)(F)(F)F", "I", {75, 90, 165}),
    "7 hexafluorophosphate without tblite": partial(angles, "F[P-](F)(F)(F)(F)F", "P", {90, 180}, tblite=False),
    "7 phosphorus pentachloride without tblite": partial(
        angles, "ClP(Cl)(Cl)(Cl)Cl", "P", {90, 120, 180}, tblite=False
    ),
    "29 conformer in bohr": partial(conformer, "CCO", lambda made: made.positions / 0.529177, "bohr; expected Å"),
    "29 conformer in another order of atoms": partial(
        conformer, "CCO", lambda made: made.positions[[0, 2, 1, 3, 4, 5, 6, 7, 8]]
    ),
    "29 conformer of the other enantiomer": partial(
        conformer, "C[C@H](F)Cl", lambda made: made.positions * [1, 1, -1], "configuration at atom 1"
    ),
    "29 conformer of Z for E": partial(
        conformer,
        "F/C=C/F",
        lambda made: Molecule.from_smiles(r"F/C=C\F").positions,
        "configuration at the bond 1-2",
    ),
    "29 SMILES with deuterium": lambda: attempt(lambda _: Molecule.from_smiles("[2H]C")),
    "29 SMILES with a dummy atom": lambda: attempt(lambda _: Molecule.from_smiles("*C"), says="atom 0 is a dummy"),
    "29 SMILES and a name": lambda: attempt(lambda _: Molecule.from_smiles("CCO |name|"), says="no blank"),
    "29 labels of the hydrogens of ethanol": partial(labelling, "CCO", 0, 2, 6, 7),
    "29 labels of the hydrogens of acrolein": partial(labelling, "C=CC=O", 4, 0, 1, 2),
}
"""Name → function that tries it."""
