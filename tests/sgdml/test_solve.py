"""Which solver is chosen, what it is expected to cost, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from openmm_hybrid.core import registry
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.sgdml import solve as choice
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.solve import pick_device, plan, solve
from openmm_hybrid.sgdml.solvers import SOLVERS, convergence
from openmm_hybrid.sgdml.solvers.direct import DirectSolver
from openmm_hybrid.sgdml.solvers.iterative import IterativeSolver
from openmm_hybrid.sgdml.solvers.solver import Size, Solver
from tests.helpers.sgdml_data import LAM, matrix_of, water, water_kernel, water_labels

SIZE = Size(n_points=600, block_size=57, n_pairs=210, n_perms=6)


@pytest.fixture
def kernel() -> HessianKernel:
    return water_kernel()


def test_auto_takes_the_direct_solver_for_small_systems_and_the_other_for_large() -> None:
    small = replace(SIZE, n_points=20)
    assert plan(small, max_memory=50.0, device="cpu").solver.name == "direct"
    large = plan(SIZE, max_memory=50.0, device="cpu")
    assert large.solver.name == "iterative"
    assert "34200 equations" in str(large)


def test_less_memory_means_a_lower_rank_and_weights_made_anew() -> None:
    roomy = plan(SIZE, max_memory=20.0, device="cpu").memory / 1e9
    found = [plan(SIZE, max_memory=share * roomy, device="cpu") for share in (1.0, 0.7, 0.5)]
    assert [each.memory <= each.budget for each in found] == [True] * 3
    ranks = [each.solver.rank for each in found if isinstance(each.solver, IterativeSolver)]
    assert ranks[0] > ranks[1] > ranks[2]
    assert plan(SIZE, solver="direct", max_memory=20.0, device="cpu").solver.name == "direct"


@pytest.mark.parametrize("name", ["auto", "direct", "iterative"])
def test_what_does_not_fit_is_refused_with_what_would(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "available_memory", lambda device: 500_000_000)
    with pytest.raises(InputError, match=r"n_train=(\d+)") as refusal:
        plan(SIZE, solver=name, device="cpu")
    fitting = int(str(refusal.value).partition("n_train=")[2].partition(")")[0])
    assert 0 < fitting < 600
    plan(replace(SIZE, n_points=fitting), solver=name, device="cpu")
    with pytest.raises(InputError):
        plan(replace(SIZE, n_points=fitting + 1), solver=name, device="cpu")


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
    monkeypatch.setattr(choice, "_MEMINFO", info)
    monkeypatch.setattr(choice, "_CGROUPS", ((limit, used),))
    for text, expected in (("max\n", 4096), ("1000\n", 700), ("100000000\n", 4096)):
        limit.write_text(text)
        assert choice.available_memory() == expected


def test_solvers_say_what_they_take(tmp_path: Path) -> None:
    with_energies = replace(SIZE, n_points=20, with_energies=True)
    assert plan(with_energies, max_memory=50.0, device="cpu").solver.name == "direct"
    with pytest.raises(InputError, match="for the direct solver; expected"):
        plan(with_energies, solver="iterative", device="cpu")
    with pytest.raises(InputError, match="direct solver, which keeps no checkpoint"):
        plan(with_energies, checkpoint=tmp_path / "state.npz", device="cpu")
    with pytest.raises(InputError, match="direct solver keeps no checkpoint"):
        plan(SIZE, solver="direct", checkpoint=tmp_path / "state.npz", device="cpu")
    chosen = plan(SIZE, checkpoint=tmp_path / "state.npz", max_memory=50.0, device="cpu").solver
    assert isinstance(chosen, IterativeSolver)
    assert chosen.checkpoint == tmp_path / "state.npz"


@dataclass(frozen=True)
class Foreign(Solver):
    """A solver of another distribution, which promises to be fast."""

    name: ClassVar[str] = "foreign"
    accuracy: ClassVar[float] = 1e-9
    takes_energies: ClassVar[bool] = True

    @classmethod
    def candidates(cls, size: Size, checkpoint: Path | None) -> Sequence[Solver]:
        return [cls()]

    def memory(self, size: Size) -> int:
        return 8 * size.n_rows**2

    def operations(self, size: Size) -> float:
        return float(size.n_rows)

    def solve(
        self, kernel: HessianKernel, labels: Tensor, *, lam: float, start: Tensor | None, progress: bool
    ) -> Tensor:
        return torch.linalg.solve(matrix_of(kernel), labels)


def test_a_solver_of_another_distribution_is_chosen(kernel: HessianKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("foreign", f"{__name__}:Foreign", SOLVERS.group)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Foreign)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == SOLVERS.group else [])
    assert SOLVERS.names() == ("direct", "iterative", "foreign")
    for name in ("auto", "foreign"):
        assert plan(SIZE, solver=name, max_memory=50.0, device="cpu").solver == Foreign()
        assert plan(replace(SIZE, with_energies=True), solver=name, max_memory=50.0, device="cpu").solver == Foreign()
    assert plan(SIZE, max_memory=5.0, device="cpu").solver.name == "iterative"  # Foreign needs 9.4 GB
    with pytest.raises(InputError, match=r"9\.4 GB of memory with the foreign solver"):
        plan(SIZE, solver="foreign", max_memory=5.0, device="cpu")
    labels = torch.ones(kernel.n_rows, dtype=torch.float64)
    solution = solve(kernel, labels, lam=LAM, solver="foreign", progress=False)
    np.testing.assert_allclose(matrix_of(kernel) @ solution, labels, atol=1e-9)


def test_every_built_in_solver_has_its_own_name() -> None:
    for name in SOLVERS.builtin:
        assert SOLVERS.load(name).name == name


def failing(kind: type[Solver], monkeypatch: pytest.MonkeyPatch, problem: str) -> list[Solver]:
    """Make a solver fail; the list grows by each variant that was tried."""
    tried: list[Solver] = []

    def solve(self: Solver, *_: object, **__: object) -> Tensor:
        tried.append(self)
        raise NumericalError(problem)

    monkeypatch.setattr(kind, "solve", solve)
    return tried


@pytest.mark.parametrize(("fails", "works"), [(IterativeSolver, "direct"), (DirectSolver, "iterative")])
def test_auto_changes_to_the_other_solver(
    fails: type[Solver],
    works: str,
    kernel: HessianKernel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Cheap, so that it is tried first.
    monkeypatch.setattr(fails, "operations", lambda self, size: 1.0)
    tried = failing(fails, monkeypatch, "the residual stopped falling")
    labels = water_labels(kernel)
    solution = solve(kernel, labels, lam=LAM, progress=True)
    assert len(tried) == 1
    error = torch.linalg.vector_norm(matrix_of(kernel) @ solution - labels) / torch.linalg.vector_norm(labels)
    assert error < 2e-4
    assert f"the residual stopped falling; next: {works} solver" in capsys.readouterr().err
    with pytest.raises(NumericalError, match="stopped falling"):
        solve(kernel, labels, lam=LAM, solver=fails.name, progress=False)


def test_the_iterative_solver_gets_the_time_of_the_direct_one(
    kernel: HessianKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "_speed", lambda device: 1e9)
    monkeypatch.setattr(DirectSolver, "operations", lambda self, size: 7e9)
    tried = failing(IterativeSolver, monkeypatch, "slow")
    solve(kernel, water_labels(kernel), lam=LAM, progress=False)
    assert isinstance(tried[0], IterativeSolver)
    assert tried[0].seconds == 7.0


def test_iterations_that_need_longer_than_the_direct_solver_end(
    kernel: HessianKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convergence, "_FIRST", 2)
    monkeypatch.setattr(IterativeSolver, "operations", lambda self, size: 1.0)
    monkeypatch.setattr(IterativeSolver, "candidates", classmethod(lambda cls, size, checkpoint: [cls(1)]))
    labels = water_labels(kernel)
    exact = DirectSolver().solve(kernel, labels, lam=LAM, start=None, progress=False)
    monkeypatch.setattr(DirectSolver, "operations", lambda self, size: 1e-30)
    monkeypatch.setattr(IterativeSolver, "preference", 1e40)
    np.testing.assert_array_equal(solve(kernel, labels, lam=LAM, progress=False), exact)


def test_when_all_fail_the_error_says_what_would_work(
    kernel: HessianKernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failing(IterativeSolver, monkeypatch, "one reason")
    failing(DirectSolver, monkeypatch, "another reason")
    labels = water_labels(kernel)
    with pytest.raises(NumericalError, match=r"iterative solver: one reason.*raise lam") as both:
        solve(kernel, labels, lam=LAM, progress=False)
    assert "direct solver: another reason" in str(both.value)
    monkeypatch.setattr(DirectSolver, "memory", lambda self, size: 10**12)
    with pytest.raises(NumericalError, match=r"one reason; give max_memory=1000\.0 or more, for the direct solver"):
        solve(kernel, labels, lam=LAM, progress=False)
