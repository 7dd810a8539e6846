"""Corrections: their atoms in a molecule, their gate, and their files. Source: models with known energies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.correction import Correction, Gated
from openmm_hybrid.sgdml import SGDMLModel
from tests.helpers import few_atoms
from tests.helpers.morse import PairMorse

NUMBERS = np.array([6, 8, 1, 1, 1])
CHOSEN = np.array([4, 1, 0])


@pytest.fixture(scope="module")
def training() -> oh.Frames:
    return few_atoms.labelled(few_atoms.attraction(), 60)


@pytest.fixture(scope="module")
def local(training: oh.Frames) -> Correction:
    return oh.correction.train_local(few_atoms.base(), training, [0, 3, 4], lams=(1e-3,), perms=None, progress=False)


def test_particles_of_all_atoms() -> None:
    whole = Correction(PairMorse(tuple(NUMBERS)))
    copies = np.arange(30, 40).reshape(2, 5)
    np.testing.assert_array_equal(whole.on(copies), copies)
    np.testing.assert_array_equal(whole.on(range(5)), np.arange(5))
    with pytest.raises(MismatchError, match="4 atoms were given; expected the 5 of the correction's whole molecule"):
        whole.on(range(4))


def test_particles_of_some_atoms() -> None:
    some = Correction(PairMorse((1, 8, 6)), CHOSEN, NUMBERS)
    np.testing.assert_array_equal(some.on(range(10, 15)), [14, 11, 10])
    np.testing.assert_array_equal(some.on(np.arange(10).reshape(2, 5)), [[4, 1, 0], [9, 6, 5]])
    for n_atoms in (3, 6):
        with pytest.raises(MismatchError, match=f"{n_atoms} atoms were given"):
            some.on(range(n_atoms))


def test_refuses_atoms_that_are_not_the_models() -> None:
    with pytest.raises(MismatchError, match="atom 2 has atomic number 1"):
        Correction(PairMorse((1, 8, 6)), np.array([4, 1, 2]), NUMBERS)
    with pytest.raises(MismatchError, match="atoms="):
        Correction(PairMorse((1, 8, 6)), atomic_numbers=NUMBERS)
    with pytest.raises(InputError, match="without their molecule"):
        Correction(PairMorse((1, 8, 6)), np.array([4, 1, 0]))
    with pytest.raises(InputError, match="JSON"):
        Correction(PairMorse((1, 8, 6)), report={"model": object()})


def test_in_the_molecule_it_acts_on_its_atoms_alone(local: Correction, training: oh.Frames) -> None:
    energies, forces = local.in_molecule().predict(training.positions[:3])
    expected, on_chosen = local.model.predict(training.positions[:3][:, local.atoms])
    np.testing.assert_allclose(energies, expected)
    np.testing.assert_allclose(forces[:, local.atoms], on_chosen)
    assert not forces[:, [1, 2, 5]].any()


def test_a_gate_comes_from_frames_of_the_molecule(local: Correction, training: oh.Frames) -> None:
    gated = local.gated(training, lower=2.0, upper=3.0)
    assert isinstance(gated.model, Gated)
    assert (gated.model.lower, gated.model.upper) == (2.0, 3.0)
    assert gated.recipe == local.recipe
    energies = gated.in_molecule().predict(training.positions)[0]
    inside = gated.model.factors(training.positions[:, local.atoms]) == 1.0
    difference = local.in_molecule().predict(training.positions)[0][inside] - energies[inside]
    np.testing.assert_allclose(difference, local.in_molecule().predict(training.positions)[0].mean(), atol=1e-8)
    with pytest.raises(MismatchError, match="Gated has no gate"):
        gated.gated(training)
    with pytest.raises(MismatchError, match="other atoms"):
        local.gated(oh.Frames(NUMBERS, np.zeros((1, 5, 3))))


@pytest.mark.parametrize("gate", [False, True])
def test_a_file_brings_it_back(local: Correction, training: oh.Frames, gate: bool, tmp_path: Path) -> None:
    correction = local.gated(training) if gate else local
    loaded = oh.load(correction.save(tmp_path / "local.npz"))
    assert isinstance(loaded, Correction)
    np.testing.assert_array_equal(loaded.atoms, local.atoms)
    np.testing.assert_array_equal(loaded.atomic_numbers, few_atoms.NUMBERS)
    assert (loaded.recipe, loaded.report) == ("train_local", local.report)
    assert loaded.summary() == correction.summary()
    for got, expected in zip(
        loaded.in_molecule().predict(training.positions),
        correction.in_molecule().predict(training.positions),
        strict=True,
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-10)


def test_a_plain_model_is_a_correction_of_all_its_atoms(local: Correction, tmp_path: Path) -> None:
    for model in (local.model, few_atoms.base()):
        loaded = oh.correction.load(model.save(tmp_path / "model.npz"))
        assert loaded.atoms is None
        assert type(loaded.model) is type(model)
        np.testing.assert_array_equal(loaded.atomic_numbers, model.atomic_numbers)
    assert isinstance(oh.correction.load("ethanol-rotors").model, oh.ForceField)


def test_damaged_and_foreign_files_are_refused(local: Correction, training: oh.Frames, tmp_path: Path) -> None:
    path = local.gated(training).save(tmp_path / "gated.npz")
    content = path.read_bytes()
    for size in (10, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"gated\.npz"):
            oh.correction.load(path)
    with pytest.raises(InputError, match="npz"):
        local.save(tmp_path / "local.txt")
    assert isinstance(local.model, SGDMLModel)
    assert list(tmp_path.iterdir()) == [path]


def test_a_correction_in_the_place_of_a_model_is_refused(local: Correction) -> None:
    model, hint = local.in_molecule(), r"is a Correction; expected an EnergyModel; .*correction\.in_molecule\(\)"
    for wrong in (
        lambda: oh.Sum((model, local)),
        lambda: oh.Sum((local, model)),
        lambda: oh.Difference(model, local),
        lambda: oh.OnAtoms(local, range(local.n_atoms), local.atomic_numbers),
        lambda: oh.as_ase(local),
    ):
        with pytest.raises(MismatchError, match=hint):
            wrong()
