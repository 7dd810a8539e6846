"""Populations of basins, and their errors against a two-state process that can be solved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.analysis import label_basins, populations
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.geometry import dihedral

THIRDS = {
    "gauche+": (0.0, 2 * np.pi / 3),
    "trans": (2 * np.pi / 3, -2 * np.pi / 3),
    "gauche-": (-2 * np.pi / 3, 0.0),
}


def test_labels_reach_across_pi() -> None:
    degrees = np.array([60.0, -60.0, 179.0, 180.0, -179.0, 120.0, -120.0, 0.0])
    labels = label_basins(np.radians(degrees), THIRDS)
    assert labels.tolist() == ["gauche+", "gauche-", "trans", "trans", "trans", "trans", "gauche-", "gauche+"]
    assert label_basins([2.0], {"low": (0.0, 1.0)}).tolist() == ["other"]


def test_labels_do_not_depend_on_the_convention_of_the_angles() -> None:
    angles = np.radians([60.0, -60.0, -130.0, 179.0, -179.0, -180.0, 180.0, -1.0])
    labels = label_basins(angles, THIRDS).tolist()
    assert labels == ["gauche+", "gauche-", "trans", "trans", "trans", "trans", "trans", "gauche-"]
    for turned in (np.mod(angles, 2 * np.pi), -np.mod(-angles, 2 * np.pi)):
        assert label_basins(turned, THIRDS).tolist() == labels


@pytest.mark.parametrize("bounds", [(2.0, np.pi), (2.0, -np.pi), (-np.pi, -2.0), (np.pi, -2.0), (2.0, -2.0)])
def test_pi_and_minus_pi_are_one_point(bounds: tuple[float, float]) -> None:
    assert label_basins([np.pi, -np.pi], {"trans": bounds}).tolist() == ["trans", "trans"]
    halves = {"left": (-np.pi, 0.0), "right": (0.0, np.pi)}
    assert label_basins([np.pi, -np.pi, 0.0], halves).tolist() == ["left", "left", "right"]


def test_bad_basins_are_refused() -> None:
    with pytest.raises(InputError, match="overlap"):
        label_basins([0.5], {"a": (0.0, 1.0), "b": (0.4, 2.0)})
    with pytest.raises(InputError, match="within ±π"):
        label_basins([0.5], {"a": (0.0, 120.0)})
    with pytest.raises(InputError, match="at least one"):
        label_basins([0.5], {})


def test_errors_of_a_two_state_process() -> None:
    """Jumps with probability a (0 → 1) and b (1 → 0): p₁ = a/(a + b), and g = (2 − a − b)/(a + b)."""
    a, b, n = 0.02, 0.06, 40_000
    rng = np.random.default_rng(0)
    jumps = rng.random((12, n))
    states = np.empty((12, n), dtype=int)
    states[:, 0] = rng.random(12) < a / (a + b)
    for step in range(1, n):
        before = states[:, step - 1]
        states[:, step] = np.where(jumps[:, step] < np.where(before == 0, a, b), 1 - before, before)
    exact = np.sqrt(0.25 * 0.75 * (2 - a - b) / (a + b) / n)
    found = [populations(np.where(run == 1, "up", "down"))["up"] for run in states]
    assert np.mean([one.error for one in found]) == pytest.approx(exact, rel=0.15)
    assert np.mean([one.value for one in found]) == pytest.approx(0.25, abs=4 * exact / np.sqrt(12))


def test_populations_sum_to_one_and_name_what_never_occurs() -> None:
    labels = np.array(["a", "b", "a", "a"] * 10)
    found = populations(labels, names=("c", "b"))
    assert list(found) == ["c", "b", "a"]
    assert found["c"].value == found["c"].error == 0.0
    assert found["a"].value == 0.75
    weighted = populations(labels, np.where(labels == "b", 3.0, 1.0))
    assert weighted["b"].value == pytest.approx(0.5)


def test_ethanol_at_500_k(reference_data: Callable[[str], Path]) -> None:
    """MD17 ethanol, C-C-O-H: trans 0.30, gauche 0.355 and 0.345 (the data's README), each within 0.01."""
    with np.load(reference_data("md17_ethanol.npz"), allow_pickle=False) as data:
        angles = dihedral(data["R"], [[1, 0, 2, 8]])[:, 0]
    found = populations(label_basins(angles, THIRDS))
    assert found["trans"].value == pytest.approx(0.30, abs=0.01)
    assert sorted([found["gauche+"].value, found["gauche-"].value]) == pytest.approx([0.345, 0.355], abs=0.01)
    # In the file the frames are correlated (they come in the run's order); shuffled, their errors are binomial.
    labels = np.random.default_rng(0).permutation(label_basins(angles, THIRDS))
    assert populations(labels)["trans"].error == pytest.approx(np.sqrt(0.3 * 0.7 / len(angles)), rel=0.2)
    assert found["trans"].inefficiency > 5
