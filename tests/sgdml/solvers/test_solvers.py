"""Every solver against a dense solution; which one is chosen, and what is refused."""

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
from openmm_hybrid.sgdml.solvers import choice, direct, iterative, memory, pick_device, preconditioner, solve
from openmm_hybrid.sgdml.solvers import solver as base
from openmm_hybrid.sgdml.solvers.direct import DirectSolver
from openmm_hybrid.sgdml.solvers.iterative import TOLERANCE, IterativeSolver
from openmm_hybrid.sgdml.solvers.solver import Size, Solver
from tests.helpers.sgdml_data import SWAP, water

LAM = 1e-3
SOLVERS: dict[str, tuple[Solver, float]] = {
    "direct": (DirectSolver(), 1e-9),
    "iterative": (IterativeSolver(rank=20), TOLERANCE),
    "iterative, full rank": (IterativeSolver(rank=60), TOLERANCE),
    "iterative, weights made anew": (IterativeSolver(rank=20, keep=False), TOLERANCE),
}


def matrix_of(kernel: HessianKernel) -> Tensor:
    lower = kernel.columns(0, kernel.n_points)
    return torch.tril(lower) + torch.tril(lower, -1).T + LAM * torch.eye(kernel.n_rows, dtype=torch.float64)


@pytest.fixture
def kernel() -> HessianKernel:
    return HessianKernel.of(water(20).positions, SWAP, 2.0)


@pytest.fixture
def labels(kernel: HessianKernel) -> Tensor:
    forces = water(20).forces
    return kernel.reduce(torch.tensor(forces / np.std(forces)))


@pytest.mark.parametrize("name", SOLVERS)
def test_solution(name: str, kernel: HessianKernel, labels: Tensor) -> None:
    solver, tolerance = SOLVERS[name]
    solution = solver.solve(kernel, labels, lam=LAM, start=None, progress=False)
    residual = torch.linalg.vector_norm(matrix_of(kernel) @ solution - labels) / torch.linalg.vector_norm(labels)
    assert residual < tolerance


@pytest.mark.parametrize("name", SOLVERS)
def test_a_wrong_solution_is_noticed(
    name: str, kernel: HessianKernel, labels: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns, product = HessianKernel.columns, KernelProduct.__call__
    monkeypatch.setattr(HessianKernel, "columns", lambda self, *span: 0.2 * columns(self, *span))
    monkeypatch.setattr(KernelProduct, "__call__", lambda self, flat: 0.2 * product(self, flat))
    with pytest.raises(NumericalError, match="residual"):
        SOLVERS[name][0].solve(kernel, labels, lam=LAM, start=None, progress=False)


@pytest.mark.parametrize("name", SOLVERS)
def test_estimates_grow_with_the_size(name: str, kernel: HessianKernel) -> None:
    solver, size = SOLVERS[name][0], Size.of(kernel)
    larger = replace(size, n_points=2 * size.n_points)
    assert 0 < solver.memory(size) < solver.memory(larger)
    assert 0 < solver.operations(size) < solver.operations(larger)


@pytest.mark.parametrize("panel", [1, 20, 1024])
def test_direct_solution_in_any_number_of_panels(
    panel: int, kernel: HessianKernel, labels: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "_PANEL", panel)
    solution = DirectSolver().solve(kernel, labels, lam=LAM, start=None, progress=False)
    np.testing.assert_allclose(solution, torch.linalg.solve(matrix_of(kernel), labels), rtol=1e-8, atol=1e-8)


def test_direct_refuses_a_matrix_that_is_not_positive_definite() -> None:
    positions = water(4).positions
    kernel = HessianKernel.of(np.concatenate([positions, positions]), SWAP, 2.0)
    with pytest.raises(NumericalError, match="raise lam"):
        DirectSolver().solve(kernel, torch.ones(24, dtype=torch.float64), lam=0.0, start=None, progress=False)


def test_direct_memory_is_half_a_matrix() -> None:
    size = Size(n_points=1000, block_size=57, n_pairs=210, n_perms=6)
    assert 0.5 < DirectSolver().memory(size) / (8 * size.n_rows**2) < 0.6


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


def test_killed_and_started_again_it_goes_on(
    kernel: HessianKernel, labels: Tensor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "training.npz"
    monkeypatch.setattr(iterative, "_SAVE_EVERY", 0.0)
    done = iterations(monkeypatch)
    undisturbed = IterativeSolver(rank=5).solve(kernel, labels, lam=LAM, start=None, progress=False)
    whole = len(done)
    del done[:]
    save = iterative.save_state

    def save_and_die(path: Path, state: iterative.State, job: dict[str, object]) -> None:
        save(path, state, job)
        if state.iteration == whole // 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(iterative, "save_state", save_and_die)
    solver = IterativeSolver(rank=5, checkpoint=path)
    with pytest.raises(KeyboardInterrupt):
        solver.solve(kernel, labels, lam=LAM, start=None, progress=False)
    assert path.is_file()
    monkeypatch.setattr(iterative, "save_state", save)
    other = replace(kernel, sigma=2.5)
    with pytest.raises(InputError, match=r"another training: sigma .* there, 2.5 now"):
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
    with pytest.raises(InputError, match=r"expected a checkpoint of a training.*remove it"):
        IterativeSolver(rank=5, checkpoint=path).solve(kernel, labels, lam=LAM, start=None, progress=False)
    assert path.read_bytes() == b"something else"


SIZE = Size(n_points=600, block_size=57, n_pairs=210, n_perms=6)


def test_auto_takes_the_direct_solver_for_small_systems_and_the_other_for_large() -> None:
    small = replace(SIZE, n_points=20)
    assert choice.plan(small, max_memory=50.0, device="cpu").solver.name == "direct"
    large = choice.plan(SIZE, max_memory=50.0, device="cpu")
    assert large.solver.name == "iterative"
    assert "34200 equations" in str(large)


def test_less_memory_means_a_lower_rank_and_weights_made_anew() -> None:
    roomy = choice.plan(SIZE, max_memory=20.0, device="cpu").memory / 1e9
    found = [choice.plan(SIZE, max_memory=share * roomy, device="cpu") for share in (1.0, 0.7, 0.5)]
    assert [each.memory <= each.budget for each in found] == [True] * 3
    ranks = [each.solver.rank for each in found if isinstance(each.solver, IterativeSolver)]
    assert ranks[0] > ranks[1] > ranks[2]
    assert choice.plan(SIZE, solver="direct", max_memory=20.0, device="cpu").solver.name == "direct"


@pytest.mark.parametrize("name", ["auto", "direct", "iterative"])
def test_what_does_not_fit_is_refused_with_what_would(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "available_memory", lambda device: 500_000_000)
    with pytest.raises(InputError, match=r"n_train=(\d+)") as refusal:
        choice.plan(SIZE, solver=name, device="cpu")
    fitting = int(str(refusal.value).partition("n_train=")[2].partition(")")[0])
    assert 0 < fitting < 600
    choice.plan(replace(SIZE, n_points=fitting), solver=name, device="cpu")
    with pytest.raises(InputError):
        choice.plan(replace(SIZE, n_points=fitting + 1), solver=name, device="cpu")


def test_settings_are_refused(kernel: HessianKernel) -> None:
    vectors = torch.zeros(kernel.n_rows, dtype=torch.float64)
    with pytest.raises(InputError, match="direct, iterative"):
        solve(kernel, vectors, lam=1.0, solver="fast")
    with pytest.raises(InputError, match="max_memory"):
        solve(kernel, vectors, lam=1.0, max_memory=0.0)
    with pytest.raises(InputError, match="no device 'tpu'"):
        pick_device("tpu")


def test_solve_chooses_for_itself(kernel: HessianKernel) -> None:
    forces = torch.tensor(water(20).forces)
    solution = solve(kernel, kernel.reduce(forces), lam=LAM, progress=False)
    back = kernel.expand(matrix_of(kernel) @ solution)
    np.testing.assert_allclose(back, forces, atol=1e-7 * float(forces.abs().max()))


def test_memory_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit, used, info = tmp_path / "max", tmp_path / "current", tmp_path / "meminfo"
    used.write_text("300\n")
    info.write_text("MemTotal: 8 kB\nMemAvailable:  4 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", info)
    monkeypatch.setattr(memory, "_CGROUPS", ((limit, used),))
    for text, expected in (("max\n", 4096), ("1000\n", 700), ("100000000\n", 4096)):
        limit.write_text(text)
        assert memory.available_memory() == expected


def test_every_solver_is_tested() -> None:
    assert {type(solver) for solver, _ in SOLVERS.values()} == set(base.Solver.__subclasses__())
