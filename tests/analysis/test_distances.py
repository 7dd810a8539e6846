"""Densities of distances and their overlap, for distributions with a known divergence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm

from openmm_hybrid.analysis import distance_overlap
from openmm_hybrid.core.errors import InputError, MismatchError


def diatomics(mean: float, width: float, n: int, seed: int) -> NDArray[np.float64]:
    positions = np.zeros((n, 2, 3))
    positions[:, 1, 0] = np.random.default_rng(seed).normal(mean, width, n)
    return positions


def test_two_gaussians_have_their_divergence() -> None:
    first, second, width, kernel = 1.50, 1.56, 0.05, 0.01
    found = distance_overlap(
        diatomics(first, width, 40_000, 0), diatomics(second, width, 40_000, 1), [1, 17], bandwidth=kernel
    )
    (part,) = found.types
    assert (part.name, part.n_pairs) == ("Cl–H", 1)
    p, q = (norm(mean, np.hypot(width, kernel)).pdf for mean in (first, second))

    def integrand(x: float) -> float:
        m = 0.5 * (p(x) + q(x))
        return float(0.5 * (p(x) * np.log2(p(x) / m) + q(x) * np.log2(q(x) / m)))

    expected = quad(integrand, 1.2, 1.9)[0]
    assert part.divergence == pytest.approx(expected, abs=0.004)
    assert found.divergence == part.divergence
    assert found.floor < 0.003
    np.testing.assert_allclose(part.first, p(part.grid), atol=0.25)
    assert part.first.sum() * (part.grid[1] - part.grid[0]) == pytest.approx(1.0)


def test_pairs_are_grouped_by_elements_and_count_alike() -> None:
    rng = np.random.default_rng(2)
    first, second = 2.0 * np.eye(4, 3) + 0.1 * rng.normal(size=(2, 200, 4, 3))
    found = distance_overlap(first, second, [8, 1, 6, 1])
    assert {part.name: part.n_pairs for part in found.types} == {"C–H": 2, "C–O": 1, "H–H": 1, "H–O": 2}
    weights = [2, 1, 1, 2]
    assert found.divergence == pytest.approx(np.average([part.divergence for part in found.types], weights=weights))
    assert found.floor == pytest.approx(np.average([part.floor for part in found.types], weights=weights))
    far = distance_overlap(first, 3.0 * second, [8, 1, 6, 1])
    assert 0.9 < far.divergence <= 1.0


def test_no_group_is_in_both_halves() -> None:
    positions = np.concatenate([diatomics(mean, 0.01, 50, 3) for mean in (1.0, 2.0)])
    groups = np.repeat([0, 1], 50)
    found = distance_overlap(positions, positions, [1, 1], groups=(groups, groups))
    assert found.floor == pytest.approx(1.0)
    assert found.divergence == pytest.approx(0.0, abs=1e-9)
    assert distance_overlap(positions, positions, [1, 1]).floor < 0.3


def test_wrong_arguments_are_refused() -> None:
    good = diatomics(1.0, 0.1, 10, 0)
    with pytest.raises(MismatchError, match="two atoms"):
        distance_overlap(good, good[:, :1], [1, 1])
    with pytest.raises(InputError, match="finite"):
        distance_overlap(good, np.full_like(good, np.nan), [1, 1])
    with pytest.raises(InputError, match="above zero"):
        distance_overlap(good, good, [1, 1], bandwidth=0.0)
    with pytest.raises(MismatchError, match="one group"):
        distance_overlap(good, good, [1, 1], groups=(np.arange(9), np.arange(10)))
    with pytest.raises(InputError, match="2 or more"):
        distance_overlap(good, good, [1, 1], groups=(np.zeros(10, dtype=int), np.arange(10)))
