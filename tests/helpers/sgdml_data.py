"""A bent triatomic with an analytic potential, E = Σ 30 Z_i Z_j e^(−r_ij) kcal/mol, at geometries made by a formula."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.data.frames import Frames
from openmm_hybrid.sgdml.kernel import HessianKernel

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


LAM = 1e-3
"""Regularisation of `matrix_of`."""


def water_kernel() -> HessianKernel:
    """The kernel of 20 waters."""
    return HessianKernel.of(water(20).positions, SWAP, 2.0)


def water_labels(kernel: HessianKernel) -> Tensor:
    """The forces of 20 waters over their standard deviation, in the kernel's components."""
    forces = water(20).forces
    return kernel.reduce(torch.tensor(forces / np.std(forces)))


def matrix_of(kernel: HessianKernel) -> Tensor:
    """K_Hess + LAM 1 as a whole."""
    lower = kernel.columns(0, kernel.n_points)
    return torch.tril(lower) + torch.tril(lower, -1).T + LAM * torch.eye(kernel.n_rows, dtype=torch.float64)
