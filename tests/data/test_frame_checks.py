"""Frames that are plausible or not, without a force field. Source: published data in known units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frame_checks import (
    broken_frames,
    force_fault,
    imbalance,
    length_fault,
    refuse_impossible_labels,
    unbalanced_frames,
)

FILES = (
    "md17_ethanol.npz",
    "md17_malonaldehyde.npz",
    "md17_aspirin.npz",
    "ethanol_ccsd_t-train.npz",
    "malonaldehyde_ccsd_t-train.npz",
    "aspirin_ccsd-train.npz",
    "3bpa_300K.npz",
    "3bpa_mixedT.npz",
)
Data = Callable[[str], Path]


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_said_of_published_data(reference_data: Data, name: str) -> None:
    frames = oh.Frames.load(reference_data(name))
    parts = [frames, *(frames[first : first + 12] for first in range(0, 480, 40))]
    for part in parts:
        assert length_fault(part) == force_fault(part) == broken_frames(part) == unbalanced_frames(part) == ""
        refuse_impossible_labels(part)
        assert imbalance(part).max() < 0.005


@pytest.mark.parametrize("name", FILES[::2])
@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1 / 23.0605, "they look like eV/Å, so multiply them by 23.061"),
        (23.0605, "converted from eV/Å twice"),
        (4.184, "they look like kJ/mol/Å"),
        (1 / 1185.82, "they look like hartree/bohr"),
        (-1.0, "they are gradients"),
        (-1 / 23.0605, "they are gradients"),
    ],
)
def test_units_and_signs_of_forces_are_named(reference_data: Data, name: str, factor: float, words: str) -> None:
    frames = oh.Frames.load(reference_data(name))[:100]
    assert words in force_fault(replace(frames, forces=frames.forces * factor))
    assert words in force_fault(replace(frames, forces=frames.forces * factor, energies=None))


@pytest.mark.parametrize(("factor", "unit"), [(0.1, "nm"), (1.8897, "bohr")])
def test_units_of_lengths_are_named(reference_data: Data, factor: float, unit: str) -> None:
    frames = oh.Frames.load(reference_data(FILES[0]))[:100]
    assert f"if the positions are in {unit}" in length_fault(replace(frames, positions=frames.positions * factor))


def test_broken_frames_are_listed(reference_data: Data) -> None:
    frames = oh.Frames.load(reference_data(FILES[0]))[:200]
    positions, forces = frames.positions.copy(), frames.forces.copy()
    positions[0, 8] += [3.0, 0.0, 0.0]  # among the first frames, from which the bonds are found
    forces[150] *= 30.0
    found = broken_frames(replace(frames, positions=positions, forces=forces))
    assert "far beyond those of the others: 0, 150;" in found
    forces[:12] *= 1e3
    assert "0, 1, 2, 3, 4, 5, 6, 7 and 5 more" in broken_frames(replace(frames, forces=forces))


def test_few_frames_and_frames_without_hydrogen_are_not_judged(reference_data: Data) -> None:
    frames = oh.Frames.load(reference_data(FILES[0]))
    assert force_fault(replace(frames[:9], forces=-frames.forces[:9])) == ""
    assert force_fault(replace(frames, forces=None)) == broken_frames(frames[:9]) == ""
    heavy = oh.Frames([6, 8, 8], frames.positions[:50, :3], forces=-frames.forces[:50, :3])
    assert force_fault(heavy) == ""


def test_a_difference_of_two_methods_is_no_force_on_a_bond(reference_data: Data) -> None:
    """Aspirin's CCSD forces less those of a force field fitted to PBE: soft in bonds, and of no molecule."""
    frames = oh.Frames.load(reference_data("aspirin_ccsd-train.npz"))[:300]
    for name in ("aspirin-gaff", "aspirin-cross"):
        rest = replace(frames, forces=frames.forces - oh.ForceField.load(name).predict(frames.positions)[1])
        assert force_fault(rest) == ""


def test_training_warns_of_them(reference_data: Data) -> None:
    frames = oh.Frames.load(reference_data(FILES[0]))[::100]
    positions = frames.positions.copy()
    positions[5, 8] += [3.0, 0.0, 0.0]
    for faulty, words in (
        (replace(frames, energies=frames.energies / 23.06, forces=frames.forces / 23.06), "look like eV/Å"),
        (replace(frames, energies=None, forces=-frames.forces), "they are gradients"),
        (replace(frames, energies=None, positions=positions), "of the others: 5;"),
    ):
        with pytest.warns(UserWarning, match=words):
            oh.sgdml.training_set(faulty, n_train=10, n_valid=0, perms=None)
    with pytest.warns(UserWarning, match="in nm") as caught:
        oh.sgdml.training_set(replace(frames, positions=frames.positions * 0.1), n_train=10, n_valid=0, perms=None)
    assert len(caught) == 1


MASSES = np.array([12.011, 12.011, 15.999, *6 * [1.008]])[:, None]
SPOILED = {
    "two atoms exchanged": (lambda forces: forces[:, [0, 1, 2, 4, 3, 5, 6, 7, 8]], "net torque"),
    "mass-weighted": (lambda forces: forces * MASSES, "net force"),
    "square roots of the masses": (lambda forces: forces / np.sqrt(MASSES), "net force"),
    "no z components": (lambda forces: forces * [1, 1, 0], "net torque"),
    "a frozen atom": (lambda forces: forces * (np.arange(9) != 8)[:, None], "net force"),
    "all zero": (lambda forces: 0.0 * forces, "are zero"),
    "all equal": (lambda forces: np.broadcast_to(forces[0], forces.shape), "are the same in all"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_forces_that_cannot_be_right_are_refused(reference_data: Data, kind: str) -> None:
    frames = oh.Frames.load(reference_data("ethanol_ccsd_t-train.npz"))[:100]
    spoil, words = SPOILED[kind]
    wrong = replace(frames, forces=spoil(frames.forces))
    with pytest.raises(InputError, match=words):
        refuse_impossible_labels(wrong)
    with pytest.raises(InputError, match=words):
        oh.sgdml.train(wrong, sigma=10, n_train=20, progress=False)


def test_energies_that_are_all_equal_are_refused(reference_data: Data) -> None:
    frames = oh.Frames.load(reference_data("ethanol_ccsd_t-train.npz"))[:100]
    wrong = replace(frames, energies=np.zeros(100))
    with pytest.raises(InputError, match=r"are 0 in all 100 frames.*energies=None"):
        refuse_impossible_labels(wrong)
    refuse_impossible_labels(replace(wrong, energies=None))
    same = frames[np.zeros(5, dtype=int)]
    refuse_impossible_labels(same)


def test_the_imbalance_is_that_of_its_definition() -> None:
    """Two atoms, 2 Å apart: equal forces of 3 kcal/mol/Å along x, then a couple of 3 kcal/mol/Å across the axis."""
    positions = np.array([[[0.0, 0.0, 0.0], [0.0, 0.0, 2.0]]] * 2)
    forces = np.array([[[3.0, 0.0, 0.0], [3.0, 0.0, 0.0]], [[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0]]])
    frames = oh.Frames(np.array([1, 1]), positions, None, forces, name="pair")
    np.testing.assert_allclose(imbalance(frames), [6.0 / np.sqrt(18.0), 6.0 / np.sqrt(18.0 * 2.0 / 6.0)])
    assert (imbalance(replace(frames, forces=0.1 * forces)) == 0.0).all()


def test_a_small_imbalance_is_warned_of(reference_data: Data) -> None:
    """A coarse integration grid, and an external field on an ion, give all atoms a small force in common."""
    frames = oh.Frames.load(reference_data("ethanol_ccsd_t-train.npz"))[:100]
    wrong = replace(frames, forces=frames.forces + np.array([1.0, 0.0, 0.0]))
    refuse_impossible_labels(wrong)
    assert "the forces of most frames of " in unbalanced_frames(wrong)
    some = replace(frames, forces=frames.forces + (np.arange(100) == 7)[:, None, None] * [1.0, 0.0, 0.0])
    assert "the forces of frame 57 of " in unbalanced_frames(some, np.arange(100) + 50)
