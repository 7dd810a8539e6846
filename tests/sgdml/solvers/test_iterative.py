"""The iterative solver: its contract, starts, checkpoints and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.product import KernelProduct
from openmm_hybrid.sgdml.solvers import iterative
from openmm_hybrid.sgdml.solvers.iterative import TOLERANCE, IterativeSolver
from openmm_hybrid.testing import SolverSuite
from tests.helpers.sgdml_data import LAM, SWAP, matrix_of, water, water_kernel, water_labels

SOLVERS = {
    "low rank": IterativeSolver(rank=20),
    "full rank": IterativeSolver(rank=60),
    "weights made anew": IterativeSolver(rank=20, keep=False),
}


@pytest.fixture
def kernel() -> HessianKernel:
    return water_kernel()


@pytest.fixture
def labels(kernel: HessianKernel) -> Tensor:
    return water_labels(kernel)


class TestIterativeSolver(SolverSuite):
    @pytest.fixture(params=SOLVERS)
    def solver(self, request: pytest.FixtureRequest) -> IterativeSolver:
        return SOLVERS[request.param]


@pytest.mark.parametrize("name", SOLVERS)
def test_solution_within_the_tolerance(name: str, kernel: HessianKernel, labels: Tensor) -> None:
    solution = SOLVERS[name].solve(kernel, labels, lam=LAM, start=None, progress=False)
    residual = torch.linalg.vector_norm(matrix_of(kernel) @ solution - labels) / torch.linalg.vector_norm(labels)
    assert residual < TOLERANCE


@pytest.mark.parametrize("name", SOLVERS)
def test_a_wrong_solution_is_noticed(
    name: str, kernel: HessianKernel, labels: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = KernelProduct.__call__
    monkeypatch.setattr(KernelProduct, "__call__", lambda self, flat: 0.2 * product(self, flat))
    with pytest.raises(NumericalError, match="residual"):
        SOLVERS[name].solve(kernel, labels, lam=LAM, start=None, progress=False)


def test_a_matrix_of_lower_rank_is_solved() -> None:
    frames = water(4)
    kernel = HessianKernel.of(np.concatenate([frames.positions] * 2), SWAP, 2.0)
    forces = kernel.reduce(torch.tensor(np.concatenate([frames.forces] * 2)))
    solution = IterativeSolver(rank=24).solve(kernel, forces, lam=1e-6, start=None, progress=False)
    np.testing.assert_allclose(kernel.times(solution), forces, atol=2 * TOLERANCE * float(torch.linalg.norm(forces)))


def iterations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one element with every iteration."""
    done: list[int] = []
    step = iterative._iterate

    def counted(*arguments: object) -> None:
        done.append(1)
        step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(iterative, "_iterate", counted)
    return done


def test_a_start_saves_iterations(kernel: HessianKernel, labels: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    solver, done = IterativeSolver(rank=5), iterations(monkeypatch)
    solution = solver.solve(kernel, labels, lam=LAM, start=None, progress=False)
    cold = len(done)
    assert cold > 5
    again = solver.solve(kernel, labels, lam=LAM, start=3.0 * solution, progress=False)  # scaled to the best multiple
    assert len(done) == cold
    np.testing.assert_allclose(again, solution, rtol=1e-3, atol=1e-3 * float(solution.abs().max()))


def test_killed_and_started_again_it_resumes(
    kernel: HessianKernel, labels: Tensor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "training.npz"
    monkeypatch.setattr(iterative, "_SAVE_EVERY", 0.0)
    done = iterations(monkeypatch)
    undisturbed = IterativeSolver(rank=5).solve(kernel, labels, lam=LAM, start=None, progress=False)
    whole = len(done)
    del done[:]
    save = iterative.save_state

    def save_and_die(path: Path, state: iterative.State, system: str) -> None:
        save(path, state, system)
        if state.iteration == whole // 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(iterative, "save_state", save_and_die)
    solver = IterativeSolver(rank=5, checkpoint=path)
    with pytest.raises(KeyboardInterrupt):
        solver.solve(kernel, labels, lam=LAM, start=None, progress=False)
    assert path.is_file()
    monkeypatch.setattr(iterative, "save_state", save)
    other = replace(kernel, sigma=2.5)
    with pytest.raises(InputError, match="another training"):
        solver.solve(other, labels, lam=LAM, start=None, progress=False)
    resumed = solver.solve(kernel, labels, lam=LAM, start=None, progress=False)
    assert len(done) == whole
    np.testing.assert_allclose(resumed, undisturbed, rtol=1e-9, atol=1e-9)
    assert not path.exists()


def test_a_file_that_is_no_checkpoint_is_refused_and_kept(
    kernel: HessianKernel, labels: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "precious.npz"
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="a checkpoint of a training"):
        IterativeSolver(rank=5, checkpoint=path).solve(kernel, labels, lam=LAM, start=None, progress=False)
    assert path.read_bytes() == b"something else"
