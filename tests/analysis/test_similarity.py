"""Excess distances: zero for two samples of one ensemble, the exact distance otherwise. Source: known densities."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid import analysis
from openmm_hybrid.analysis import Density, dihedral_density, jensen_shannon
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import BOLTZMANN


def starts(kappa: float, *, seed: int, n: int = 16, frames: int = 200) -> list[Density]:
    """Densities of independent starts, each of frames from one von Mises distribution."""
    rng = np.random.default_rng(seed)
    return [dihedral_density(rng.vonmises(0.0, kappa, frames), n_bins=36) for _ in range(n)]


def test_one_ensemble_has_no_excess_beside_itself():
    values = [
        analysis.excess(
            starts(1.0, seed=2 * k), starts(1.0, seed=2 * k + 1), jensen_shannon, n_splits=50, n_bootstrap=20
        )
        for k in range(12)
    ]
    excesses = np.array([each.value for each in values])
    assert abs(excesses.mean()) < 3 * excesses.std(ddof=1) / np.sqrt(len(excesses))
    assert all(each.floor > 0 and each.distance > 0 for each in values)
    # The bootstrap's error is the scatter of repeated experiments, within a factor.
    assert 0.4 < np.mean([each.error for each in values]) / excesses.std(ddof=1) < 2.5


def squared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return ((first - second) ** 2).sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("numbers", [(6, 32), (32, 6), (5, 5), (4, 7)])
def test_one_ensemble_has_no_excess_whatever_the_numbers_of_starts(numbers: tuple[int, int]):
    rng, values = np.random.default_rng(0), []
    for _ in range(100):
        tested, other = (rng.normal(size=(n, 8)) for n in numbers)
        (found,) = analysis.excesses(tested, other, squared, n_splits=16, n_bootstrap=2)
        values.append(found.value)
    assert abs(np.mean(values)) < 3 * np.std(values, ddof=1) / 10
    rows = np.split(np.eye(sum(numbers)), [numbers[0]])  # averages over starts show which of them are in a half
    halves = []
    analysis.excesses(*rows, lambda p, q: halves.append((p, q)) or squared(p, q), n_splits=8, n_bootstrap=2)
    assert {np.count_nonzero(half) for pair in halves[1:17] for half in pair} == {min(numbers) // 2}


def test_equal_numbers_of_starts_keep_their_results():
    """The value and the error of version 0.1 for the same draws, to the last digits."""
    rng = np.random.default_rng(5)
    (found,) = analysis.excesses(*rng.normal(size=(2, 6, 3)), squared, n_splits=20, n_bootstrap=10)
    assert (found.value, found.error) == pytest.approx((-0.00865107457481562, 0.7911551178713769), rel=1e-9)


def test_another_ensemble_has_the_exact_distance():
    found = analysis.excess(starts(2.0, seed=1, frames=4000), starts(1.0, seed=2, frames=4000), jensen_shannon)
    exact = jensen_shannon(
        *(dihedral_density(np.random.default_rng(3).vonmises(0, k, 400000), n_bins=36) for k in (2, 1))
    )
    assert found.value == pytest.approx(exact, abs=3 * found.error + 1e-4)
    assert found.error < 0.1 * exact


def test_ratios_have_errors_of_their_own():
    reference = starts(1.0, seed=0, frames=2000)
    far = analysis.excess(starts(3.0, seed=1, frames=2000), reference, jensen_shannon)
    near = analysis.excess(starts(1.5, seed=2, frames=2000), reference, jensen_shannon)
    ratio, error = near.over(far)
    assert 0 < ratio < 0.3
    assert 0 < error < 0.3 * ratio
    assert far.over(far) == (1.0, 0.0)


def test_free_energy_surfaces_differ_by_what_was_added():
    grid = np.linspace(-np.pi, np.pi, 72, endpoint=False) + np.pi / 72
    kt = BOLTZMANN * 300.0
    base, added = 1.2 * np.cos(grid), 0.4 * np.sin(grid)

    def density(energy):
        weights = np.exp(-energy / kt)
        return Density(grid, weights / (weights.sum() * 2 * np.pi / 72))

    measure = analysis.free_energy_difference(300.0, below=1.0)
    inside = base - base.min() < 1.0
    assert measure(density(base + added), density(base)) == pytest.approx(added[inside].std(), rel=1e-9)
    assert measure(density(base), density(base)) == pytest.approx(0.0, abs=1e-12)


def test_starts_that_are_remembered_are_told_from_starts_that_are_not():
    began = np.arange(16) < 7
    forgotten = [
        analysis.start_dependence(starts(1.0, seed=seed), began, jensen_shannon, n_permutations=99)
        for seed in range(20)
    ]
    p = np.array([each.p for each in forgotten])
    assert 0.25 < p.mean() < 0.75  # uniform: 0.5 ± 0.065
    ratio = [each.distance / each.expected for each in forgotten]
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.3)
    mixed = [*starts(1.0, seed=1, n=7), *starts(1.5, seed=2, n=9)]
    found = analysis.start_dependence(mixed, began, jensen_shannon, n_permutations=99)
    assert found.p == 0.01
    assert found.distance > 2 * found.expected
    with pytest.raises(InputError, match="1 of 16 starts"):
        analysis.start_dependence(mixed, np.arange(16) < 1, jensen_shannon)
    with pytest.raises(MismatchError, match="one per start"):
        analysis.start_dependence(mixed, [True, False], jensen_shannon)


def test_bad_input_is_refused():
    few = starts(1.0, seed=0, n=3)
    with pytest.raises(InputError, match="3 and 3 starts"):
        analysis.excess(few, few, jensen_shannon)
    other = [dihedral_density(np.zeros(5), n_bins=12)] * 4
    with pytest.raises(MismatchError, match="shapes"):
        analysis.excess(other, starts(1.0, seed=0, n=4), jensen_shannon)
