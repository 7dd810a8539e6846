"""The preconditioner: how near to the inverse it is, and that it stays symmetric and positive definite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.solvers import preconditioner
from tests.helpers.sgdml_data import LAM, SWAP, matrix_of, water, water_kernel


@pytest.fixture
def kernel() -> HessianKernel:
    return water_kernel()


def spectrum_of(kernel: HessianKernel, rank: int) -> torch.Tensor:
    """Eigenvalues of P⁻¹ (K + λ)."""
    inverse = preconditioner.Preconditioner(kernel, lam=LAM, rank=rank, progress=False)
    lower = torch.linalg.cholesky(matrix_of(kernel))
    return torch.linalg.eigvalsh(lower.T @ torch.stack([inverse(column) for column in lower.T], dim=1))


def test_at_full_rank_the_preconditioned_matrix_is_one(kernel: HessianKernel) -> None:
    spectrum = spectrum_of(kernel, 60)
    assert spectrum[0] > 0.999
    assert spectrum[-1] < 1.001


def test_for_points_that_are_far_apart_the_blocks_suffice() -> None:
    """With a short kernel K is nearly block diagonal, and its blocks are far from a multiple of the unit matrix."""
    kernel = HessianKernel.of(water(20).positions, SWAP, 0.02)
    assert torch.linalg.cond(matrix_of(kernel)) > 50.0
    spectrum = spectrum_of(kernel, 6)
    assert spectrum[-1] / spectrum[0] < 6.0


def test_scaling_of_a_point_does_not_change_the_preconditioner(kernel: HessianKernel) -> None:
    """The directions of each geometry are scaled by its own block: other directions give the same P⁻¹ K."""
    turned = replace(kernel, basis=kernel.basis.flip(2), jacobians=kernel.jacobians.flip(2))
    np.testing.assert_allclose(spectrum_of(turned, 60), spectrum_of(kernel, 60), atol=1e-6)


def test_the_preconditioner_is_symmetric_positive_definite_and_can_be_softened(kernel: HessianKernel) -> None:
    inverse = preconditioner.Preconditioner(kernel, lam=LAM, rank=20, progress=False)
    assert len(np.unique(inverse.pivots)) == 20
    for _ in range(2):
        matrix = torch.stack([inverse(column) for column in torch.eye(60, dtype=torch.float64)])
        scale = float(matrix.abs().max())
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-10 * scale)
        assert torch.linalg.eigvalsh(matrix)[0] > 0.0
        inverse.soften()
