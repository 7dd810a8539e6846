"""The direct solver: a Cholesky factorisation of K_Hess + λ1 in place, in block columns.

Only the lower triangle is stored, as a list of block columns ("panels"), and each panel is overwritten by its part of
the factor: the memory is half a matrix. The residual comes from the matrix-free product of the kernel, so that it
checks assembly, factorisation and evaluation at once, and serves one or two steps of iterative refinement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.solvers.solver import Size, Solver
from openmm_hybrid.sgdml.threads import MeasuredThreads

_PANEL = 1024  # approximate number of columns per panel
_REFINEMENTS = 3
_LIMIT = 1e-5  # relative residual above which the solution is refused


@final
@dataclass(frozen=True)
class DirectSolver(Solver):
    """Exact to about ten digits; n³/3 operations and 4 n² bytes of memory for n rows."""

    name: ClassVar[str] = "direct"
    accuracy: ClassVar[float] = 1e-10
    takes_energies: ClassVar[bool] = True
    preference: ClassVar[float] = 2.0  # its accuracy is worth twice the time

    @classmethod
    def candidates(cls, size: Size, checkpoint: Path | None) -> Sequence[Solver]:
        """The solver has one variant."""
        return (cls(),)

    def memory(self, size: Size) -> int:
        """Half the matrix, and a few panels to work in."""
        width = size.block_size * _points_per_panel(size.block_size)
        return size.inputs + 8 * (size.n_rows * (size.n_rows + width) // 2 + 2 * size.n_rows * width)

    def operations(self, size: Size) -> float:
        """Factorisation, whose products are slower than a large one, and assembly."""
        return 1.5 * size.n_rows**3 / 3 + size.n_points**2 * size.block_size**2 * size.n_pairs * (1 + size.n_perms / 2)

    def solve(
        self, kernel: HessianKernel, labels: Tensor, *, lam: float, start: Tensor | None, progress: bool
    ) -> Tensor:
        """See `Solver.solve`; the start is ignored."""
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
            if error < self.accuracy:
                break
            solution = solution + factor.solve(residual)
        if not error < _LIMIT:
            raise NumericalError(
                f"the solution's relative residual is {error:.1e}",
                expected=f"below {_LIMIT:.0e}",
                hint=f"raise lam (now {lam:g}), lower sigma (now {kernel.sigma:g}) or drop almost equal geometries",
            )
        return best


def _points_per_panel(block_size: int) -> int:
    return max(1, _PANEL // block_size)


def _assemble(kernel: HessianKernel, lam: float, progress: bool) -> list[Tensor]:
    """Panels of K + λ1. Panel k holds the rows from its diagonal block down."""
    n = kernel.n_points
    step = _points_per_panel(kernel.block_size)
    panels = []
    bar = progress_bar(n * (n + 1) // 2, "assembling the kernel matrix", "blocks", enabled=progress)
    with bar as advance, MeasuredThreads() as threads:
        for first in range(0, n, step):
            last = min(first + step, n)
            n_blocks = sum(n - j for j in range(first, last))
            with threads.step(n_blocks):
                panel = kernel.columns(first, last)
                panel.diagonal().add_(lam)
            panels.append(panel)
            advance(n_blocks)
    return panels


def _factorise(panels: list[Tensor], lam: float, progress: bool) -> list[Tensor]:
    """The lower Cholesky factor in place of the matrix; left-looking, panel by panel."""
    work = [(k + 1) * (len(panels) - k) for k in range(len(panels))]
    bar = progress_bar(sum(work), "Cholesky factorisation", "block products", enabled=progress)
    with bar as advance, MeasuredThreads() as threads:
        for k, panel in enumerate(panels):
            with threads.step(work[k]):
                positive = _factorise_panel(panel, panels[:k])
            if not positive:
                raise NumericalError(
                    "the kernel matrix is not positive definite in float64",
                    expected=f"a larger regularisation than lam = {lam:g}",
                    hint="raise lam tenfold or more, lower sigma, or drop almost equal geometries",
                )
            advance(work[k])
    return panels


def _factorise_panel(panel: Tensor, earlier_panels: list[Tensor]) -> bool:
    """Replace a panel by its part of the factor; whether the matrix is positive definite."""
    width = panel.shape[1]
    for earlier in earlier_panels:
        rows = earlier[-len(panel) :]
        panel.addmm_(rows, rows[:width].T, alpha=-1.0)
    factor, failed = torch.linalg.cholesky_ex(panel[:width])
    panel[:width] = factor
    if len(panel) > width:
        panel[width:] = torch.linalg.solve_triangular(factor.T, panel[width:], upper=True, left=False)
    return not int(failed)


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
