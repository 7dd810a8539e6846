"""Fitting by solving: one least-squares solve for what is linear in its parameters, a few for what is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.fitting.least_squares import bounded_step, cross_validate
from openmm_hybrid.fitting.normal_equations import NormalEquations, accumulate, loss
from openmm_hybrid.fitting.residuals import LabelledMolecule
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forcefield import Parameters
from openmm_hybrid.forms.form import Column

RIDGES = tuple(10.0 ** (0.5 * power) for power in range(-18, 1))
"""Strengths tried by cross-validation; columns are scaled to a mean squared force of 1 (kcal/mol/Å)²."""
_FIRST_FRAMES = 300  # of each molecule for the first steps of a fit of many frames, which then needs few more
_AS_GOOD = 1.01  # of the least loss: the largest ridge of such a loss is taken, since small terms extrapolate better
_NEAR, _CONVERGED = 1e-3, 2e-4  # relative fall of the loss in a step, of the first stage and the last
_RARE = 0.1  # of the largest diagonal element of a type's coefficients: rarer ones are held as if they were so common
_EXACT = 1e-6  # relative error of the predicted loss below which a model was linear along a step
_NOTHING = 1e-12  # of the largest diagonal element: below it a column is rounding
_ROUNDING = 1e-13  # of the scaled matrix; keeps it positive definite without a ridge
_DAMPING = (0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)


@final
@dataclass(frozen=True)
class SolveSettings:
    """How the solve is regularised.

    Parameters
    ----------
    energy_weight : float, 1/Å²
        Of the mean squared energy error beside the mean squared force component.
    restraint : float, (kcal/mol/Å)²
        Cost of a parameter that went its width from the start (see `Column`).
    ridge : float or None
        λ; None for the one that cross-validation finds.
    folds : int
        Of the cross-validation.
    max_steps : int
        Gauss-Newton steps at most.
    """

    energy_weight: float = 0.3
    restraint: float = 0.01
    ridge: float | None = None
    folds: int = 5
    max_steps: int = 15

    def __post_init__(self) -> None:
        for name in ("energy_weight", "restraint", "ridge"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < math.inf:
                raise InputError(f"{name} = {value!r}", expected="a number from 0 on")
        if self.folds < 2 or self.max_steps < 1:
            raise InputError(f"folds = {self.folds}, max_steps = {self.max_steps}", expected="folds ≥ 2, max_steps ≥ 1")


@final
@dataclass(frozen=True)
class Trial:
    """One ridge that was tried: `loss` is that of frames left out, (kcal/mol/Å)²."""

    ridge: float
    loss: float


@final
@dataclass(frozen=True, eq=False)
class Solution:
    """Where a solve ended.

    Parameters
    ----------
    values : (n_parameters,)
    ridge : float
    trials : tuple of Trial
    losses : tuple of float
        Of the training frames, penalties counted: at the start and after each step of the last stage.
    """

    values: NDArray[np.float64]
    ridge: float
    trials: tuple[Trial, ...]
    losses: tuple[float, ...]


def solve(
    shared: SharedParameters,
    molecules: Sequence[LabelledMolecule],
    free: NDArray[np.int64],
    settings: SolveSettings,
    *,
    start: NDArray[np.float64] | None = None,
    progress: bool = True,
) -> Solution:
    """Gauss-Newton on the parameters `free`, from their values, which are also what ridge and restraint pull to.

    A model that is linear in them takes one step. Steps are damped so that the loss never rises; bounds and total
    charges are kept.

    `start` (n_parameters,) is another place to start at.

    Raises
    ------
    NumericalError
        The normal equations are singular.
    """
    if not len(free):
        raise InputError("there is no parameter to fit", hint="leave out fewer of them with fixed=")
    sizes = [len(molecule) for molecule in molecules]
    few = [min(size, _FIRST_FRAMES) for size in sizes]
    stages = [few] if start is None and max(sizes) > 2 * _FIRST_FRAMES else []
    solution = Solution(shared.parameters.values if start is None else start, 0.0, (), ())
    with progress_bar(len(stages) + 1, "fitting by solving", "stages", enabled=progress) as advance:
        for stage in (*stages, sizes):
            count = min(settings.folds, *stage)
            folds = [[torch.arange(first, size, count) for size in stage] for first in range(count)]
            problem = _Problem(shared, molecules, folds, torch.tensor(free), settings)
            last = problem.run(solution.values, _CONVERGED if stage is sizes else _NEAR)
            solution = replace(last, trials=(*solution.trials, *last.trials))
            advance(1)
    return solution


@final
@dataclass(frozen=True, eq=False)
class _Problem:
    """A least-squares problem on fixed frames."""

    shared: SharedParameters
    molecules: Sequence[LabelledMolecule]
    folds: list[list[Tensor]]
    free: Tensor
    settings: SolveSettings

    @property
    def parameters(self) -> Parameters:
        return self.shared.parameters

    @cached_property
    def charges(self) -> Tensor:
        return torch.tensor(self.shared.charge_rows())

    def run(self, start: NDArray[np.float64], tolerance: float) -> Solution:
        """Steps until the loss falls by less than this part of itself."""
        theta, losses = torch.tensor(start), []
        trials: list[Trial] = []
        ridge, scale, loss_now = 0.0, torch.zeros(0), math.inf
        for step in range(self.settings.max_steps):
            moments = accumulate(self.molecules, self.folds, theta, self.free, self.settings.energy_weight)
            matrix, right, square = NormalEquations.total(moments).normal()
            if step == 0:
                free = self.free.tolist()
                names, columns = self.parameters.names, self.shared.columns
                scale = _scales(matrix.diagonal(), [names[k] for k in free], [columns[k] for k in free])
                ridge, trials = self._ridge(moments, scale, theta)
                loss_now = float(square) + self._penalty(theta, scale, ridge)
                losses.append(loss_now)
            theta, found, exact = self._step(theta, matrix, right, scale, ridge, loss_now)
            fall, loss_now = loss_now - found, found
            losses.append(loss_now)
            if exact or fall <= tolerance * loss_now:
                break
        return Solution(theta.numpy(), ridge, tuple(trials), tuple(losses))

    def _ridge(self, moments: list[NormalEquations], scale: Tensor, theta: Tensor) -> tuple[float, list[Trial]]:
        if self.settings.ridge is not None:
            return self.settings.ridge, []
        away = (theta - self._centre)[self.free]
        rows = self._rows(scale)
        losses = cross_validate(moments, scale, self._prior, away, rows, RIDGES)
        tried = [Trial(ridge, value) for ridge, value in zip(RIDGES, losses, strict=True)]
        return max(trial.ridge for trial in tried if trial.loss <= _AS_GOOD * min(losses)), tried

    def _step(
        self, theta: Tensor, matrix: Tensor, right: Tensor, scale: Tensor, ridge: float, loss_now: float
    ) -> tuple[Tensor, float, bool]:
        """The first step with enough damping to lower the loss; also whether the loss was as predicted."""
        here = theta[self.free]
        away = here - self._centre[self.free]
        inverse = _inverse(scale)
        lower = torch.tensor(self.parameters.lower)[self.free]
        upper = torch.tensor(self.parameters.upper)[self.free]
        stiff = scale[:, None] * matrix * scale + torch.diag(scale**2 * self._prior)
        slope = scale * (right - self._prior * away) - ridge * inverse * away
        below = torch.where(scale > 0, (lower - here).clamp(max=0.0) * inverse, 0.0)
        above = torch.where(scale > 0, (upper - here).clamp(min=0.0) * inverse, 0.0)
        identity = torch.eye(len(scale), dtype=scale.dtype)
        for damping in _DAMPING:
            u = bounded_step(stiff + (ridge + damping + _ROUNDING) * identity, slope, self._rows(scale), below, above)
            trial = theta.clone()
            trial[self.free] = torch.minimum(torch.maximum(here + scale * u, lower), upper)
            found = self.loss(trial) + self._penalty(trial, scale, ridge)
            if found <= loss_now:
                predicted = loss_now + float(u @ (stiff @ u) - 2.0 * (slope @ u) + ridge * (u @ u))
                return trial, found, abs(predicted - found) <= _EXACT * max(loss_now - found, 1e-12 * loss_now)
        return theta, loss_now, True

    def loss(self, theta: Tensor) -> float:
        return loss(self.molecules, self.folds, theta, self.settings.energy_weight)

    def _penalty(self, theta: Tensor, scale: Tensor, ridge: float) -> float:
        away = (theta - self._centre)[self.free]
        return float((self._prior * away**2).sum() + ridge * ((_inverse(scale) * away) ** 2).sum())

    def _rows(self, scale: Tensor) -> Tensor:
        rows = self.charges[:, self.free] * scale
        return rows[(rows != 0).any(1)]

    @property
    def _centre(self) -> Tensor:
        return torch.tensor(self.parameters.values)

    @property
    def _prior(self) -> Tensor:
        return self.settings.restraint * torch.tensor(self.shared.restraints())[self.free]


def _scales(diagonal: Tensor, names: Sequence[str], columns: Sequence[Column]) -> Tensor:
    """Parameters (n_free,) for a mean squared force of 1; 0 where there is nothing.

    Coefficients of one function (equal group and type, and no width of their own) are scaled alike when few frames
    reach them: a spline's piece at the end of the range would else be free to go anywhere.
    """
    common: dict[str, float] = {}
    rows = [name if column.width else name.rpartition("/")[0] for name, column in zip(names, columns, strict=True)]
    for row, value in zip(rows, diagonal.tolist(), strict=True):
        common[row] = max(common.get(row, 0.0), value)
    least = diagonal.new_tensor([_RARE * common[row] for row in rows])
    known = diagonal > _NOTHING * diagonal.max()
    return torch.where(known, 1.0 / torch.maximum(diagonal, least).clamp(min=1e-300).sqrt(), torch.zeros_like(diagonal))


def _inverse(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, 1.0 / scale, torch.zeros_like(scale))
