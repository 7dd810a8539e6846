"""Least squares of forces or energies by terms linear in their parameters, smooth as cross-validation says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.correction import smoothness
from openmm_hybrid.correction.coordinates import designs
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.diagnose.motions import turns
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.model import ForceFieldModule

Floats = NDArray[np.float64]

FOLDS = 5
_TOLERATED = 0.01  # of the smallest error: one standard error is more where frames differ much
_RIDGE = 1e-9  # settles what forces do not say, as a spline's constant
_NOTHING = 1e-12  # squared slopes a frame that are rounding
_BATCH = 64  # frames at once


@final
@dataclass(frozen=True, eq=False)
class Fit:
    """Result of `fit`.

    Parameters
    ----------
    coefficients : (n_fitted,), kcal/mol
    smoothness : float
        Strength of the penalty.
    share : float
        Part of the labels' squares (energies: less their mean) that is explained in frames left out.
    """

    coefficients: Floats = field(repr=False)
    smoothness: float
    share: float


@final
@dataclass(frozen=True, eq=False)
class _Normal:
    """AᵀA, Aᵀy and yᵀy of some frames."""

    matrix: Floats
    right: Floats
    square: float

    @classmethod
    def of(cls, a: Floats, y: Floats) -> _Normal:
        return cls(a.T @ a, a.T @ y, float(y @ y))

    @classmethod
    def total(cls, parts: Sequence[_Normal]) -> _Normal:
        return cls(
            np.sum([part.matrix for part in parts], axis=0),
            np.sum([part.right for part in parts], axis=0),
            sum(part.square for part in parts),
        )

    def solve(self, penalty: Floats) -> Floats:
        ridge = _RIDGE * self.matrix.trace() / len(self.matrix)
        return np.asarray(np.linalg.solve(self.matrix + penalty + ridge * np.eye(len(penalty)), self.right))

    def error(self, solution: Floats) -> float:
        """|y − A c|², not below zero by rounding."""
        return max(0.0, self.square - 2.0 * float(self.right @ solution) + float(solution @ self.matrix @ solution))


def fit(start: ForceField, rest: Frames, labels: str, bonds: NDArray[np.int64], *, progress: bool = True) -> Fit:
    """Coefficients whose forces or energies come closest to those of the frames.

    Parameters
    ----------
    start : ForceField
        Of `Spline` and `Fourier2D` terms; the terms of a group share their parameters.
    rest : Frames
        With labels; 2 · FOLDS of them at least.
    labels : {"turns", "forces", "energies"}
        Forces along turns about bonds, all forces, or energies up to a constant.
    bonds : (n_bonds, 2)

    Raises
    ------
    InputError
        No turn changes the coordinates, or all forces are zero.
    """
    folds = _folds(start, rest, labels, bonds, progress)
    total = _Normal.total(folds)
    if total.matrix.trace() <= _NOTHING * len(rest):
        raise InputError(
            "no turn about a bond changes these coordinates", hint="fit labels='forces', or other coordinates"
        )
    if total.square <= 0.0:
        raise InputError("there is no residual", expected="a reference that differs from the force field")
    penalties = smoothness.penalties(start, total.matrix)
    # One row a fold, one column a strength.
    errors = np.array([_left_out(folds, number, penalties) for number in range(FOLDS)])
    # Energies scatter by what all other coordinates do: a tolerance of their error would smooth everything away.
    best = int(np.argmin(errors.sum(axis=0))) if labels == "energies" else _strongest(errors)
    share = 1.0 - float(errors[:, best].sum()) / total.square
    return Fit(total.solve(penalties[best]), smoothness.STRENGTHS[best], share)


def _left_out(folds: Sequence[_Normal], number: int, penalties: Sequence[Floats]) -> list[float]:
    """Errors of a fold for each penalty, fitted to the other folds."""
    others = _Normal.total([fold for place, fold in enumerate(folds) if place != number])
    return [folds[number].error(others.solve(penalty)) for penalty in penalties]


def _strongest(errors: Floats) -> int:
    """The strongest penalty whose error is within one standard error of the smallest: the rule of Breiman et al.,
    Classification and Regression Trees (1984). The smallest alone may be that of a function which few frames at the
    ends of its range would throw off."""
    least = int(np.argmin(errors.sum(axis=0)))
    more = errors - errors[:, [least]]
    spread = errors[:, least].std(ddof=1) * np.sqrt(len(errors))
    allowed = np.minimum(spread, _TOLERATED * errors[:, least].sum())
    return int(np.flatnonzero(more.sum(axis=0) <= allowed).max())


def _folds(start: ForceField, rest: Frames, labels: str, bonds: NDArray[np.int64], progress: bool) -> list[_Normal]:
    energies, forces = rest.labels()
    n = int(start.parameters.fitted.sum())
    module = start.module()
    order = np.random.default_rng(0).permutation(len(rest))
    folds = []
    with progress_bar(len(rest), "distilling", "frames", enabled=progress) as advance:
        for fold in np.array_split(order, FOLDS):
            parts, rows = [], []
            for chosen in np.array_split(fold, -(-len(fold) // _BATCH)):
                values, a = _rows(module, start, rest.positions[chosen])
                rows.append(values)
                y = forces[chosen].reshape(len(chosen), -1, 1)
                if labels == "turns":
                    u = turns(rest.positions[chosen], bonds).transpose(0, 2, 1)
                    a, y = u @ a, u @ y
                parts.append(_Normal.of(a.reshape(-1, n), y.ravel()))
                advance(len(chosen))
            if labels == "energies":  # up to a constant, each fold's own
                values = np.concatenate(rows)
                parts = [_Normal.of(values - values.mean(axis=0), energies[fold] - energies[fold].mean())]
            folds.append(_Normal.total(parts))
    return folds


def _rows(module: ForceFieldModule, start: ForceField, positions: Floats) -> tuple[Floats, Floats]:
    """Energies (n_frames, n_fitted) and forces (n_frames, 3 n_atoms, n_fitted) of functions with the coefficient 1."""
    q, jacobian = module.internal.jacobian(torch.tensor(positions))
    n_fitted = int(start.parameters.fitted.sum())
    energies = torch.zeros(len(positions), n_fitted, dtype=torch.float64)
    forces = torch.zeros(len(positions), jacobian.shape[2], n_fitted, dtype=torch.float64)
    for numbers, columns, values, slopes in designs(start, q):
        energies[:, columns] += values
        forces[:, :, columns] -= torch.einsum("ftqn,ftqx->fxn", slopes, jacobian[:, numbers])
    return energies.numpy(), forces.numpy()
