"""Least squares of force fields: sums over frames, one bounded step, and cross-validation of the ridge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import blas, lapack
from torch import Tensor

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.fitting.residuals import Chunk, LabelledMolecule

_ROUNDS = 50  # most rounds of the active set; each one holds at least one more parameter at a bound


@final
@dataclass(frozen=True, eq=False)
class NormalEquations:
    """The quadratic loss L(δ) = c − 2 b·δ + δᵀAδ of a step δ from the point of linearisation, over some frames.

    The energies of each molecule have a free origin, so that L contains their deviations from the mean. We keep the
    sums for these means apart, so that equations of disjoint sets of frames can be added.

    Parameters
    ----------
    gram, rhs, square : (n, n), (n,), ()
        Weighted sums XᵀX, Xᵀr and r·r over forces and energies.
    sums, residuals, counts : (n_molecules, n), (n_molecules,), (n_molecules,)
        Sums over frames of ∂E/∂θ − `levels` and of the energies' residuals, and the number of frames.
    levels : (n_molecules, n)
        Values of ∂E/∂θ, of one chunk of frames, that all sums are relative to, which keeps them small.
    energy_weight : float
        Weight of the squared error of one energy in these sums.
    """

    gram: Tensor
    rhs: Tensor
    square: Tensor
    sums: Tensor
    residuals: Tensor
    counts: Tensor
    levels: Tensor
    energy_weight: float

    @classmethod
    def total(cls, parts: Sequence[NormalEquations]) -> NormalEquations:
        """Equations of the frames of all parts."""
        return reduce(lambda one, other: one._combined(other, 1.0), parts)

    def without(self, part: NormalEquations) -> NormalEquations:
        """Equations of the frames that are not in `part`."""
        return self._combined(part, -1.0)

    def _combined(self, other: NormalEquations, sign: float) -> NormalEquations:
        return NormalEquations(
            gram=self.gram + sign * other.gram,
            rhs=self.rhs + sign * other.rhs,
            square=self.square + sign * other.square,
            sums=self.sums + sign * other.sums,
            residuals=self.residuals + sign * other.residuals,
            counts=self.counts + sign * other.counts,
            levels=self.levels,
            energy_weight=self.energy_weight,
        )

    def kept(self, columns: Tensor) -> NormalEquations:
        """Equations of the parameters `columns` (n_kept,) alone; all others do not move."""
        return replace(
            self,
            gram=self.gram[columns][:, columns],
            rhs=self.rhs[columns],
            sums=self.sums[:, columns],
            levels=self.levels[:, columns],
        )

    def normal(self) -> tuple[Tensor, Tensor, Tensor]:
        """A, b and c of L."""
        per = self.energy_weight / self.counts.clamp(min=1)
        scaled = self.sums * per[:, None]
        return (
            torch.addmm(self.gram, self.sums.t(), scaled, alpha=-1.0),
            self.rhs - scaled.t() @ self.residuals,
            self.square - (per * self.residuals**2).sum(),
        )


def accumulate(
    molecules: Sequence[LabelledMolecule],
    folds: Sequence[Sequence[Tensor]],
    theta: Tensor,
    free: Tensor,
    energy_weight: float,
) -> list[NormalEquations]:
    """Normal equations of each fold at parameters theta.

    The loss is the mean squared error of force components plus `energy_weight` times the mean squared error of
    energies.

    Parameters
    ----------
    molecules : sequence of LabelledMolecule
    folds : sequence of sequence of (n_frames,)
        Indices of the frames of each molecule in each fold, ``folds[fold][molecule]``.
    theta : (n_parameters,)
    free : (n_free,)
        Indices of the parameters to differentiate by.
    energy_weight : float, 1/Å²
    """
    of_force, of_energy = weights(molecules, folds, energy_weight)
    n, n_molecules = len(free), len(molecules)
    found = []
    levels = theta.new_zeros(n_molecules, n)
    for number, fold in enumerate(folds):
        gram = np.zeros((n, n))
        rhs, square = theta.new_zeros(n), theta.new_zeros(())
        sums, residuals, counts = theta.new_zeros(n_molecules, n), theta.new_zeros(n_molecules), []
        for which, (molecule, frames) in enumerate(zip(molecules, fold, strict=True)):
            counts.append(len(frames))
            for position, chunk in enumerate(molecule.linearised(theta, free, frames)):
                if number == position == 0:
                    levels[which] = chunk.energy_derivatives.mean(0)
                phi, e = chunk.energy_derivatives - levels[which], chunk.energies
                for atom, on_atom in enumerate(chunk.force_derivatives):
                    x = on_atom.rows.flatten(0, 1)
                    _add(gram, on_atom.columns, x, of_force)
                    rhs.index_add_(0, on_atom.columns, x.t() @ chunk.forces[:, atom].flatten(), alpha=of_force)
                _add(gram, torch.arange(n), phi, of_energy)
                rhs.add_(phi.t() @ e, alpha=of_energy)
                square += of_force * (chunk.forces**2).sum() + of_energy * (e @ e)
                sums[which] += phi.sum(0)
                residuals[which] += e.sum()
        whole = torch.from_numpy(gram + np.triu(gram, 1).T)
        found.append(NormalEquations(whole, rhs, square, sums, residuals, theta.new_tensor(counts), levels, of_energy))
    return found


def moved(
    equations: Sequence[NormalEquations],
    molecules: Sequence[LabelledMolecule],
    folds: Sequence[Sequence[Tensor]],
    theta: Tensor,
    free: Tensor,
    nonlinear: Tensor,
    energy_weight: float,
) -> list[NormalEquations]:
    """The normal equations of `accumulate` at other parameters theta, from those at the first ones.

    Derivatives by parameters in which all terms are linear do not change, nor do their products. What is left is
    XᵀX_N and Xᵀr, where X_N are the columns of the `nonlinear` parameters.

    Parameters
    ----------
    equations : sequence of NormalEquations
    nonlinear : (n_nonlinear,)
        Positions in `free` of all other parameters.
    molecules, folds, theta, free, energy_weight
        As in `accumulate`.
    """
    of_force, of_energy = weights(molecules, folds, energy_weight)
    found = []
    for before, fold in zip(equations, folds, strict=True):
        gram, sums = before.gram.clone(), before.sums.clone()
        rhs, square = torch.zeros_like(before.rhs), torch.zeros_like(before.square)
        residuals = torch.zeros_like(before.residuals)
        columns = theta.new_zeros(len(free), len(nonlinear))
        sums[:, nonlinear] = 0.0
        for which, (molecule, frames) in enumerate(zip(molecules, fold, strict=True)):
            levels = before.levels[which]
            for chunk in molecule.linearised(theta, free[nonlinear], frames):
                r, e = chunk.forces.flatten(), chunk.energies
                x = _dense(chunk, len(nonlinear))
                phi = chunk.energy_derivatives - levels[nonlinear]
                rows = of_force * torch.cat([x, r[:, None]], dim=1)
                energies = of_energy * torch.cat([phi, e[:, None]], dim=1)
                products = molecule.products(theta, free, chunk.frames, rows, energies)
                products -= torch.outer(levels, energies.sum(0))
                columns += products[:, :-1]
                rhs += products[:, -1]
                square += of_force * (r @ r) + of_energy * (e @ e)
                sums[which, nonlinear] += phi.sum(0)
                residuals[which] += e.sum()
        gram[:, nonlinear] = columns
        gram[nonlinear] = columns.t()
        found.append(replace(before, gram=gram, rhs=rhs, square=square, sums=sums, residuals=residuals))
    return found


def _add(gram: NDArray[np.float64], columns: Tensor, rows: Tensor, weight: float) -> None:
    """Add weight · XᵀX of rows X (n_rows, n_columns) to the upper triangle of `gram` (n, n), at half the cost of XᵀX.

    `columns` are the columns of `gram` in rising order, mostly in runs: those of one type of terms follow each other.
    """
    if not len(columns):
        return
    part = np.asarray(blas.dsyrk(weight, rows.numpy().T, lower=1)).T
    breaks = np.flatnonzero(np.diff(columns.numpy()) != 1) + 1
    starts, ends = [0, *breaks.tolist()], [*breaks.tolist(), len(columns)]
    runs = [(slice(a, b), slice(first := int(columns[a]), first + b - a)) for a, b in zip(starts, ends, strict=True)]
    for k, (local, place) in enumerate(runs):
        for other, there in runs[k:]:
            gram[place, there] += part[local, other]


def _dense(chunk: Chunk, n_free: int) -> Tensor:
    """∂F/∂θ (n_frames · 3 n_atoms, n_free) of a chunk."""
    dense = chunk.energies.new_zeros(*chunk.forces.shape, n_free)
    for atom, found in enumerate(chunk.force_derivatives):
        dense[:, atom, :, found.columns] = found.rows
    return dense.flatten(0, 2)


def loss(
    molecules: Sequence[LabelledMolecule], folds: Sequence[Sequence[Tensor]], theta: Tensor, energy_weight: float
) -> float:
    """The loss of `accumulate` at parameters theta, without derivatives."""
    of_force, of_energy = weights(molecules, folds, energy_weight)
    value = 0.0
    with torch.inference_mode():
        for number, molecule in enumerate(molecules):
            frames = torch.cat([fold[number] for fold in folds])
            energies, forces = zip(*molecule.residuals(theta, frames), strict=True)
            error = torch.cat(energies)
            value += of_force * float(sum((part**2).sum() for part in forces))
            value += of_energy * float(((error - error.mean()) ** 2).sum())
    return value


def weights(
    molecules: Sequence[LabelledMolecule], folds: Sequence[Sequence[Tensor]], energy_weight: float
) -> tuple[float, float]:
    """Weights of one squared force component and one squared energy in the loss."""
    sizes = [sum(len(fold[number]) for fold in folds) for number in range(len(molecules))]
    components = sum(size * molecule.forces.shape[1] for size, molecule in zip(sizes, molecules, strict=True))
    return 1.0 / components, energy_weight / sum(sizes)


def bounded_step(matrix: Tensor, slope: Tensor, rows: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """u that minimises ½ uᵀMu − s·u with C u = 0 and lower ≤ u ≤ upper.

    Elements beyond their bounds are held there and the others solved again, until all are within (an active set that
    only grows).

    Parameters
    ----------
    matrix, slope : (n, n), (n,)
        M, positive definite, and s.
    rows : (n_rows, n)
        C.
    lower, upper : (n,)
        Bounds with lower ≤ 0 ≤ upper.

    Raises
    ------
    NumericalError
        M is not positive definite.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        raise NumericalError(
            "the normal equations of the fit are singular", hint="raise the ridge, or use cross-validation: ridge=None"
        )
    free = torch.cholesky_solve(slope[:, None], factor)[:, 0]
    u, loose = torch.zeros_like(slope), torch.ones_like(slope, dtype=torch.bool)
    for _ in range(_ROUNDS):
        held = torch.nonzero(~loose).flatten()
        kept = rows[(rows[:, loose] != 0).any(1)]
        fixed = torch.zeros(len(held), len(slope), dtype=slope.dtype)
        fixed[torch.arange(len(held)), held] = 1.0
        u = _on_plane(factor, free, torch.cat([kept, fixed]), torch.cat([slope.new_zeros(len(kept)), u[held]]))
        outside = loose & ((u < lower) | (u > upper))
        if not outside.any():
            return u
        u = torch.minimum(torch.maximum(u, lower), upper)
        loose &= ~outside
    return torch.minimum(torch.maximum(u, lower), upper)


def _on_plane(factor: Tensor, free: Tensor, rows: Tensor, sums: Tensor) -> Tensor:
    """x with M x = s + Cᵀμ and C x = d, where μ are Lagrange multipliers, from x without them and Cholesky's factor."""
    if not len(rows):
        return free
    along = torch.cholesky_solve(rows.t(), factor)
    return free + along @ torch.linalg.solve(rows @ along, sums - rows @ free)


def cross_validate(
    total: NormalEquations,
    folds: Sequence[NormalEquations],
    scale: Tensor,
    prior: Tensor,
    away: Tensor,
    rows: Tensor,
    ridges: Sequence[float],
) -> list[float]:
    """Loss of each ridge on frames left out, in the linear approximation; each fold is left out once.

    The loss is infinite where the ridge is too small for positive definite equations.

    Parameters
    ----------
    total : NormalEquations
        Equations of all frames.
    folds : sequence of NormalEquations
        Equations of the frames to leave out.
    scale : (n,)
        S, the change of each parameter for a unit step.
    prior, away : (n,), (n,)
        Stiffness of the restraint, and distance of the parameters from its centre.
    rows : (n_rows, n)
        Derivatives of the conserved sums by the scaled parameters.
    ridges : sequence of float
    """
    basis = _null_space(rows)
    pull_of_one = torch.where(scale > 0, 1.0 / scale, torch.zeros_like(scale)) * away
    found = [0.0] * len(ridges)
    for fold in folds:
        matrix, right, _ = total.without(fold).normal()
        fraction = 1.0 - float(fold.counts.sum() / total.counts.sum())  # share of the frames in the other folds
        matrix.mul_(scale[:, None] / fraction).mul_(scale)
        matrix.diagonal().add_(scale**2 * prior)
        slope = scale * (right / fraction - prior * away)
        if len(rows):
            matrix = basis.t() @ matrix @ basis
        left, pull, square = fold.normal()
        for number, ridge in enumerate(ridges):
            stiff = matrix.clone()
            stiff.diagonal().add_(ridge)
            right_side = slope - ridge * pull_of_one
            factor, failed = torch.linalg.cholesky_ex(stiff)
            if failed:
                found[number] = math.inf
                continue
            step = torch.cholesky_solve((basis.t() @ right_side if len(rows) else right_side)[:, None], factor)[:, 0]
            step = scale * (basis @ step if len(rows) else step)
            found[number] += float(square - 2.0 * (pull @ step) + step @ (left @ step))
    return found


def by_pivots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Columns in the order of a Cholesky factorisation with complete pivoting, and what is left of each.

    The first column is the largest one, and each further one the largest in what those before it do not explain.
    LAPACK's dpstrf: Lucas, LAPACK Working Note 161 (2004).

    Parameters
    ----------
    matrix : (n, n)
        Positive semidefinite.

    Returns
    -------
    order : (n,)
        Indices of the columns.
    left : (n,)
        Squared size of each column, in this order, in what those before it leave; 0 beyond the numerical rank.
    """
    factor, order, rank, _ = lapack.dpstrf(np.array(matrix.numpy().T), lower=1, overwrite_a=1)
    left = np.diag(factor) ** 2
    left[rank:] = 0.0
    return torch.from_numpy(order.astype(np.int64) - 1), torch.from_numpy(left)


def _null_space(rows: Tensor) -> Tensor:
    """Orthonormal basis (n, n − n_rows) of all u with C u = 0."""
    if not len(rows):
        return rows
    return torch.linalg.qr(rows.t(), mode="complete").Q[:, len(rows) :]
