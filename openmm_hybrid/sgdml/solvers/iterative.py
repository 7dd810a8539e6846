"""The iterative solver: conjugate gradients with a matrix-free product and a low-rank preconditioner.

The solver stops when the residual, relative to the labels, is below 1e-4: the training forces are then met to 1e-4 of
their size, which is small compared with a model's errors on unseen forces. The final residual is computed with the
module that evaluates the model.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.product import KernelProduct, weights_memory
from openmm_hybrid.sgdml.solvers.checkpoint import State, describe_system, load_state, save_state
from openmm_hybrid.sgdml.solvers.convergence import Convergence
from openmm_hybrid.sgdml.solvers.preconditioner import Preconditioner, preconditioner_memory
from openmm_hybrid.sgdml.solvers.solver import Size, Solver
from openmm_hybrid.sgdml.threads import MeasuredThreads

TOLERANCE = 1e-4
"""Relative residual at which the solver stops."""
_ROWS_PER_RANK = 14  # iterations fall as 1/rank, and the cost of making the preconditioner grows as rank²
_LEAST_RANK = 256
_SLACK = 2.0  # factor by which the final residual, computed anew, may exceed the tolerance
_ATTEMPTS = 4
_SAVE_EVERY = 30.0  # seconds between checkpoints
_TYPICAL = 300  # typical number of iterations, for estimates


@final
@dataclass(frozen=True)
class IterativeSolver(Solver):
    """Conjugate gradients to a relative residual of 1e-4; time grows as M² · iterations for M geometries.

    Parameters
    ----------
    rank : int
        Rank of the preconditioner, which sets the memory.
    keep : bool
        Keep the weights of the product (see `KernelProduct`).
    checkpoint : Path, optional
        File for the state, written every half minute and removed at the end.
    seconds : float
        Time that the iterations may still be expected to need (see `Solver.within`).
    """

    name: ClassVar[str] = "iterative"
    accuracy: ClassVar[float] = TOLERANCE
    keeps_checkpoint: ClassVar[bool] = True
    rank: int
    keep: bool = True
    checkpoint: Path | None = None
    seconds: float = math.inf

    @classmethod
    def candidates(cls, size: Size, checkpoint: Path | None) -> Sequence[Solver]:
        """The rank that suits the size, a half and a quarter of it; each with and without kept weights."""
        rank = min(size.n_rows, max(_LEAST_RANK, size.n_rows // _ROWS_PER_RANK))
        return [cls(max(1, r), keep, checkpoint) for r in (rank, rank // 2, rank // 4) for keep in (True, False)]

    def memory(self, size: Size) -> int:
        """Preconditioner, weights and vectors."""
        weights = weights_memory(size.n_points, size.n_points, size.n_perms) if self.keep else 0
        vectors = 8 * (6 * size.n_points * size.n_pairs * size.n_perms + 10 * size.n_rows)
        chosen = preconditioner_memory(size.n_points, size.block_size, size.n_perms, self.rank)
        return size.inputs + chosen + weights + vectors

    def operations(self, size: Size) -> float:
        """See `Solver.operations`; small products and reading memory are slower than a large product."""
        share = min(1.0, 2 * self.rank / size.n_rows)
        product = 15 * size.n_points**2 * size.n_pairs * (1 + size.n_perms / 2) * (1 if self.keep else 5)
        return 3 * size.n_rows * self.rank**2 + _TYPICAL * (product * (1 + 2 * share) + 40 * self.rank**2)

    def within(self, seconds: float) -> IterativeSolver:
        """The solver that gives up when the residuals fall too slowly for this time."""
        return replace(self, seconds=seconds)

    def solve(
        self, kernel: HessianKernel, labels: Tensor, *, lam: float, start: Tensor | None, progress: bool
    ) -> Tensor:
        """See `Solver.solve`."""
        product = KernelProduct(kernel, kernel, keep=self.keep)
        inverse = Preconditioner(kernel, lam=lam, rank=self.rank, keep=self.keep, progress=progress)
        job = describe_system(kernel, labels, lam, inverse.pivots)

        def matrix(vector: Tensor) -> Tensor:
            return torch.add(product(vector), vector, alpha=lam)

        def keep(state: State) -> None:
            if self.checkpoint is not None:
                save_state(self.checkpoint, state, job)

        state = None if self.checkpoint is None else load_state(self.checkpoint, job, labels.device)
        if state is None:
            state = _first(matrix, inverse, labels, _best_multiple(matrix, labels, start))
        began = time.monotonic()
        for _ in range(_ATTEMPTS):
            convergence = Convergence(TOLERANCE, self.seconds)
            solution = _conjugate_gradients(matrix, inverse, labels, state, convergence, keep, progress)
            error = _norm(labels - kernel.times(solution) - lam * solution) / _norm(labels)
            if error < _SLACK * TOLERANCE:
                break
            if convergence.hopeless or time.monotonic() - began > self.seconds:
                raise _failed(error, lam, kernel.sigma)
            inverse.soften()
            state = _first(matrix, inverse, labels, solution if error < 1.0 else torch.zeros_like(labels))
        else:
            raise _failed(error, lam, kernel.sigma)
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)
        return solution


def _failed(error: float, lam: float, sigma: float) -> NumericalError:
    return NumericalError(
        f"conjugate gradients stopped at a relative residual of {error:.1e}",
        expected=f"below {TOLERANCE:.0e}",
        hint=f'raise lam (now {lam:g}) tenfold or more, lower sigma (now {sigma:g}), or solver="direct"',
    )


Operator = Callable[[Tensor], Tensor]


def _best_multiple(matrix: Operator, labels: Tensor, start: Tensor | None) -> Tensor:
    """The multiple of the start with the smallest residual; zero without a start."""
    if start is None:
        return torch.zeros_like(labels)
    image = matrix(start)
    return start * (float(labels @ image) / max(float(image @ image), 1e-300))


def _first(matrix: Operator, inverse: Operator, labels: Tensor, solution: Tensor) -> State:
    """The state before the first iteration from a solution."""
    residual = labels - matrix(solution)
    direction = inverse(residual)
    return State(0, solution, residual, direction, slope=float(residual @ direction))


def _conjugate_gradients(
    matrix: Operator,
    inverse: Operator,
    labels: Tensor,
    state: State,
    convergence: Convergence,
    keep: Callable[[State], None],
    progress: bool,
) -> Tensor:
    """The solution when the residual is below the tolerance, or the best one when it falls too slowly or no longer.

    The progress bar counts decibels of the residual.
    """
    scale, target = _norm(labels), _decibels(TOLERANCE)
    solution, saved = state.solution.clone(), time.monotonic()
    shown = min(_decibels(_norm(state.residual) / scale), target)
    bar = progress_bar(target, "conjugate gradients", "dB", done=shown, enabled=progress)
    with bar as advance, MeasuredThreads() as threads:
        while (size := _norm(state.residual) / scale) > TOLERANCE:
            if convergence.add(size):
                solution.copy_(state.solution)
            if convergence.stalled or convergence.hopeless:
                return solution
            level = max(shown, min(_decibels(convergence.best), target))
            advance(level - shown)
            shown = level
            with threads.step():
                _iterate(matrix, inverse, state)
            if time.monotonic() - saved > _SAVE_EVERY:
                keep(state)
                saved = time.monotonic()
        advance(target - shown)
    # A residual that is not a number leaves the loop too.
    return state.solution if math.isfinite(size) else solution


def _iterate(matrix: Operator, inverse: Operator, state: State) -> None:
    """One iteration, in place."""
    image = matrix(state.direction)
    # A curvature of zero means a singular matrix: NaN ends the iterations.
    step = state.slope / (float(state.direction @ image) or math.nan)
    state.solution.add_(state.direction, alpha=step)
    state.residual.sub_(image, alpha=step)
    conditioned = inverse(state.residual)
    slope = float(state.residual @ conditioned)
    state.direction = torch.add(conditioned, state.direction, alpha=slope / (state.slope or math.nan))
    state.slope = slope
    state.iteration += 1


def _norm(vector: Tensor) -> float:
    return float(torch.linalg.vector_norm(vector))


def _decibels(ratio: float) -> int:
    """Distance of a ratio below 1, in whole decibels of amplitude."""
    return max(0, round(-20.0 * math.log10(max(ratio, 1e-30)))) if math.isfinite(ratio) else 0
