"""Overlap of distances, for distributions whose overlap is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from openmm_hybrid.analysis import pair_densities, pair_overlaps
from openmm_hybrid.core.errors import InputError, MismatchError


def triatomics(means: tuple[float, float], width: float, seed: int, n: int = 2000) -> NDArray[np.float64]:
    """Eight starts of three atoms, the second and third at normally distributed distances from the first."""
    positions = np.zeros((8, n, 3, 3))
    for axis, mean in enumerate(means):
        positions[:, :, 1 + axis, axis] = np.random.default_rng([seed, axis]).normal(mean, width, (8, n))
    return positions


KINDS = {"near": [(0, 1)], "far": [(0, 2)]}


def test_two_gaussians_have_their_overlap() -> None:
    first, second = (
        pair_densities(triatomics(means, 0.12, seed), KINDS, longest=4.0)
        for seed, means in enumerate([(1.5, 2.5), (1.5, 2.6)])
    )
    worst, best = pair_overlaps(second, first)
    assert (worst.name, best.name) == ("far", "near")
    # Normal densities that differ by d have the overlap 2 Φ(−d/2σ), with the width of the kernel, 0.05 Å, included.
    assert worst.overlap == pytest.approx(2.0 * norm.cdf(-0.05 / np.hypot(0.12, 0.05)), abs=0.01)
    assert worst.missing.value > 10.0 * worst.missing.error
    assert best.overlap == pytest.approx(1.0, abs=0.02)
    assert abs(best.missing.value) < 3.0 * best.missing.error
    assert best.floor == pytest.approx(1.0, abs=0.03)
    assert first.values.sum(axis=1) * (first.grid[1] - first.grid[0]) == pytest.approx([1.0, 1.0])


def test_pairs_of_one_kind_share_a_density() -> None:
    positions = triatomics((1.5, 2.5), 0.05, 0)
    both = pair_densities(positions, {"all": [(0, 1), (0, 2)]}, longest=4.0)
    each = pair_densities(positions, KINDS, longest=4.0)
    np.testing.assert_allclose(both.values[0], each.values.mean(axis=0))


def test_what_cannot_be_compared_is_refused() -> None:
    positions = triatomics((1.5, 2.5), 0.05, 0, n=20)
    known = pair_densities(positions, KINDS, longest=4.0)
    with pytest.raises(InputError, match="less than 2"):
        pair_densities(positions, KINDS, longest=2.0)
    with pytest.raises(InputError, match="0 kinds"):
        pair_densities(positions, {}, longest=4.0)
    with pytest.raises(MismatchError, match="different pairs"):
        pair_overlaps(known, pair_densities(positions, {"near": [(0, 1)]}, longest=4.0))
    with pytest.raises(MismatchError, match="grids"):
        pair_overlaps(known, pair_densities(positions, KINDS, longest=5.0))
    with pytest.raises(InputError, match="4 or more"):
        pair_overlaps(known, pair_densities(positions[:3], KINDS, longest=4.0))
