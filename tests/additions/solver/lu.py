"""A solver by LU factorisation of the whole matrix, for few geometries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.solvers.solver import Size, Solver


@final
@dataclass(frozen=True)
class LUSolver(Solver):
    """Two thirds of n³ operations and two whole matrices: for tests of other solvers."""

    name: ClassVar[str] = "lu"
    accuracy: ClassVar[float] = 1e-8
    takes_energies: ClassVar[bool] = True

    @classmethod
    def candidates(cls, size: Size, checkpoint: Path | None) -> Sequence[Solver]:
        return (cls(),)

    def memory(self, size: Size) -> int:
        return size.inputs + 16 * size.n_rows**2

    def operations(self, size: Size) -> float:
        return 2.0 * size.n_rows**3 / 3.0 + size.n_rows**2 * size.n_pairs * size.n_perms

    def solve(
        self, kernel: HessianKernel, labels: Tensor, *, lam: float, start: Tensor | None, progress: bool
    ) -> Tensor:
        identity = torch.eye(len(labels), dtype=labels.dtype, device=labels.device)
        matrix = torch.stack([kernel.times(column) for column in identity], dim=1) + lam * identity
        solution, failed = torch.linalg.solve_ex(matrix, labels)
        error = float(torch.linalg.vector_norm(matrix @ solution - labels) / torch.linalg.vector_norm(labels))
        if failed or not error < self.accuracy:
            raise NumericalError(f"the solution's relative residual is {error:.1e}", hint="raise lam")
        return solution
