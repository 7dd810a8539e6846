"""The direct solver: (K_Hess + λ1) β = y by a Cholesky factorisation in place, in block columns.

Only the lower triangle is stored, as a list of block columns ("panels"), and each panel is overwritten by its part of
the factor: the memory is half a matrix. All products go through torch, whose linear algebra library is sound at every
size (DESIGN, section 2). The residual is taken with the matrix-free product of the kernel, so that it checks assembly,
factorisation and evaluation at once, and serves one or two steps of iterative refinement.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from openmm_hybrid.errors import InputError, NumericalError
from openmm_hybrid.progress import progress
from openmm_hybrid.sgdml.kernel import HessianKernel

_PANEL = 1024  # columns of a panel, about
_REFINEMENTS = 3
_TARGET = 1e-10  # relative residual at which refinement stops
_LIMIT = 1e-5  # relative residual above which the solution is refused: training forces wrong by 1e-5 of their size


def solve_direct(kernel: HessianKernel, labels: Tensor, *, lam: float, show: bool = True) -> Tensor:
    """β of (K_Hess + λ1) β = y.

    Parameters
    ----------
    kernel : HessianKernel
    labels : Tensor (n_points · block_size,)
    lam : float
        λ ≥ 0.
    show : bool
        Show the progress.

    Raises
    ------
    InputError
        The matrix does not fit into memory; nothing has been computed then.
    NumericalError
        The matrix is not positive definite in float64, or the residual stays too large.
    """
    _check_memory(kernel)
    factor = _Factor(_factorise(_assemble(kernel, lam, show), lam, show))
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
            mend=f"raise lam (now {lam:g}), lower sigma (now {kernel.sigma:g}) or drop almost equal geometries",
        )
    return best


def direct_memory(n_points: int, n_atoms: int) -> int:
    """Bytes that `solve_direct` needs at its peak: half the matrix, and a few panels to work in."""
    rows = 3 * n_atoms * n_points
    width = 3 * n_atoms * _points_a_panel(n_atoms)
    n_pairs = n_atoms * (n_atoms - 1) // 2
    return 8 * (rows * (rows + width) // 2 + 2 * rows * width + 4 * n_points * n_pairs * 4) + 2**28


def available_memory() -> int:
    """Bytes of memory that are free for this process, as far as the system tells; all of it where it does not."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").is_file() else []
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return free[0] if free else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _check_memory(kernel: HessianKernel) -> None:
    n_atoms = kernel.block_size // 3
    needed, free = direct_memory(kernel.n_points, n_atoms), available_memory()
    if needed <= free:
        return
    fitting = 0
    while direct_memory(fitting + 1, n_atoms) <= free:
        fitting += 1
    raise InputError(
        f"training on {kernel.n_points} geometries of {n_atoms} atoms needs {needed / 1e9:.1f} GB of memory,"
        f" {free / 1e9:.1f} GB are free",
        mend=f"train on at most {fitting} geometries (n_train={fitting}), or on a machine with more memory",
    )


def _points_a_panel(n_atoms: int) -> int:
    return max(1, _PANEL // (3 * n_atoms))


def _assemble(kernel: HessianKernel, lam: float, show: bool) -> list[Tensor]:
    """Panels of K + λ1: of panel k, the rows from its own diagonal block down."""
    n = kernel.n_points
    step = _points_a_panel(kernel.block_size // 3)
    panels = []
    with progress(n * (n + 1) // 2, "assembling the kernel matrix", "blocks", show=show) as advance:
        for first in range(0, n, step):
            last = min(first + step, n)
            panel = kernel.columns(first, last)
            panel.diagonal().add_(lam)
            panels.append(panel)
            advance(sum(n - j for j in range(first, last)))
    return panels


def _factorise(panels: list[Tensor], lam: float, show: bool) -> list[Tensor]:
    """The lower Cholesky factor in place of the matrix (left-looking: a panel takes all earlier ones, then itself)."""
    work = [(k + 1) * (len(panels) - k) for k in range(len(panels))]
    with progress(sum(work), "Cholesky factorisation", "block products", show=show) as advance:
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
                    mend="raise lam tenfold or more, lower sigma, or drop almost equal geometries",
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
