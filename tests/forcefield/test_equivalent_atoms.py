"""Whether a force field tells equivalent atoms apart: symmetric ones do not; charges and AMBER's impropers may."""

from __future__ import annotations

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.forcefield.equivalent_atoms import atoms_told_apart


def built(smiles: str, charges: list[float] | None = None) -> oh.ForceField:
    """GAFF with charges, or with equal ones."""
    molecule = oh.Molecule.from_smiles(smiles)
    given = [molecule.charge / molecule.n_atoms] * molecule.n_atoms if charges is None else charges
    made = oh.gaff.build(molecule, charges=np.array(given), progress=False)
    return oh.ForceField.from_system(made.system, made.topology)


@pytest.mark.parametrize("name", ["ethanol-cross", "aspirin-gaff", "malonaldehyde-cross"])
def test_shipped_force_fields_are_symmetric(name: str) -> None:
    assert atoms_told_apart(oh.ForceField.load(name)) == ()


@pytest.mark.parametrize("smiles", ["C[N+](C)(C)C", "OO", "C#CC", "C1CC1", "CS(=O)(=O)C"])
def test_gaff_without_impropers_is_symmetric(smiles: str) -> None:
    assert atoms_told_apart(built(smiles)) == ()


def test_charges_tell_two_hydrogens_apart() -> None:
    """The hydrogens of the hydroxyl group and the methylene group have charges of their own."""
    found = built("CO", [0.10, -0.60, 0.03, 0.03, 0.04, 0.40])
    assert set(atoms_told_apart(found)) <= {2, 3, 4}
    assert 4 in atoms_told_apart(found)


def test_the_order_of_impropers_counts_in_a_ring() -> None:
    assert atoms_told_apart(built("c1ccccc1"))
