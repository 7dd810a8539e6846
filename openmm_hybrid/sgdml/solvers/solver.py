"""What a solver of (K_Hess + λ1) β = y is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from openmm_hybrid.sgdml.kernel import HessianKernel


@final
@dataclass(frozen=True)
class Size:
    """Size of a linear system: geometries, rows of a block, pairs of atoms, permutations."""

    n_points: int
    block_size: int
    n_pairs: int
    n_perms: int

    @classmethod
    def of(cls, kernel: HessianKernel) -> Size:
        """That of a kernel."""
        return cls(kernel.n_points, kernel.block_size, kernel.x.shape[1], len(kernel.perms))

    @property
    def n_rows(self) -> int:
        """Rows of the matrix."""
        return self.n_points * self.block_size

    @property
    def inputs(self) -> int:
        """Bytes of what every solver holds: the kernel's descriptors, Jacobians and bases, with working copies."""
        return 8 * self.n_points * self.n_pairs * (2 * self.block_size + 24) + 2**27


class Solver(ABC):
    """Solves (K_Hess + λ1) β = y for internal components β, y (n_rows,)."""

    name: ClassVar[str]

    @abstractmethod
    def memory(self, size: Size) -> int:
        """Bytes that it needs at its peak."""

    @abstractmethod
    def operations(self, size: Size) -> float:
        """Floating-point operations, about; where their number is not known beforehand, of a usual case."""

    @abstractmethod
    def solve(
        self, kernel: HessianKernel, labels: Tensor, *, lam: float, start: Tensor | None, progress: bool
    ) -> Tensor:
        """β for labels y, both (n_rows,); `start` is a guess of β.

        Raises
        ------
        NumericalError
            The solution does not reach the solver's accuracy.
        """
