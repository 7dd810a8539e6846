"""Products without a matrix against products with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.sgdml import product as product_module
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.product import KernelProduct, weights_memory
from tests.helpers.sgdml_data import SWAP, water


def matrix_of(kernel: HessianKernel) -> Tensor:
    lower = kernel.columns(0, kernel.n_points)
    return torch.tril(lower) + torch.tril(lower, -1).T


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("tile", [1, 30, 2**18])
@pytest.mark.parametrize("perms", [SWAP, SWAP[:1]])
def test_product(perms: NDArray[np.int64], tile: int, keep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product_module, "_TILE", tile)
    kernel = HessianKernel.of(water(7).positions, perms, 2.0)
    vector = torch.tensor(np.random.default_rng(1).normal(size=kernel.n_rows))
    product = KernelProduct(kernel, kernel, keep=keep)
    for _ in range(2):
        np.testing.assert_allclose(product(vector), matrix_of(kernel) @ vector, atol=1e-13)


def test_product_of_a_part() -> None:
    kernel = HessianKernel.of(water(7).positions, SWAP, 2.0)
    rows, columns = torch.tensor([5, 0]), torch.tensor([1, 2, 6])
    part = matrix_of(kernel).view(7, 3, 7, 3)[rows][:, :, columns].reshape(6, 9)
    vector = torch.tensor(np.random.default_rng(1).normal(size=9))
    np.testing.assert_allclose(KernelProduct(kernel.at(rows), kernel.at(columns))(vector), part @ vector, atol=1e-13)


def test_all_pairs_moved_by_the_permutations() -> None:
    positions = np.random.default_rng(0).normal(size=(4, 2, 3))
    kernel = HessianKernel.of(positions, np.array([[0, 1], [1, 0]]), 2.0)
    vector = torch.tensor(np.random.default_rng(1).normal(size=kernel.n_rows))
    np.testing.assert_allclose(KernelProduct(kernel, kernel)(vector), matrix_of(kernel) @ vector, atol=1e-13)


def test_memory_of_the_weights() -> None:
    kernel = HessianKernel.of(water(7).positions, SWAP, 2.0)
    kept = KernelProduct(kernel, kernel)._kept
    assert sum(8 * (t.w1.numel() + t.w2.numel() + t.w1_sum.numel()) for t in kept) == weights_memory(7, 7, 2)
