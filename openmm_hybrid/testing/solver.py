"""The conformance suite of sGDML solvers: inherit it in a test module and give its fixture.

class TestMySolver(SolverSuite):
    @pytest.fixture
    def solver(self):
        return MySolver()
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.solvers.solver import Size, Solver

_LAM = 1e-3
_SWAP = np.array([[0, 1, 2], [0, 2, 1]])


class SolverSuite:
    """What every Solver owes the training.

    Fixture to give: ``solver`` (Solver). The linear system is that of 20 geometries of a triatomic with two equivalent
    atoms. The residual may exceed the solver's stated accuracy by the factor `slack`, since it is computed here with
    the whole matrix, and rounds differently.
    """

    slack = 2.0

    @pytest.fixture
    def kernel(self) -> HessianKernel:
        return _kernel()

    @pytest.fixture
    def labels(self, kernel: HessianKernel) -> Tensor:
        return _labels(kernel)

    def solved(self, solver: Solver, kernel: HessianKernel, labels: Tensor, start: Tensor | None = None) -> Tensor:
        """A solution that has been compared with the exact one."""
        before = labels.clone()
        solution = solver.solve(kernel, labels, lam=_LAM, start=start, progress=False)
        assert torch.equal(labels, before), "the solver changed the labels"
        matrix = _matrix(kernel)
        norm = torch.linalg.vector_norm
        limit = float(self.slack * solver.accuracy * norm(labels))
        assert float(norm(matrix @ solution - labels)) < limit
        # |β − β_exact| ≤ |residual| / smallest eigenvalue
        exact = torch.linalg.solve(matrix, labels)
        smallest = float(torch.linalg.eigvalsh(matrix)[0])
        assert float(norm(solution - exact)) < limit / smallest + 1e-10 * float(norm(exact))
        return solution

    def test_solution(self, solver: Solver, kernel: HessianKernel, labels: Tensor) -> None:
        assert 0.0 < solver.accuracy <= 1e-3
        assert self.solved(solver, kernel, labels).shape == (kernel.n_rows,)

    def test_solution_with_energies(self, solver: Solver) -> None:
        if not solver.takes_energies:
            pytest.skip("the solver does not take energies, and `plan` does not ask it to")
        kernel = _kernel(with_energies=True)
        self.solved(solver, kernel, _labels(kernel))

    def test_any_start_leads_to_the_solution(self, solver: Solver, kernel: HessianKernel, labels: Tensor) -> None:
        exact = torch.linalg.solve(_matrix(kernel), labels)
        for start in (exact, -3.0 * exact, torch.ones_like(exact), torch.zeros_like(exact)):
            before = start.clone()
            self.solved(solver, kernel, labels, start)
            assert torch.equal(start, before), "the solver changed the start"

    def test_a_system_without_solution_is_refused(self, solver: Solver) -> None:
        """Each geometry is given twice, with opposite forces."""
        positions = _positions(4)
        kernel = HessianKernel.of(np.concatenate([positions, positions]), _SWAP, 2.0)
        forces = torch.sin(torch.arange(36.0, dtype=torch.float64)).view(4, 3, 3)
        labels = kernel.reduce(torch.cat([forces, -forces]))
        with pytest.raises(NumericalError):
            solver.solve(kernel, labels, lam=0.0, start=None, progress=False)

    def test_estimates_are_positive_and_grow(self, solver: Solver, kernel: HessianKernel) -> None:
        size = Size.of(kernel)
        for variant in (solver, *solver.candidates(size, None)):
            for larger in (replace(size, n_points=2 * size.n_points), replace(size, n_points=50 * size.n_points)):
                assert 0 < variant.memory(size) < variant.memory(larger)
                assert 0 < variant.operations(size) < variant.operations(larger)

    def test_candidates_are_of_its_kind_and_solve(self, solver: Solver, kernel: HessianKernel, labels: Tensor) -> None:
        assert solver.name not in ("", "auto")
        assert solver.preference > 0.0
        candidates = solver.candidates(Size.of(kernel), None)
        assert candidates
        for variant in candidates:
            assert type(variant) is type(solver)
            self.solved(variant, kernel, labels)

    def test_without_progress_it_is_quiet(
        self, solver: Solver, kernel: HessianKernel, labels: Tensor, capfd: pytest.CaptureFixture[str]
    ) -> None:
        solver.solve(kernel, labels, lam=_LAM, start=None, progress=False)
        assert capfd.readouterr() == ("", "")

    def test_the_checkpoint_is_removed_and_a_foreign_file_kept(
        self, solver: Solver, kernel: HessianKernel, labels: Tensor, tmp_path: Path
    ) -> None:
        if not solver.keeps_checkpoint:
            pytest.skip("the solver keeps no checkpoint")
        path = tmp_path / "training.npz"
        keeping = solver.candidates(Size.of(kernel), path)[0]
        self.solved(keeping, kernel, labels)
        assert not path.exists()
        path.write_bytes(b"something else")
        with pytest.raises(InputError, match="checkpoint"):
            keeping.solve(kernel, labels, lam=_LAM, start=None, progress=False)
        assert path.read_bytes() == b"something else"


def _positions(n_frames: int) -> np.ndarray:
    """Distorted bent triatomics (n_frames, 3, 3), Å; the same in every version of numpy."""
    k = np.arange(9.0 * n_frames)
    bent = np.array([[0.0, 0.0, 0.12], [0.76, 0.0, -0.47], [-0.76, 0.0, -0.47]])
    return bent + 0.08 * np.sin(1.7 * k + 0.3 * k**2).reshape(-1, 3, 3)


def _kernel(with_energies: bool = False) -> HessianKernel:
    return HessianKernel.of(_positions(20), _SWAP, 2.0, with_energies=with_energies)


def _labels(kernel: HessianKernel) -> Tensor:
    """Components (n_rows,) of forces that obey E = Σ 1/r², and of its energies for a kernel with energies."""
    positions = kernel.positions.clone().requires_grad_()
    i, j = torch.tril_indices(3, 3, -1)
    energies = (positions[:, i] - positions[:, j]).square().sum(2).reciprocal().sum(1)
    (gradient,) = torch.autograd.grad(energies.sum(), positions)
    return kernel.reduce(-gradient, energies.detach() - energies.mean().item() if kernel.with_energies else None)


def _matrix(kernel: HessianKernel) -> Tensor:
    """K_Hess + λ1 as a whole."""
    lower = torch.tril(kernel.columns(0, kernel.n_points))
    return lower + torch.tril(lower, -1).T + _LAM * torch.eye(kernel.n_rows, dtype=torch.float64)
