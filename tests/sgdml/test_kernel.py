"""The kernel matrix against automatic differentiation of the kernel itself, and against the matrix-free product."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from openmm_hybrid.sgdml import kernel as kernel_module
from openmm_hybrid.sgdml.descriptor import descriptor
from openmm_hybrid.sgdml.kernel import HessianKernel
from tests.helpers.sgdml_data import SWAP, water

SIGMA = 1.3


def covariance(first: Tensor, second: Tensor) -> Tensor:
    """Σ_s κ(|x(r) − x(r′)_s|): the definition of the covariance (see the module)."""
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


def test_internal_directions_are_all_but_translations_and_rotations(kernel: HessianKernel) -> None:
    assert kernel.block_size == 3  # of water: 9 − 6
    turned = torch.linalg.cross(kernel.positions, torch.tensor([0.3, -0.7, 0.2], dtype=torch.float64).expand(5, 3, 3))
    np.testing.assert_allclose(kernel.reduce(turned), 0.0, atol=1e-13)
    np.testing.assert_allclose(kernel.reduce(torch.ones_like(kernel.positions)), 0.0, atol=1e-13)
    flat = torch.tensor(np.random.default_rng(0).normal(size=15))
    np.testing.assert_allclose(kernel.reduce(kernel.expand(flat)), flat, atol=1e-13)


def test_a_diatomic_has_one_direction() -> None:
    positions = np.array([[[0.0, 0.0, 0.0], [0.4, 0.5, 0.6]], [[0.0, 0.0, 0.0], [0.5, 0.5, 0.6]]])
    kernel = HessianKernel.of(positions, np.arange(2)[None], SIGMA)
    assert kernel.block_size == 1
    ones = torch.ones(2, dtype=torch.float64)
    np.testing.assert_allclose(whole(kernel) @ ones, kernel.times(ones))


def test_blocks_are_the_mixed_second_derivatives(kernel: HessianKernel) -> None:
    second = torch.func.jacfwd(torch.func.jacrev(covariance, argnums=0), argnums=1)
    matrix = whole(kernel).reshape(5, 3, 5, 3)
    for i, j in [(1, 0), (4, 2), (3, 1)]:
        cartesian = second(kernel.positions[i], kernel.positions[j]).reshape(9, 9)
        np.testing.assert_allclose(matrix[i, :, j], kernel.basis[i].T @ cartesian @ kernel.basis[j], atol=1e-12)
        inside = kernel.basis[i] @ kernel.basis[i].T
        np.testing.assert_allclose(inside @ cartesian, cartesian, atol=1e-12)  # nothing is left out


def test_the_product_without_the_matrix_is_the_product_with_it(kernel: HessianKernel) -> None:
    vector = torch.tensor(np.random.default_rng(1).normal(size=15))
    np.testing.assert_allclose(kernel.times(vector), whole(kernel) @ vector, atol=1e-11)


def test_some_columns_and_the_diagonal(kernel: HessianKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = whole(kernel)
    monkeypatch.setattr(kernel_module, "_TILE", 20)  # two points at once
    columns = kernel.some_columns({1: torch.tensor([2, 0]), 4: torch.tensor([1])})
    np.testing.assert_allclose(columns, expected[:, [5, 3, 13]], atol=1e-14)
    np.testing.assert_allclose(kernel.diagonal(), expected.diagonal(), atol=1e-14)


def test_panels_and_tiles_are_parts_of_the_whole(kernel: HessianKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = whole(kernel)
    monkeypatch.setattr(kernel_module, "_TILE", 20)  # two points at once
    panel = kernel.columns(1, 3)
    assert panel.shape == (12, 6)
    np.testing.assert_allclose(panel[6:], expected[9:, 3:9], atol=1e-14)
    np.testing.assert_allclose(torch.tril(panel[:6]), torch.tril(expected[3:9, 3:9]), atol=1e-14)


def test_permuted_block_is_the_sum_over_the_images() -> None:
    positions = water(3).positions
    both = HessianKernel.of(positions, SWAP, SIGMA)
    alone = HessianKernel.of(np.concatenate([positions, positions[:1, [0, 2, 1]]]), SWAP[:1], SIGMA)
    full, parts = whole(both).reshape(3, 3, 3, 3), whole(alone).reshape(4, 3, 4, 3)
    swapped = both.basis[0].view(3, 3, 3)[[0, 2, 1]].reshape(9, 3)
    image = torch.einsum("ikl,lm->ikm", parts[:3, :, 3], alone.basis[3].T @ swapped)
    np.testing.assert_allclose(full[:, :, 0], parts[:3, :, 0] + image, atol=1e-12)
