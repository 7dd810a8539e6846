"""Selection of frames: farthest first, and none twice."""

from __future__ import annotations

import numpy as np

from openmm_hybrid.refinement.select import farthest


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
