"""Block errors against processes whose errors are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from openmm_hybrid.analysis import mean_with_error, statistical_inefficiency
from openmm_hybrid.core.errors import InputError, MismatchError


def ar1(a: float, shape: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    """x_t = a x_{t−1} + √(1 − a²) ε, stationary, variance 1; the last axis is time."""
    noise = np.random.default_rng(seed).normal(size=shape)
    noise[..., 1:] *= np.sqrt(1 - a * a)
    return np.asarray(lfilter([1.0], [1.0, -a], noise, axis=-1))


@pytest.mark.parametrize("a", [0.0, 0.6, 0.95])
def test_error_of_an_ar1_process(a: float) -> None:
    """σ² of the mean → (1 + a)/(1 − a)/n for n ≫ 1/(1 − a)."""
    n = 20_000
    exact = np.sqrt((1 + a) / (1 - a) / n)
    estimates = [mean_with_error(series) for series in ar1(a, (40, n), seed=1)]
    assert all(estimate.converged for estimate in estimates)
    assert np.mean([estimate.error for estimate in estimates]) == pytest.approx(exact, rel=0.08)
    assert np.mean([estimate.inefficiency for estimate in estimates]) == pytest.approx((1 + a) / (1 - a), rel=0.15)
    within = [abs(estimate.value) < 2 * estimate.error for estimate in estimates]
    assert 0.82 <= np.mean(within) <= 1.0  # 0.954 ± 0.033


def test_runs_are_blocked_apart_and_together_give_the_same_error() -> None:
    runs = ar1(0.8, (8, 4000), seed=2)
    estimate = mean_with_error(runs)
    assert estimate.value == pytest.approx(runs.mean(), abs=1e-12)
    assert estimate.error == pytest.approx(np.sqrt(9 / runs.size), rel=0.2)
    assert estimate.n_blocks == 8 * (4000 // estimate.block)


@pytest.mark.parametrize("a", [0.0, 0.9])
def test_statistical_inefficiency_of_an_ar1_process(a: float) -> None:
    """g = (1 + a)/(1 − a)."""
    found = [statistical_inefficiency(series) for series in ar1(a, (20, 20_000), seed=3)]
    assert np.mean(found) == pytest.approx((1 + a) / (1 - a), rel=0.08)


def test_jackknife_of_a_weighted_average() -> None:
    """Independent frames: variance of Σwx/Σw is ⟨w²(x − μ)²⟩/(n⟨w⟩²), here w and x independent of each other."""
    rng = np.random.default_rng(4)
    n = 5000
    estimates = []
    for _ in range(60):
        estimates.append(mean_with_error(rng.normal(size=n), rng.exponential(size=n)))
    exact = np.sqrt(2.0 / n)  # ⟨w²⟩/⟨w⟩² = 2 of an exponential
    assert np.mean([estimate.error for estimate in estimates]) == pytest.approx(exact, rel=0.05)
    assert np.std([estimate.value for estimate in estimates]) == pytest.approx(exact, rel=0.3)


def test_weights_equal_to_repetition() -> None:
    values = np.arange(32.0)
    weights = np.where(values < 16, 3.0, 1.0)
    assert mean_with_error(values, weights).value == pytest.approx(np.average(values, weights=weights), rel=1e-14)
    assert mean_with_error(values, 7.0 * weights) == mean_with_error(values, 14.0 * weights)


def test_series_that_are_too_short_are_called_so() -> None:
    assert not mean_with_error(np.linspace(0, 1, 64)).converged
    assert mean_with_error(np.ones(20)).error == 0.0
    one = np.zeros(20)
    one[3] = 1.0
    assert not np.isfinite(mean_with_error(np.arange(20.0), one).error)


def test_bad_series_are_refused() -> None:
    with pytest.raises(InputError, match="at least 8 frames"):
        mean_with_error([1.0, 2.0])
    with pytest.raises(InputError, match="not finite"):
        mean_with_error([1.0] * 9 + [np.nan])
    with pytest.raises(MismatchError, match="weights have shape"):
        mean_with_error(np.ones(10), np.ones(9))
    with pytest.raises(InputError, match="negative"):
        mean_with_error(np.ones(10), -np.ones(10))
    with pytest.raises(InputError, match="several runs"):
        statistical_inefficiency(np.ones((2, 10)))
