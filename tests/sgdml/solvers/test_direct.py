"""The direct solver: its contract, panels, refusals and memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.solvers import direct
from openmm_hybrid.sgdml.solvers.direct import DirectSolver
from openmm_hybrid.sgdml.solvers.solver import Size
from openmm_hybrid.testing import SolverSuite
from tests.helpers.sgdml_data import LAM, SWAP, matrix_of, water, water_kernel, water_labels


@pytest.fixture
def kernel() -> HessianKernel:
    return water_kernel()


@pytest.fixture
def labels(kernel: HessianKernel) -> Tensor:
    return water_labels(kernel)


class TestDirectSolver(SolverSuite):
    @pytest.fixture
    def solver(self) -> DirectSolver:
        return DirectSolver()


def test_solution_to_nine_digits(kernel: HessianKernel, labels: Tensor) -> None:
    solution = DirectSolver().solve(kernel, labels, lam=LAM, start=None, progress=False)
    residual = torch.linalg.vector_norm(matrix_of(kernel) @ solution - labels) / torch.linalg.vector_norm(labels)
    assert residual < 1e-9


def test_a_wrong_solution_is_noticed(kernel: HessianKernel, labels: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = HessianKernel.columns
    monkeypatch.setattr(HessianKernel, "columns", lambda self, *span: 0.2 * columns(self, *span))
    with pytest.raises(NumericalError, match="residual"):
        DirectSolver().solve(kernel, labels, lam=LAM, start=None, progress=False)


@pytest.mark.parametrize("panel", [1, 20, 1024])
def test_solution_in_any_number_of_panels(
    panel: int, kernel: HessianKernel, labels: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "_PANEL", panel)
    solution = DirectSolver().solve(kernel, labels, lam=LAM, start=None, progress=False)
    np.testing.assert_allclose(solution, torch.linalg.solve(matrix_of(kernel), labels), rtol=1e-8, atol=1e-8)


def test_refuses_a_matrix_that_is_not_positive_definite() -> None:
    positions = water(4).positions
    kernel = HessianKernel.of(np.concatenate([positions, positions]), SWAP, 2.0)
    with pytest.raises(NumericalError, match="raise lam"):
        DirectSolver().solve(kernel, torch.ones(24, dtype=torch.float64), lam=0.0, start=None, progress=False)


def test_memory_is_half_a_matrix() -> None:
    size = Size(n_points=1000, block_size=57, n_pairs=210, n_perms=6)
    assert 0.5 < DirectSolver().memory(size) / (8 * size.n_rows**2) < 0.6
