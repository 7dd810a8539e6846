"""The preconditioner: how near to the inverse it is, and that it stays symmetric and positive definite."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.solvers import preconditioner
from tests.helpers.sgdml_data import LAM, matrix_of, water_kernel


@pytest.fixture
def kernel() -> HessianKernel:
    return water_kernel()


def test_at_full_rank_the_preconditioned_matrix_is_nearly_one(kernel: HessianKernel) -> None:
    """P = K²/(K + μ) + μ with the ridge μ, so that (K + μ)/P is between 1 and 4/3 (at K = μ)."""
    inverse = preconditioner.Preconditioner(kernel, lam=LAM, rank=60, progress=False)
    lower = torch.linalg.cholesky(matrix_of(kernel))
    matrix = lower.T @ torch.stack([inverse(column) for column in lower.T], dim=1)
    spectrum = torch.linalg.eigvalsh(matrix) / LAM
    assert spectrum[0] > 0.999
    assert spectrum[-1] < 1.334


def test_the_preconditioner_is_symmetric_positive_definite_and_can_be_softened(kernel: HessianKernel) -> None:
    inverse = preconditioner.Preconditioner(kernel, lam=LAM, rank=20, progress=False)
    assert len(np.unique(inverse.pivots)) == 20
    for _ in range(2):
        matrix = torch.stack([inverse(column) for column in torch.eye(60, dtype=torch.float64)])
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-10)
        spectrum = torch.linalg.eigvalsh(matrix)
        assert spectrum[0] > 0.0
        assert spectrum[-1] < 1.0 + 1e-9
        inverse.soften()
