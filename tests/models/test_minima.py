"""Minima of models: those of GAFF's butane-like chains and of analytic functions. Source: analytic positions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.minima import minima, relax


class TwoWells(EnergyModel):
    """Two particles whose distance has minima at 1 (−2 kcal/mol) and 2 Å (−1 kcal/mol): quartic, tilted."""

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        return np.array([1, 1])

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        between = positions[:, 1] - positions[:, 0]
        r = np.linalg.norm(between, axis=1)
        # dE/dr = 60 (r − 1)(r − 1.6)(r − 2), E(1) = 0.
        slope = 60 * (r - 1) * (r - 1.6) * (r - 2)
        energy = 60 * (r**4 / 4 - 4.6 * r**3 / 3 + 6.8 * r**2 / 2 - 3.2 * r - (1 / 4 - 4.6 / 3 + 3.4 - 3.2))
        pull = -(slope / r)[:, None] * between
        return energy, np.stack([-pull, pull], axis=1)


def pair(distance: float) -> NDArray[np.float64]:
    return np.array([[0.0, 0.0, 0.0], [0.0, 0.6 * distance, 0.8 * distance]])


def length(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([np.linalg.norm(positions[1] - positions[0])])


@pytest.mark.parametrize(("start", "end"), [(0.8, 1.0), (1.5, 1.0), (1.75, 2.0), (2.3, 2.0)])
def test_it_relaxes_into_the_nearest_minimum(start, end):
    positions, energy = relax(TwoWells(), pair(start))
    assert length(positions)[0] == pytest.approx(end, abs=2e-4)  # 0.005 over the largest component of 36 kcal/mol/Å²
    assert energy == pytest.approx(float(TwoWells().evaluate(pair(end)[None])[0][0]), abs=1e-5)


def test_distinct_minima_come_lowest_first_with_their_counts():
    found = minima(TwoWells(), [pair(r) for r in (0.9, 1.1, 2.1, 1.3, 1.9)], length)
    assert [each.found for each in found] == [3, 2] or [each.found for each in found] == [2, 3]
    assert found[0].energy < found[1].energy
    assert sorted(float(each.features[0]) for each in found) == pytest.approx([1.0, 2.0], abs=3e-4)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match=r"shape \(3, 3\)"):
        relax(TwoWells(), np.zeros((3, 3)))


def test_starts_without_a_minimum_are_left_out():
    class Slope(TwoWells):
        """Falls for ever."""

        def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            forces = np.zeros_like(positions)
            forces[:, 1, 2] = 1.0
            return -positions[:, 1, 2], forces

    with pytest.raises(NumericalError, match="force of 1 kcal"):
        relax(Slope(), pair(1.0))
    assert minima(Slope(), [pair(1.0)], length) == []
