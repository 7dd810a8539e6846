"""The contract of a solver of (K_Hess + λ1) β = y."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

from torch import Tensor

from openmm_hybrid.sgdml.kernel import HessianKernel


@final
@dataclass(frozen=True)
class Size:
    """Size of a linear system.

    Parameters
    ----------
    n_points : int
        Number of training geometries.
    block_size : int
        Number of rows per geometry.
    n_pairs : int
        Number of pairs of atoms.
    n_perms : int
        Number of permutations.
    with_energies : bool
        Whether each block has a row and a column for the energy.
    """

    n_points: int
    block_size: int
    n_pairs: int
    n_perms: int
    with_energies: bool = False

    @classmethod
    def of(cls, kernel: HessianKernel) -> Size:
        """Size of the system of a kernel."""
        return cls(kernel.n_points, kernel.block_size, kernel.x.shape[1], len(kernel.perms), kernel.with_energies)

    @property
    def n_rows(self) -> int:
        """Number of rows of the matrix."""
        return self.n_points * self.block_size

    @property
    def inputs(self) -> int:
        """Bytes of the kernel's descriptors, Jacobians and bases with working copies, which every solver holds."""
        return 8 * self.n_points * self.n_pairs * (2 * self.block_size + 24) + 2**27


class Solver(ABC):
    """Solves (K_Hess + λ1) β = y for internal components β, y (n_rows,).

    `openmm_hybrid.testing.solver.SolverSuite` tests this contract.
    """

    name: ClassVar[str]
    """Name in `SOLVERS`."""
    accuracy: ClassVar[float]
    """Relative residual |y − (K_Hess + λ1) β|/|y| at which the solver stops."""
    takes_energies: ClassVar[bool] = False
    """Whether the solver takes a kernel with energies."""
    keeps_checkpoint: ClassVar[bool] = False
    """Whether the solver writes its state to a checkpoint, and resumes from it."""
    preference: ClassVar[float] = 1.0
    """How many times as long as a solver of preference 1 this one may take and still be chosen for "auto"."""

    @classmethod
    @abstractmethod
    def candidates(cls, size: Size, checkpoint: Path | None) -> Sequence[Solver]:
        """Variants of the solver for a system, the best first; the first that fits into memory is used.

        Parameters
        ----------
        size : Size
        checkpoint : Path or None
            File for the solver's state; a solver that keeps none ignores it.
        """

    @abstractmethod
    def memory(self, size: Size) -> int:
        """Peak memory in bytes; it grows with the number of geometries."""

    @abstractmethod
    def operations(self, size: Size) -> float:
        """Estimated number of floating-point operations; for an iterative solver, of a typical case.

        The operations are those of a large matrix product: slower ones count more than once.
        """

    def within(self, seconds: float) -> Solver:
        """The solver for when another one would take this many seconds.

        A solver that cannot know its time in advance raises NumericalError as soon as it expects to need longer. By
        default a solver ignores the limit.
        """
        return self

    @abstractmethod
    def solve(
        self, kernel: HessianKernel, labels: Tensor, *, lam: float, start: Tensor | None, progress: bool
    ) -> Tensor:
        """Solve for β.

        Parameters
        ----------
        kernel : HessianKernel
        labels : Tensor (n_rows,)
            y.
        lam : float
            λ.
        start : Tensor (n_rows,) or None
            A guess of β. Solvers that need none ignore it.
        progress : bool
            Show the progress.

        Returns
        -------
        Tensor (n_rows,)

        Raises
        ------
        NumericalError
            The solution does not reach the solver's accuracy.
        """
