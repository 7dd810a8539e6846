"""The kernel matrix against automatic differentiation of the kernel itself, and against the matrix-free product."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sgdml.toys import SWAP, water
from torch import Tensor

from openmm_hybrid.sgdml import kernel as kernel_module
from openmm_hybrid.sgdml.descriptor import descriptor
from openmm_hybrid.sgdml.kernel import HessianKernel

SIGMA = 1.3


def covariance(first: Tensor, second: Tensor) -> Tensor:
    """Σ_s κ(|x(r) − x(r′)_s|): the definition, in DESIGN, section 8."""
    total = torch.zeros((), dtype=torch.float64)
    for perm in torch.tensor(SWAP):
        difference = descriptor(first[None])[0] - descriptor(second[perm][None])[0]
        d = 5.0**0.5 / SIGMA * torch.linalg.vector_norm(difference)
        total = total + (1.0 + d + d * d / 3.0) * torch.exp(-d)
    return total


@pytest.fixture
def kernel() -> HessianKernel:
    return HessianKernel.of(water(5).positions, SWAP, SIGMA)


def whole(kernel: HessianKernel) -> Tensor:
    lower = kernel.columns(0, kernel.n_points)
    return torch.tril(lower) + torch.tril(lower, -1).T


def test_blocks_are_the_mixed_second_derivatives(kernel: HessianKernel) -> None:
    second = torch.func.jacfwd(torch.func.jacrev(covariance, argnums=0), argnums=1)
    matrix = whole(kernel).reshape(5, 9, 5, 9)
    for i, j in [(1, 0), (4, 2), (3, 1)]:
        expected = second(kernel.positions[i], kernel.positions[j]).reshape(9, 9)
        np.testing.assert_allclose(matrix[i, :, j], expected, atol=1e-12)


def test_the_product_without_the_matrix_is_the_product_with_it(kernel: HessianKernel) -> None:
    vector = torch.tensor(np.random.default_rng(1).normal(size=45))
    np.testing.assert_allclose(kernel.times(vector), whole(kernel) @ vector, atol=1e-11)


def test_panels_and_tiles_are_parts_of_the_whole(kernel: HessianKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = whole(kernel)
    monkeypatch.setattr(kernel_module, "_TILE", 60)  # two points at once
    panel = kernel.columns(1, 3)
    assert panel.shape == (36, 18)
    np.testing.assert_allclose(panel[18:], expected[27:, 9:27], atol=1e-14)
    np.testing.assert_allclose(torch.tril(panel[:18]), torch.tril(expected[9:27, 9:27]), atol=1e-14)


def test_permuted_block_is_the_sum_over_the_images() -> None:
    positions = water(3).positions
    alone = HessianKernel.of(positions, SWAP[:1], SIGMA).columns(0, 1)
    mixed = HessianKernel.of(np.concatenate([positions[:1, [0, 2, 1]], positions]), SWAP[:1], SIGMA).columns(0, 1)
    order = [0, 1, 2, 6, 7, 8, 3, 4, 5]
    both = HessianKernel.of(positions, SWAP, SIGMA).columns(0, 1)
    np.testing.assert_allclose(both, alone + mixed[9:][:, order], atol=1e-12)
