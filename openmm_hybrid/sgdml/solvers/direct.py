"""The direct solver: a Cholesky factorisation of K_Hess + λ1 in place, in block columns.

Only the lower triangle is stored, as a list of block columns ("panels"), and each panel is overwritten by its part of
the factor: the memory is half a matrix. All products go through torch, whose linear algebra library is sound at every
size; OpenBLAS, which numpy and scipy use, is not on some processors (docs/architecture.md). The residual comes from the
matrix-free product of the kernel, so that it checks assembly, factorisation and evaluation at once. One or two steps of
iterative refinement use it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.solvers.solver import Size, Solver

_PANEL = 1024  # columns of a panel, about
_REFINEMENTS = 3
_TARGET = 1e-10  # relative residual at which refinement stops
_LIMIT = 1e-5  # relative residual above which the solution is refused: training forces wrong by 1e-5 of their size


@final
@dataclass(frozen=True)
class DirectSolver(Solver):
    """Exact to about ten digits; time (3NM)³/3, memory 4 (3NM)² bytes."""

    name: ClassVar[str] = "direct"

    def memory(self, size: Size) -> int:
        """Half the matrix, and a few panels to work in."""
        width = size.block_size * _points_a_panel(size.block_size)
        return size.inputs + 8 * (size.n_rows * (size.n_rows + width) // 2 + 2 * size.n_rows * width)

    def operations(self, size: Size) -> float:
        """Of factorisation, whose products are smaller than the largest, and assembly."""
        return 1.5 * size.n_rows**3 / 3 + size.n_points**2 * size.block_size**2 * size.n_pairs * (1 + size.n_perms / 2)

    def solve(
        self, kernel: HessianKernel, labels: Tensor, *, lam: float, start: Tensor | None, progress: bool
    ) -> Tensor:
        """See `Solver.solve`; the start is not needed."""
        factor = _Factor(_factorise(_assemble(kernel, lam, progress), lam, progress))
        solution = factor.solve(labels)
        scale = float(torch.linalg.vector_norm(labels))
        best, error = solution, float("inf")
        for _ in range(1 + _REFINEMENTS):
            residual = labels - kernel.times(solution) - lam * solution
            size = float(torch.linalg.vector_norm(residual)) / scale
            if not size < error:
                break
            best, error = solution, size
            if error < _TARGET:
                break
            solution = solution + factor.solve(residual)
        if not error < _LIMIT:
            raise NumericalError(
                f"the solution's relative residual is {error:.1e}",
                expected=f"below {_LIMIT:.0e}",
                hint=f"raise lam (now {lam:g}), lower sigma (now {kernel.sigma:g}) or drop almost equal geometries",
            )
        return best


def _points_a_panel(block_size: int) -> int:
    return max(1, _PANEL // block_size)


def _assemble(kernel: HessianKernel, lam: float, progress: bool) -> list[Tensor]:
    """Panels of K + λ1: of panel k, the rows from its own diagonal block down."""
    n = kernel.n_points
    step = _points_a_panel(kernel.block_size)
    panels = []
    with progress_bar(n * (n + 1) // 2, "assembling the kernel matrix", "blocks", enabled=progress) as advance:
        for first in range(0, n, step):
            last = min(first + step, n)
            panel = kernel.columns(first, last)
            panel.diagonal().add_(lam)
            panels.append(panel)
            advance(sum(n - j for j in range(first, last)))
    return panels


def _factorise(panels: list[Tensor], lam: float, progress: bool) -> list[Tensor]:
    """The lower Cholesky factor in place of the matrix (left-looking: a panel takes all earlier ones, then itself)."""
    work = [(k + 1) * (len(panels) - k) for k in range(len(panels))]
    with progress_bar(sum(work), "Cholesky factorisation", "block products", enabled=progress) as advance:
        for k, panel in enumerate(panels):
            width = panel.shape[1]
            for earlier in panels[:k]:
                rows = earlier[-len(panel) :]
                panel.addmm_(rows, rows[:width].T, alpha=-1.0)
            factor, failed = torch.linalg.cholesky_ex(panel[:width])
            if int(failed):
                raise NumericalError(
                    "the kernel matrix is not positive definite in float64",
                    expected=f"a larger regularisation than lam = {lam:g}",
                    hint="raise lam tenfold or more, lower sigma, or drop almost equal geometries",
                )
            panel[:width] = factor
            if len(panel) > width:
                panel[width:] = torch.linalg.solve_triangular(factor.T, panel[width:], upper=True, left=False)
            advance(work[k])
    return panels


@final
@dataclass(frozen=True, eq=False)
class _Factor:
    """A lower triangular factor L in panels; solves L Lᵀ z = y."""

    panels: list[Tensor]

    def solve(self, labels: Tensor) -> Tensor:
        z = labels.clone().unsqueeze(1)
        starts = [len(labels) - len(panel) for panel in self.panels]
        for start, panel in zip(starts, self.panels, strict=True):
            stop = start + panel.shape[1]
            z[start:stop] = torch.linalg.solve_triangular(panel[: stop - start], z[start:stop], upper=False)
            z[stop:].addmm_(panel[stop - start :], z[start:stop], alpha=-1.0)
        for start, panel in zip(reversed(starts), reversed(self.panels), strict=True):
            stop = start + panel.shape[1]
            z[start:stop].addmm_(panel[stop - start :].T, z[stop:], alpha=-1.0)
            z[start:stop] = torch.linalg.solve_triangular(panel[: stop - start].T, z[start:stop], upper=True)
        return z[:, 0]
