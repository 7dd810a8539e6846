"""Cross terms that can be left out: those that the labels know nothing of, and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from tests.helpers.forcefield_molecules import built, shaken

PLANTED = "cross.torsion/C0-C1-O2-H8"


@pytest.fixture(scope="module")
def start() -> oh.ForceField:
    system = built("ethanol")
    return oh.ForceField.from_system(system.system, system.topology, name="ethanol")


@pytest.fixture(scope="module")
def frames(start: oh.ForceField) -> oh.Frames:
    """Labels of a force field with one type of cross terms."""
    teacher = start.edit(cross=["torsion"])
    names = teacher.parameters.names
    chosen = [k for k, name in enumerate(names) if name.startswith(PLANTED) and "/k_" in name]
    assert chosen, [name for name in names if "torsion" in name]
    values = teacher.parameters.values.copy()
    values[chosen] = np.random.default_rng(0).normal(scale=4.0, size=len(chosen))
    positions = shaken(built("ethanol"), n_frames=150, by=0.05)
    energies, forces = teacher.with_values(values).predict(positions)
    return oh.Frames(start.atomic_numbers, positions, energies, forces, name="ethanol", theory="made up")


def test_finds_what_the_labels_know_nothing_of(start: oh.ForceField, frames: oh.Frames) -> None:
    edited = start.edit(cross=["torsion", "angle-angle"])
    fitted = oh.fit(edited, frames, n_train=120, n_test=20, md_steps=0, progress=False)
    prunable_terms = oh.fitting.prunable_terms(fitted.model, frames, rise=0.2)
    types = {name.rpartition("/")[0] for name in edited.parameters.names if name.startswith("cross")}
    assert PLANTED in types
    assert PLANTED not in prunable_terms
    assert len(prunable_terms) >= 0.6 * len(types)
    small = edited.without(*prunable_terms)
    assert len(small.parameters) < len(edited.parameters)
    again = oh.fit(small, frames, n_train=120, n_test=20, md_steps=0, progress=False)
    assert again.train.force_rmse <= 1.5 * fitted.train.force_rmse + 0.05
    without_it = oh.fit(edited.without(PLANTED), frames, n_train=120, n_test=20, md_steps=0, progress=False)
    assert without_it.train.force_rmse > 3.0 * again.train.force_rmse


def test_nothing_may_rise_nothing_is_idle(start: oh.ForceField, frames: oh.Frames) -> None:
    fitted = oh.fit(start.edit(cross=["torsion"]), frames, n_train=120, n_test=20, md_steps=0, progress=False)
    assert oh.fitting.prunable_terms(fitted.model, frames, rise=0.0) == ()


def test_refuses_a_force_field_without_cross_terms(start: oh.ForceField, frames: oh.Frames) -> None:
    with pytest.raises(InputError, match="has no cross terms"):
        oh.fitting.prunable_terms(start, frames)
    with pytest.raises(InputError, match="rise = -1"):
        oh.fitting.prunable_terms(start.edit(cross=["torsion"]), frames, rise=-1)
    with pytest.raises(InputError, match="energy_weight = -1"):
        oh.fitting.prunable_terms(start.edit(cross=["torsion"]), frames, energy_weight=-1)


def test_takes_frames_as_a_fit_does(start: oh.ForceField, frames: oh.Frames) -> None:
    edited = start.edit(cross=["torsion"])
    other = replace(frames, energies=None)
    assert oh.fitting.prunable_terms(edited, other, energy_weight=0.0)
    with pytest.raises(InputError, match=r"have no energies.*energy_weight=0"):
        oh.fitting.prunable_terms(edited, other)
    order = [0, 1, 2, 8, *range(3, 8)]  # the hydrogen of oxygen first
    moved = replace(frames, positions=frames.positions[:, order], forces=frames.forces[:, order])
    with pytest.raises(MismatchError, match="bond"):
        oh.fitting.prunable_terms(edited, moved)
    with pytest.raises(MismatchError, match="other atoms"):
        oh.fitting.prunable_terms(edited, replace(frames, atomic_numbers=frames.atomic_numbers[::-1]))


def test_without_refuses_unknown_types(start: oh.ForceField) -> None:
    with pytest.raises(InputError, match="no terms of the type 'bonds/C0-C9'"):
        start.without("bonds/C0-C9")
