"""Selected frames: a fair selection, spread over the energies."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.selection import select


def distance(sample: NDArray[np.float64], population: NDArray[np.float64]) -> float:
    """Kolmogorov-Smirnov distance: the largest difference of the two distribution functions."""
    ordered = np.sort(population)
    share = np.searchsorted(np.sort(sample), ordered, side="right") / len(sample)
    return float(np.abs(share - np.arange(1, len(ordered) + 1) / len(ordered)).max())


def test_stratified_selection_follows_the_energies() -> None:
    """Equal parts of the sorted row, one of each: the distribution functions differ by 1/n at most."""
    rng = np.random.default_rng(0)
    energies = rng.gamma(2.0, 3.0, 5000)
    candidates = rng.permutation(5000)[:3000]
    for n in (7, 100, 1000):
        selected = select(candidates, energies, n, "stratified", np.random.default_rng(1))
        assert len(np.unique(selected)) == n
        assert np.isin(selected, candidates).all()
        assert distance(energies[selected], energies[candidates]) <= 1.0 / n + 1e-12
    at_random = [select(candidates, energies, 100, "random", np.random.default_rng(k)) for k in range(5)]
    assert min(distance(energies[selected], energies[candidates]) for selected in at_random) > 0.02


def test_beginnings_of_a_stratified_selection_are_stratified() -> None:
    """The discrepancy of k members of a van der Corput sequence is at most (log₂ k + 1)/k, twice that when shifted."""
    energies = np.random.default_rng(0).normal(size=2000)
    for seed in range(5):
        selected = select(np.arange(2000), energies, 512, "auto", np.random.default_rng(seed))
        for k in (5, 17, 100, 300):
            assert distance(energies[selected[:k]], energies) < 2.0 * (np.log2(k) + 1.0) / k + 1.0 / 512


@pytest.mark.parametrize("selection", ["stratified", "random"])
def test_every_frame_has_the_same_chance(selection: str) -> None:
    energies = np.array([0.0] * 8 + [1.0, 5.0, 5.0, 100.0] * 3)
    counts = np.zeros(20)
    for seed in range(2000):
        counts[select(np.arange(20), energies, 5, selection, np.random.default_rng(seed))] += 1
    # 500 each; the standard deviation of a count is √(2000 · ¼ · ¾) = 19.
    np.testing.assert_allclose(counts, 500, rtol=0, atol=5 * 19)


def test_without_energies_the_selection_is_random() -> None:
    first, second = (select(np.arange(9), None, 4, name, np.random.default_rng(2)) for name in ("auto", "random"))
    np.testing.assert_array_equal(first, second)
    with pytest.raises(InputError, match="no energies"):
        select(np.arange(9), None, 4, "stratified", np.random.default_rng(2))
    with pytest.raises(InputError, match="'stratified'"):
        select(np.arange(9), None, 4, "stratisfied", np.random.default_rng(2))
