"""A bent triatomic with an analytic potential, E = Σ 30 Z_i Z_j e^(−r_ij) kcal/mol, at geometries made by a formula."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.data.frames import Frames

WATER = np.array([[0.0, 0.0, 0.12], [0.76, 0.0, -0.47], [-0.76, 0.0, -0.47]])
SWAP = np.array([[0, 1, 2], [0, 2, 1]])


def labelled(numbers: NDArray[np.int64], positions: NDArray[np.float64], name: str = "toy") -> Frames:
    """Frames with the energies and forces of the potential."""
    i, j = np.tril_indices(len(numbers), -1)
    difference = positions[:, i] - positions[:, j]
    r = np.linalg.norm(difference, axis=2)
    pair = 30.0 * numbers[i] * numbers[j] * np.exp(-r)
    forces = np.zeros_like(positions)
    for k, (a, b) in enumerate(zip(i, j, strict=True)):
        along = (pair[:, k] / r[:, k])[:, None] * difference[:, k]
        forces[:, a] += along
        forces[:, b] -= along
    return Frames(numbers, positions, pair.sum(axis=1), forces, name=name, theory="pairs")


def water(n_frames: int = 14) -> Frames:
    """Distorted waters; the same in every version of numpy."""
    k = np.arange(9.0 * n_frames)
    return labelled(np.array([8, 1, 1]), WATER + 0.08 * np.sin(1.7 * k + 0.3 * k**2).reshape(-1, 3, 3))
