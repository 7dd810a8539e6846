"""Corrections of chosen atoms. Source: residuals that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.testing import TorchModelSuite
from tests.helpers import few_atoms


@pytest.fixture(scope="module")
def planted() -> oh.Frames:
    return few_atoms.labelled(few_atoms.attraction(), 150)


@pytest.fixture(scope="module")
def local(planted):
    return oh.correction.train_local(
        few_atoms.base(), planted, [0, 3, 4], others="fixed", lams=(1e-6, 1e-3), perms=None, progress=False
    )


class TestLocalInMolecule(TorchModelSuite):
    @pytest.fixture
    def model(self, local):
        return local.in_molecule()

    @pytest.fixture
    def positions(self, planted):
        return planted.positions[:4]


def test_a_residual_between_chosen_atoms_has_no_net_force(local):
    assert local.report["internal_share"] == pytest.approx(1.0, abs=1e-9)
    assert local.report["after"] < 0.1 * local.report["before"]
    assert "100.0%" in local.summary()


def test_a_force_of_other_atoms_is_a_net_force_unless_they_relax(planted):
    # PAIR is 0-4: among 2, 3 and 4 its force on 4 is a net force.
    fixed = oh.correction.train_local(
        few_atoms.base(), planted, [2, 3, 4], others="fixed", lams=(1e-2,), perms=None, progress=False
    )
    assert fixed.report["internal_share"] < 0.6
    relaxed = oh.correction.train_local(few_atoms.base(), planted, [2, 3, 4], lams=(1e-2,), perms=None, progress=False)
    assert relaxed.report["internal_share"] == pytest.approx(1.0, abs=1e-9)


def test_smarts_and_a_teacher_in_the_place_of_labels():
    molecule = oh.Molecule.from_smiles("CO", name="methanol")
    shifts = np.random.default_rng(0).normal(scale=0.05, size=(30, 6, 3))
    positions = molecule.positions + shifts
    field = few_atoms.Builder(molecule.atomic_numbers, molecule.bonds)
    field.add("bonds", few_atoms.Harmonic("distance"), {(0, 1): [400.0, 1.4]})
    teacher = few_atoms.Builder(molecule.atomic_numbers, molecule.bonds)
    teacher.add("bonds", few_atoms.Harmonic("distance"), {(0, 1): [700.0, 1.45]})
    found = oh.correction.train_local(
        oh.ForceField(field.finish()),
        oh.Frames(molecule.atomic_numbers, positions),
        "[#6][#8]",
        molecule=molecule,
        reference=few_atoms.Teacher(oh.ForceField(teacher.finish())),
        others="fixed",
        lams=(1e-6,),
        progress=False,
    )
    assert found.atoms.tolist() == [0, 1]
    assert found.report["after"] < 0.05 * found.report["before"]


def test_refuses_atoms_that_are_none(planted):
    for atoms, match in (
        ([0, 0, 1], "different ones"),
        ([0, 17], "different ones"),
        ([], "shape"),
        ([0.5, 1.0], "float64"),
        ("[#6]", "needs a molecule"),
    ):
        with pytest.raises(InputError, match=match):
            oh.correction.train_local(few_atoms.base(), planted, atoms, progress=False)
    with pytest.raises(InputError, match="others = 'go'"):
        oh.correction.train_local(few_atoms.base(), planted, [0, 1], others="go", progress=False)
