"""Frames of dynamics in implicit water, and their selection: farthest first, and none twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm

from openmm_hybrid.refinement.select import farthest, sampled
from tests.helpers.oscillators import topology_of


def _line(lengths: list[float]) -> np.ndarray:
    """Frames of two atoms with these distances."""
    return np.array([[[0.0, 0.0, 0.0], [length, 0.0, 0.0]] for length in lengths])


def test_the_farthest_frames_come_first() -> None:
    """Inverse distances 1, 0.99, 0.5 and 0.4 with 1 known: 0.4 is farthest, then 0.5, then 0.99."""
    pool = _line([1 / 0.99, 2.0, 2.5])
    assert farthest(pool, _line([1.0]), 3).tolist() == [2, 1, 0]
    assert farthest(pool, _line([1.0]), 1).tolist() == [2]


def test_frames_come_once_and_rotations_are_known_frames() -> None:
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(20, 5, 3)) * 3.0
    chosen = farthest(pool, pool[:0], 50)
    assert sorted(chosen.tolist()) == list(range(20))
    turned = pool[:19] @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert farthest(pool, turned, 1).tolist() == [19]


def test_several_starts_in_implicit_water(tmp_path: Path) -> None:
    system, topology = openmm.System(), topology_of(["C", "C"])
    topology.addBond(*topology.atoms())
    bond, water = openmm.HarmonicBondForce(), openmm.GBSAOBCForce()
    bond.addBond(0, 1, 0.15, 1e5)
    for charge in (0.3, -0.3):
        system.addParticle(12.0)
        water.addParticle(charge, 0.17, 0.72)
    system.addForce(bond)
    system.addForce(water)
    pool = sampled(
        system, topology, _line([1.5, 1.45]), tmp_path, duration=0.1, interval=20, temperature=300.0, seed=1,
        progress=False,
    )  # fmt: skip
    assert len(pool.positions) == 10
    assert pool.failure == ""
