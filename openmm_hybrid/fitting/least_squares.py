"""One regularised step of a least-squares fit: within bounds, with sums kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.fitting.normal_equations import NormalEquations

_ROUNDS = 50  # of the active set; each one holds at least one more parameter at a bound


def bounded_step(matrix: Tensor, slope: Tensor, rows: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """u that minimises ½ uᵀMu − s·u with C u = 0 and lower ≤ u ≤ upper.

    What leaves its bounds is held there and the rest solved anew, until all are within (an active set that only grows).

    Parameters
    ----------
    matrix, slope : (n, n), (n,)
        M, positive definite, and s.
    rows : (n_rows, n)
        C.
    lower, upper : (n,)
        With lower ≤ 0 ≤ upper.

    Raises
    ------
    NumericalError
        M is not positive definite.
    """
    u = torch.zeros_like(slope)
    loose = torch.ones_like(slope, dtype=torch.bool)
    for _ in range(_ROUNDS):
        index, held = torch.nonzero(loose).flatten(), torch.nonzero(~loose).flatten()
        part = matrix[index][:, index]
        right = slope[index] - matrix[index][:, held] @ u[held]
        active = rows[:, index]
        kept = (active != 0).any(1)
        u[index] = _solve(part, right, active[kept], -(rows[kept][:, held] @ u[held]))
        outside = loose & ((u < lower) | (u > upper))
        if not outside.any():
            return u
        u = torch.minimum(torch.maximum(u, lower), upper)
        loose &= ~outside
    return torch.minimum(torch.maximum(u, lower), upper)


def _solve(matrix: Tensor, right: Tensor, rows: Tensor, sums: Tensor) -> Tensor:
    """x with M x = r + Cᵀμ and C x = d, μ being the multipliers."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        raise NumericalError(
            "the normal equations of the fit are singular", hint="raise the ridge, or leave it to cross-validation"
        )
    free = torch.cholesky_solve(right[:, None], factor)[:, 0]
    if not len(rows):
        return free
    along = torch.cholesky_solve(rows.t(), factor)
    return free + along @ torch.linalg.solve(rows @ along, sums - rows @ free)


def cross_validate(
    folds: Sequence[NormalEquations], scale: Tensor, prior: Tensor, away: Tensor, rows: Tensor, ridges: Sequence[float]
) -> list[float]:
    """Loss on frames left out for each ridge, every fold being left out once, in the linear approximation.

    One eigendecomposition a fold serves all ridges: with M = S A S + S prior S = V w Vᵀ the step is
    u = V (Vᵀ s)/(w + λ).

    Parameters
    ----------
    folds : sequence of Moments
    scale : (n,)
        S: parameters for a unit step.
    prior, away : (n,), (n,)
        Stiffness of the restraint, and how far the parameters are from its centre.
    rows : (n_rows, n)
        Sums that stay, by the scaled parameters.
    ridges : sequence of float
    """
    total = NormalEquations.total(folds)
    basis = _null_space(rows)
    unscaled = torch.where(scale > 0, 1.0 / scale, torch.zeros_like(scale)) * away
    losses = torch.zeros(len(ridges), dtype=scale.dtype)
    strength = torch.tensor(ridges, dtype=scale.dtype)
    for fold in folds:
        matrix, right, _ = total.without(fold).normal()
        share = 1.0 - float(fold.counts.sum() / total.counts.sum())  # of the frames that are trained on
        matrix = scale[:, None] * (matrix / share) * scale + torch.diag(scale**2 * prior)
        fixed, pulled = scale * (right / share - prior * away), unscaled
        if len(rows):
            matrix, fixed, pulled = basis.t() @ matrix @ basis, basis.t() @ fixed, basis.t() @ pulled
        values, vectors = torch.linalg.eigh(matrix)
        onto = (vectors.t() @ fixed)[:, None] - (vectors.t() @ pulled)[:, None] * strength
        steps = vectors @ (onto / (values.clamp(min=0.0)[:, None] + strength))
        steps = scale[:, None] * (basis @ steps if len(rows) else steps)
        left, pull, square = fold.normal()
        losses += square - 2.0 * (pull @ steps) + (steps * (left @ steps)).sum(0)
    return losses.tolist()


def _null_space(rows: Tensor) -> Tensor:
    """Orthonormal columns (n, n − n_rows) of all u with C u = 0."""
    if not len(rows):
        return rows
    return torch.linalg.qr(rows.t(), mode="complete").Q[:, len(rows) :]
