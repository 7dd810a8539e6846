"""The iterative solver: conjugate gradients with a matrix-free product and a low-rank preconditioner.

Stops when the residual, relative to the labels, is below 1e-4: the training forces are then met to 1e-4 of their size,
a thousandth of what models miss unseen forces by. The residual at the end is taken anew, with the module that the model
will run with.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.product import KernelProduct, weights_memory
from openmm_hybrid.sgdml.solvers.checkpoint import State, describe_system, load_state, save_state
from openmm_hybrid.sgdml.solvers.preconditioner import Preconditioner, preconditioner_memory
from openmm_hybrid.sgdml.solvers.solver import Size, Solver

TOLERANCE = 1e-4
"""Relative residual at which the solver stops."""
_SLACK = 2.0  # the residual taken anew may exceed the tolerance by this factor
_PATIENCE = 200  # iterations in which the residual must fall notably, or the preconditioner is softened
_NOTABLE = 0.9
_ATTEMPTS = 4
_SAVE_EVERY = 30.0  # seconds
_USUAL = 300  # iterations, for estimates; 30 to 600 were seen, of ethanol and aspirin


@final
@dataclass(frozen=True)
class IterativeSolver(Solver):
    """To a relative residual of 1e-4; time M²·iterations, memory as the rank of the preconditioner says.

    Parameters
    ----------
    rank : int
        Of the preconditioner.
    keep : bool
        Keep the weights of the product (see `KernelProduct`).
    checkpoint : Path, optional
        Written every half minute; removed at the end.
    """

    name: ClassVar[str] = "iterative"
    rank: int
    keep: bool = True
    checkpoint: Path | None = None

    def memory(self, size: Size) -> int:
        """Preconditioner, weights and vectors."""
        weights = weights_memory(size.n_points, size.n_points, size.n_perms) if self.keep else 0
        vectors = 8 * (6 * size.n_points * size.n_pairs * size.n_perms + 10 * size.n_rows)
        chosen = preconditioner_memory(size.n_points, size.block_size, size.n_perms, self.rank)
        return size.inputs + chosen + weights + vectors

    def operations(self, size: Size) -> float:
        """As many of a large matrix product as take the same time: small ones, and reading, are slower."""
        share = min(1.0, 2 * self.rank / size.n_rows)
        product = 15 * size.n_points**2 * size.n_pairs * (1 + size.n_perms / 2) * (1 if self.keep else 5)
        return 3 * size.n_rows * self.rank**2 + _USUAL * (product * (1 + 2 * share) + 40 * self.rank**2)

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
        for _ in range(_ATTEMPTS):
            solution = _conjugate_gradients(matrix, inverse, labels, state, keep, progress)
            error = _norm(labels - kernel.times(solution) - lam * solution) / _norm(labels)
            if error < _SLACK * TOLERANCE:
                break
            inverse.soften()
            state = _first(matrix, inverse, labels, solution if error < 1.0 else torch.zeros_like(labels))
        else:
            raise NumericalError(
                f"conjugate gradients stopped at a relative residual of {error:.1e}",
                expected=f"below {TOLERANCE:.0e}",
                hint=f'raise lam (now {lam:g}) tenfold or more, lower sigma (now {kernel.sigma:g}), or solver="direct"',
            )
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)
        return solution


Operator = Callable[[Tensor], Tensor]


def _best_multiple(matrix: Operator, labels: Tensor, start: Tensor | None) -> Tensor:
    """The multiple of the start that leaves the smallest residual; zero without one."""
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
    matrix: Operator, inverse: Operator, labels: Tensor, state: State, keep: Callable[[State], None], progress: bool
) -> Tensor:
    """The solution where the residual is below the tolerance, or the best one when it no longer falls.

    Progress is counted in decibels of the residual.
    """
    scale, target = _norm(labels), _decibels(TOLERANCE)
    best, solution, saved = math.inf, state.solution.clone(), time.monotonic()
    mark, mark_at = math.inf, state.iteration  # the last notable progress
    shown = min(_decibels(_norm(state.residual) / scale), target)
    with progress_bar(target, "conjugate gradients", "dB", done=shown, enabled=progress) as advance:
        while (size := _norm(state.residual) / scale) > TOLERANCE:
            if size < best:
                best = size
                solution.copy_(state.solution)
            if size < _NOTABLE * mark:
                mark, mark_at = size, state.iteration
            if not math.isfinite(size) or state.iteration - mark_at > _PATIENCE:
                return solution
            level = max(shown, min(_decibels(best), target))
            advance(level - shown)
            shown = level
            _iterate(matrix, inverse, state)
            if time.monotonic() - saved > _SAVE_EVERY:
                keep(state)
                saved = time.monotonic()
        advance(target - shown)
    return state.solution


def _iterate(matrix: Operator, inverse: Operator, state: State) -> None:
    """One iteration, in place."""
    image = matrix(state.direction)
    step = state.slope / float(state.direction @ image)
    state.solution.add_(state.direction, alpha=step)
    state.residual.sub_(image, alpha=step)
    conditioned = inverse(state.residual)
    slope = float(state.residual @ conditioned)
    state.direction = torch.add(conditioned, state.direction, alpha=slope / state.slope)
    state.slope = slope
    state.iteration += 1


def _norm(vector: Tensor) -> float:
    return float(torch.linalg.vector_norm(vector))


def _decibels(ratio: float) -> int:
    """How far a ratio is below 1, in whole decibels of amplitude."""
    return max(0, round(-20.0 * math.log10(max(ratio, 1e-30)))) if math.isfinite(ratio) else 0
