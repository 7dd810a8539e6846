"""The direct solver against a dense solution, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sgdml.toys import SWAP, water

from openmm_hybrid.errors import InputError, NumericalError
from openmm_hybrid.sgdml import solve as solve_module
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.solve import available_memory, direct_memory, solve_direct


@pytest.mark.parametrize("panel", [1, 20, 1024])
def test_solution_in_any_number_of_panels(panel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve_module, "_PANEL", panel)
    kernel = HessianKernel.of(water(7).positions, SWAP, 2.0)
    lower = kernel.columns(0, 7)
    matrix = torch.tril(lower) + torch.tril(lower, -1).T + 1e-3 * torch.eye(63, dtype=torch.float64)
    labels = torch.tensor(np.random.default_rng(2).normal(size=63))
    solution = solve_direct(kernel, labels, lam=1e-3, show=False)
    np.testing.assert_allclose(solution, torch.linalg.solve(matrix, labels), rtol=1e-8, atol=1e-8)


def test_a_matrix_that_is_not_positive_definite_is_told() -> None:
    positions = water(4).positions
    kernel = HessianKernel.of(np.concatenate([positions, positions]), SWAP, 2.0)
    with pytest.raises(NumericalError, match="raise lam"):
        solve_direct(kernel, torch.ones(72, dtype=torch.float64), lam=0.0, show=False)


def test_a_wrong_solution_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = HessianKernel.of(water(4).positions, SWAP, 2.0)
    whole = HessianKernel.columns
    monkeypatch.setattr(HessianKernel, "columns", lambda self, first, last: 0.2 * whole(self, first, last))
    labels = torch.tensor(water(4).forces).reshape(-1)
    with pytest.raises(NumericalError, match="residual"):
        solve_direct(kernel, labels, lam=1e-3, show=False)


def test_what_does_not_fit_is_refused_with_what_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve_module, "available_memory", lambda: direct_memory(5, 3))
    kernel = HessianKernel.of(water(14).positions, SWAP, 2.0)
    with pytest.raises(InputError, match=r"n_train=5\b"):
        solve_direct(kernel, torch.ones(126, dtype=torch.float64), lam=1e-10, show=False)


def test_memory_is_half_a_matrix() -> None:
    rows = 3 * 21 * 1000
    assert 0.5 < direct_memory(1000, 21) / (8 * rows**2) < 0.6
    assert available_memory() > 0
