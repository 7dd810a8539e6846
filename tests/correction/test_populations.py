"""Matched populations: exact ratios of densities are found from samples. Source: analytic densities."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp

import openmm_hybrid as oh
from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import BOLTZMANN
from tests.helpers import few_atoms

KT = BOLTZMANN * 300.0
TWISTS = ((0, 1, 2, 3), (1, 2, 3, 4))


def drawn(pool: oh.Frames, energies: NDArray[np.float64], n: int, seed: int) -> oh.Frames:
    """Frames of a pool as an ensemble of these energies has them."""
    weights = np.exp(-energies / KT - logsumexp(-energies / KT))
    return pool[np.random.default_rng(seed).choice(len(pool), n, p=weights)]


def coupling(frames: oh.Frames) -> NDArray[np.float64]:
    """A smooth function of both dihedrals, which a mirror image does not change."""
    first, second = geometry.dihedral(frames.positions, TWISTS).T
    return np.asarray(0.8 * np.cos(first) - 0.5 * np.cos(first) * np.cos(second) + 0.6 * np.sin(first) * np.sin(second))


def test_the_planted_free_energy_is_recovered():
    pool = few_atoms.frames(20000)
    missing = coupling(pool)
    sampled = drawn(pool, np.zeros(len(pool)), 6000, seed=1)
    reference = drawn(pool, missing, 6000, seed=2)
    found = oh.correction.match_populations(sampled, reference, [TWISTS], temperature=300, order=3)
    energies, _ = found.model.predict(pool.positions[:2000])
    error = energies - missing[:2000]
    assert np.std(error) < 0.15 * np.std(missing)
    # The ensembles' divergence, from the exact densities of the pool's frames.
    ratio = np.exp(-missing / KT - logsumexp(-missing / KT)) * len(pool)
    expected = 0.5 * np.mean(np.log2(2 / (1 + ratio)) + ratio * np.log2(2 * ratio / (1 + ratio)))
    assert found.report["divergence"] == pytest.approx(expected, rel=0.15)
    assert "0-1-2-3 × 1-2-3-4" in found.summary()


def test_equal_ensembles_give_nothing():
    pool = few_atoms.frames(4000)
    found = oh.correction.match_populations(pool[:2000], pool[2000:], [TWISTS], temperature=300)
    energies, _ = found.model.predict(pool.positions)
    assert found.report["divergence"] < 2e-3
    assert np.std(energies) < 0.1 * KT


def test_a_distance_is_flat_where_nothing_was_sampled():
    pool = few_atoms.frames(8000)
    distance = geometry.distance(pool.positions, [few_atoms.PAIR])[:, 0]
    missing = 1.5 * np.cos(distance)
    found = oh.correction.match_populations(
        drawn(pool, np.zeros(len(pool)), 3000, 1), drawn(pool, missing, 3000, 2), [few_atoms.PAIR], temperature=300
    )
    energies, _ = found.model.predict(pool.positions)
    inside = (distance > np.quantile(distance, 0.05)) & (distance < np.quantile(distance, 0.95))
    assert np.std((energies - missing)[inside]) < 0.25 * np.std(missing[inside])


def test_bad_input_is_refused():
    pool = few_atoms.frames(40)
    with pytest.raises(InputError, match="temperature -1 K"):
        oh.correction.match_populations(pool, pool, [TWISTS], temperature=-1)
    with pytest.raises(InputError, match="3 and 40 frames"):
        oh.correction.match_populations(pool[:3], pool, [TWISTS], temperature=300)
    with pytest.raises(InputError, match="the coordinate"):
        oh.correction.match_populations(pool, pool, [(0, 1, 2, 3, 4)], temperature=300)
    with pytest.raises(InputError, match="no coordinates"):
        oh.correction.match_populations(pool, pool, [], temperature=300)
    other = oh.Frames(pool.atomic_numbers[::-1].copy(), pool.positions)
    with pytest.raises(MismatchError, match="other atoms"):
        oh.correction.match_populations(pool, other, [TWISTS], temperature=300)
