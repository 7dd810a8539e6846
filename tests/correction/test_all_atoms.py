"""The residual and the correction trained on it, with GAFF and GFN2-xTB as the real things."""

from __future__ import annotations

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError

pytest.importorskip("tblite", reason="needs tblite (extra labels)")

# Rough charges are enough here: the residual is what they leave.
METHANOL_CHARGES = [0.117, -0.600, 0.028, 0.028, 0.028, 0.399]


@pytest.fixture(scope="module")
def methanol() -> oh.Molecule:
    return oh.Molecule.from_smiles("CO", name="methanol")


@pytest.fixture(scope="module")
def forcefield(methanol):
    return oh.gaff.build(methanol, charges=METHANOL_CHARGES).model()


@pytest.fixture(scope="module")
def labelled(methanol, tmp_path_factory) -> oh.Frames:
    shifts = np.random.default_rng(3).normal(scale=0.06, size=(80, methanol.n_atoms, 3))
    path = tmp_path_factory.mktemp("labels") / "methanol.npz"
    engine = oh.reference.engine("gfn2")
    return oh.reference.label(engine, methanol, methanol.positions + shifts, output=path, progress=False).frames


def test_residual_and_force_field_add_up_to_the_reference(forcefield, labelled):
    rest = oh.correction.residual(forcefield, labelled)
    energies, forces = forcefield.predict(labelled.positions)
    np.testing.assert_allclose(rest.energies + energies, labelled.energies, rtol=0, atol=1e-9)
    np.testing.assert_allclose(rest.forces + forces, labelled.forces, rtol=0, atol=1e-9)
    assert labelled.theory in rest.theory


def test_a_residual_is_not_subtracted_from_again(forcefield, labelled):
    rest = oh.correction.residual(forcefield, labelled)
    with pytest.raises(InputError, match="are a residual already"):
        oh.correction.train(forcefield, rest, n_train=40, progress=False)
    # A reference replaces the labels, so that those of the residual do not matter.
    again = oh.correction.residual(forcefield, rest, reference=forcefield)
    np.testing.assert_allclose(again.forces, 0.0, atol=1e-9)


def test_correction_brings_unseen_forces_to_the_reference(forcefield, labelled, methanol):
    correction = oh.correction.train(forcefield, labelled[:60], molecule=methanol)
    unseen = labelled[60:]
    before = oh.analysis.error_table(unseen, forcefield.predict(unseen.positions))
    after = oh.analysis.error_table(unseen, oh.Sum((forcefield, correction.in_molecule())).predict(unseen.positions))
    # Measured: 0.07 of either error is left.
    assert after.force_rmse < 0.1 * before.force_rmse
    assert after.energy_rmse < 0.1 * before.energy_rmse
    assert abs(after.energy_offset) < 0.5, "the constant brings the sum to the reference's own zero"


def test_correction_of_some_atoms_is_put_on_them(forcefield, labelled, methanol):
    chosen = [1, 0, 5]  # O, C and the H on O
    correction = oh.correction.train(
        forcefield, labelled[:40], molecule=methanol, atoms=chosen, lam=1e-5, progress=False
    )
    assert correction.model.atomic_numbers.tolist() == [8, 6, 1]
    rest = oh.correction.residual(forcefield, labelled[:40])
    energies, forces = correction.in_molecule().predict(rest.positions)
    np.testing.assert_allclose((rest.energies - energies).mean(), 0.0, atol=1e-9)
    before, after = rest.forces[:, chosen], rest.forces[:, chosen] - forces[:, chosen]
    assert np.abs(after).mean() < 0.6 * np.abs(before).mean()  # measured: 0.48; the rest is forces of the other atoms
    assert not forces[:, [2, 3, 4]].any()


def test_correction_fades_to_its_constant_far_from_its_training_data(forcefield, labelled, methanol):
    correction = oh.correction.train(forcefield, labelled[:20], molecule=methanol).model
    near = np.abs(correction.predict(labelled.positions[:20])[0] - correction.c).max()
    squeezed = np.abs(correction.predict(0.2 * labelled.positions[:20])[0] - correction.c).max()
    assert squeezed < 1e-5 * near  # measured: 1e-6


def test_refuses_another_atom_order_and_missing_labels(forcefield, labelled, methanol):
    reversed_frames = oh.Frames(labelled.atomic_numbers[::-1], labelled.positions[:, ::-1], name="reversed")
    with pytest.raises(InputError, match="no energies"):
        oh.correction.residual(forcefield, reversed_frames)
    turned = oh.Frames(
        labelled.atomic_numbers[::-1],
        labelled.positions[:, ::-1],
        energies=labelled.energies,
        forces=labelled.forces[:, ::-1],
        name="reversed",
    )
    with pytest.raises(MismatchError, match=r"atom 0 .* atomic number 1; expected 6 .*reordered"):
        oh.correction.residual(forcefield, turned)
    fewer = oh.Frames(labelled.atomic_numbers[:5], labelled.positions[:, :5], labelled.energies, labelled.forces[:, :5])
    with pytest.raises(MismatchError, match="5 atoms; expected the 6"):
        oh.correction.residual(forcefield, fewer)
