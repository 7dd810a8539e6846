"""Energy drift of series with a known one."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid.analysis import energy_drift
from openmm_hybrid.core.errors import InputError


def test_drift_of_a_line_with_noise() -> None:
    """White noise σ on n points over T ps: the slope's error is σ √12/(T √n)."""
    time = np.linspace(0.0, 100.0, 2000)
    rng = np.random.default_rng(0)
    found = [energy_drift(time, -4e5 + 0.02 * time + rng.normal(0, 0.1, len(time)), 10) for _ in range(50)]
    exact = 0.1 * np.sqrt(12 / len(time)) / 100.0 / 10
    assert np.mean([one.value for one in found]) == pytest.approx(0.002, abs=4 * exact / np.sqrt(50))
    assert np.mean([one.error for one in found]) == pytest.approx(exact, rel=0.05)
    assert np.std([one.value for one in found]) == pytest.approx(exact, rel=0.35)
    assert found[0].fluctuation == pytest.approx(0.1, rel=0.1)


def test_slow_fluctuations_enlarge_the_error() -> None:
    time = np.linspace(0.0, 100.0, 4000)
    walk = np.random.default_rng(1).normal(0, 0.1, 40).repeat(100)
    drift = energy_drift(time, walk, 10)
    white = energy_drift(time, np.random.default_rng(2).permutation(walk), 10)
    assert drift.error > 5 * white.error


def test_bad_series_are_refused() -> None:
    with pytest.raises(InputError, match="8 frames"):
        energy_drift(np.arange(5.0), np.arange(5.0), 3)
    with pytest.raises(InputError, match="8 frames"):
        energy_drift(np.arange(9.0), np.arange(10.0), 3)
    with pytest.raises(InputError, match="not finite"):
        energy_drift(np.arange(9.0), np.full(9, np.nan), 3)
