"""The elements that GAFF and AM1-BCC have parameters for."""

from __future__ import annotations

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.molecule import Molecule

GAFF_ELEMENTS = (1, 6, 7, 8, 9, 15, 16, 17, 35, 53)
"""Atomic numbers for which GAFF has parameters: H C N O F P S Cl Br I."""


def check_gaff_elements(molecule: Molecule) -> None:
    """Refuse molecules that GAFF does not cover.

    Raises
    ------
    InputError
        A metal or another element without GAFF parameters (the message names the atoms), or a single atom.
    """
    if molecule.n_atoms == 1 and molecule.charge:
        raise InputError(
            f"{molecule.name} is an ion of a single atom, which GAFF does not describe",
            hint="build the molecule; `solvate` adds ions, with OpenMM's own parameters",
        )
    strange = [index for index, number in enumerate(molecule.atomic_numbers) if number not in GAFF_ELEMENTS]
    if strange:
        named = ", ".join(f"{index} ({molecule.elements[index]})" for index in strange)
        raise InputError(
            f"{molecule.name}: GAFF has no parameters for atom {named}",
            expected="the elements H C N O F P S Cl Br I",
            hint="leave the atom out, or give a prmtop made with parameters for it (gaff.from_prmtop)",
        )
    if molecule.n_atoms < 2:
        raise InputError(
            f"{molecule.name} is a single atom, which GAFF does not describe",
            hint="use the ions of OpenMM's own force-field files",
        )
