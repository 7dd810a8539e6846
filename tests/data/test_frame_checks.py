"""Frames that are plausible or not, without a force field. Source: published data in known units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import openmm_hybrid as oh
from openmm_hybrid.data.frame_checks import broken_frames, force_fault, length_fault

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
        assert length_fault(part) == force_fault(part) == broken_frames(part) == ""


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
