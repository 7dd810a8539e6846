"""Gauss-Newton fits: one least-squares solve for linear parameters, a few damped ones for the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.fitting.least_squares import (
    NormalEquations,
    accumulate,
    bounded_step,
    by_pivots,
    cross_validate,
    loss,
    moved,
)
from openmm_hybrid.fitting.residuals import LabelledMolecule
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forcefield import Parameters
from openmm_hybrid.forms.form import Column

_FIRST, _WIDTHS = (-2.0, -4.0, -6.0), (2.0, 2.0, 1.0, 0.5)
"""Powers of ten of the first ridges of a cross-validation, for columns scaled to a mean squared force of 1
(kcal/mol/Å)², and distances of the next powers from the best one so far. Powers that are known cost nothing."""
_FIRST_OF_MANY, _WIDTHS_OF_MANY = (-2.0, -4.0), (1.0, 1.0, 0.5)
"""The same for many parameters, where weak ridges cost most."""
_WEAKEST, _STRONGEST = -10.0, 0.5
_LEFT_OUT = ((2000, 5), (5000, 2))
"""Numbers of parameters up to which so many folds are left out; above, it is one. A factorisation costs their cube."""
_MANY = 8000
"""Number of parameters above which those that the ridge would hold anyway are left out (`_LeastSquares._chosen`)."""
_EXPLAINED = 0.03  # squared size, relative to the ridge, of what other columns leave of a column that is left out
_MOSTLY_LINEAR = 0.3  # share of nonlinear parameters up to which steps reuse the products of the others
_TOLERANCE = 0.01  # largest relative difference between the loss of the chosen ridge and the smallest loss
_CONVERGED = 2e-4  # relative decrease of the loss in a step that ends the fit
_RARE = 0.1  # least diagonal element used for scaling, relative to the largest of the same function
_EXACT = 1e-6  # relative error of the predicted loss below which the model was linear along a step
_NOTHING = 1e-12  # diagonal element, relative to the largest, below which a column is rounding
_ROUNDING = 1e-13  # added to the diagonal of the scaled matrix to keep it positive definite without a ridge
_DAMPING = (0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)


@final
@dataclass(frozen=True)
class SolveSettings:
    """Regularisation and effort of a solve.

    Parameters
    ----------
    energy_weight : float, 1/Å²
        Weight of the mean squared energy error relative to that of force components.
    restraint : float, (kcal/mol/Å)²
        Cost of a parameter at a distance of its width from the start (see `Column`).
    ridge : float or None
        λ; None for the value that cross-validation finds.
    folds : int
        Folds of the cross-validation.
    max_steps : int
        Largest number of Gauss-Newton steps.
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
class RidgeLoss:
    """A ridge of the cross-validation and its loss on frames left out, (kcal/mol/Å)²."""

    ridge: float
    loss: float


@final
@dataclass(frozen=True, eq=False)
class Solution:
    """Result of a solve.

    Parameters
    ----------
    values : (n_parameters,)
    ridge : float
    ridge_losses : tuple of RidgeLoss
    losses : tuple of float
        Loss of the training frames with penalties, at the start and after each step.
    """

    values: NDArray[np.float64]
    ridge: float
    ridge_losses: tuple[RidgeLoss, ...]
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
    """Minimise the loss by Gauss-Newton steps, damped so that the loss never rises.

    A model that is linear in the free parameters needs one step. Bounds and total charges are kept.

    Parameters
    ----------
    shared : SharedParameters
        Ridge and restraint pull towards its values.
    molecules : sequence of LabelledMolecule
        Training frames of each force field.
    free : (n_free,)
        Indices of the parameters to fit.
    settings : SolveSettings
    start : (n_parameters,), optional
        Values of the first step; those of `shared` by default.
    progress : bool

    Raises
    ------
    InputError
        There is no free parameter.
    NumericalError
        The normal equations are singular.
    """
    if not len(free):
        raise InputError("there is no parameter to fit", hint="name fewer parameters in fixed=")
    sizes = [len(molecule) for molecule in molecules]
    count = min(settings.folds, *sizes)
    folds = [[torch.arange(first, size, count) for size in sizes] for first in range(count)]
    left_out = min(count, next((most for limit, most in _LEFT_OUT if len(free) <= limit), 1))
    if left_out < count:  # the other folds share their sums, which are large
        folds[left_out:] = [[torch.cat(parts) for parts in zip(*folds[left_out:], strict=True)]]
    problem = _LeastSquares(shared, molecules, folds, left_out, torch.tensor(free), settings)
    with progress_bar(settings.max_steps, "fitting by solving", "steps", enabled=progress) as advance:
        return problem.run(shared.parameters.values if start is None else start, lambda: advance(1))


@final
@dataclass(frozen=True, eq=False)
class _LeastSquares:
    """A least-squares problem on fixed frames; a cross-validation leaves out the first `n_left_out` folds."""

    shared: SharedParameters
    molecules: Sequence[LabelledMolecule]
    folds: list[list[Tensor]]
    n_left_out: int
    free: Tensor
    settings: SolveSettings

    @property
    def parameters(self) -> Parameters:
        return self.shared.parameters

    @cached_property
    def charges(self) -> Tensor:
        return torch.tensor(self.shared.charge_rows())

    def run(self, start: NDArray[np.float64], advance: Callable[[], None]) -> Solution:
        """Take steps until the loss hardly falls."""
        theta, weight = torch.tensor(start), self.settings.energy_weight
        first = accumulate(self.molecules, self.folds, theta, self.free, weight)
        total = NormalEquations.total(first)
        matrix, _, _ = total.normal()
        free = self.free.tolist()
        names, columns = self.parameters.names, self.shared.columns
        scale = _scales(matrix.diagonal(), [names[k] for k in free], [columns[k] for k in free])
        chosen = self._chosen(matrix, scale)
        del matrix, first[self.n_left_out :]
        ridge, ridge_losses = self._ridge(total, first, scale, theta, chosen)
        first.clear()
        if chosen is None:
            return self._stepped(total, scale, theta, ridge, ridge_losses, advance)
        kept = chosen(ridge)
        smaller = replace(self, free=self.free[kept])
        return smaller._stepped(total.kept(kept), scale[kept], theta, ridge, ridge_losses, advance)

    def _stepped(
        self,
        total: NormalEquations,
        scale: Tensor,
        theta: Tensor,
        ridge: float,
        ridge_losses: Sequence[RidgeLoss],
        advance: Callable[[], None],
    ) -> Solution:
        """Take steps with a ridge until the loss hardly falls."""
        weight = self.settings.energy_weight
        matrix, right, square = total.normal()
        loss_now = float(square) + self._penalty(theta, scale, ridge)
        losses, nonlinear = [loss_now], self._nonlinear()
        for step in range(self.settings.max_steps):
            if step:
                if len(nonlinear) < _MOSTLY_LINEAR * len(self.free):
                    (latest,) = moved([total], self.molecules, self._together, theta, self.free, nonlinear, weight)
                else:
                    (latest,) = accumulate(self.molecules, self._together, theta, self.free, weight)
                matrix, right, _ = latest.normal()
            theta, found, exact = self._step(theta, matrix, right, scale, ridge, loss_now)
            advance()
            fall, loss_now = loss_now - found, found
            losses.append(loss_now)
            if exact or fall <= _CONVERGED * loss_now:
                break
        return Solution(theta.numpy(), ridge, tuple(ridge_losses), tuple(losses))

    @property
    def _together(self) -> list[list[Tensor]]:
        """All frames of each molecule in one fold."""
        return [[torch.cat(parts) for parts in zip(*self.folds, strict=True)]]

    def _chosen(self, matrix: Tensor, scale: Tensor) -> Callable[[float], Tensor] | None:
        """A function from a ridge to the positions in `free` of the parameters to fit; None for all of them.

        Products of neighbouring coordinates explain each other. Where many are fitted, we leave out the columns of
        which the others leave less than the ridge, since it would hardly let them move. This makes factorisations
        several times faster. Parameters in which a term is not linear stay: their columns change.
        """
        if self.settings.ridge is not None or len(self.free) <= _MANY:
            return None
        order, left = by_pivots(scale[:, None] * matrix * scale)
        nonlinear = self._nonlinear()

        def columns(ridge: float) -> Tensor:
            return torch.unique(torch.cat([order[left > _EXPLAINED * ridge], nonlinear]))

        return columns

    def _nonlinear(self) -> Tensor:
        """Positions in `free` of the parameters in which a term is not linear."""
        masks = [molecule.nonlinear(self.free, len(self.parameters)) for molecule in self.molecules]
        return torch.nonzero(torch.stack(masks).any(0)).flatten()

    def _ridge(
        self,
        total: NormalEquations,
        left: list[NormalEquations],
        scale: Tensor,
        theta: Tensor,
        chosen: Callable[[float], Tensor] | None,
    ) -> tuple[float, list[RidgeLoss]]:
        """The ridge of the settings, or of a cross-validation that leaves out the frames of each of `left`."""
        if self.settings.ridge is not None:
            return self.settings.ridge, []
        away, rows = (theta - self._centre)[self.free], self._rows(scale)
        losses: dict[float, float] = {}

        def restricted(kept: Tensor, ridge: float) -> list[float]:
            parts = [part.kept(kept) for part in left]
            some = rows[:, kept]
            some = some[(some != 0).any(1)]
            return cross_validate(total.kept(kept), parts, scale[kept], self._prior[kept], away[kept], some, [ridge])

        def look(powers: Iterable[float]) -> float:
            """The best power of ten after a look at further ones."""
            new = [power for power in powers if power not in losses and _WEAKEST <= power <= _STRONGEST]
            ridges = [10.0**power for power in new]
            if chosen is None:
                values = cross_validate(total, left, scale, self._prior, away, rows, ridges)
            else:
                values = [value for ridge in ridges for value in restricted(chosen(ridge), ridge)]
            losses.update(zip(new, values, strict=True))
            return min(losses, key=losses.__getitem__)

        best = look(_FIRST if chosen is None else _FIRST_OF_MANY)
        for width in _WIDTHS if chosen is None else _WIDTHS_OF_MANY:
            best = look((best - width, best + width))
        found = [RidgeLoss(10.0**power, losses[power]) for power in sorted(losses)]
        # The largest ridge whose loss is nearly the smallest: small coefficients extrapolate better.
        least = min(losses.values())  # rounding can make it negative
        return max(entry.ridge for entry in found if entry.loss <= least + _TOLERANCE * abs(least)), found

    def _step(
        self, theta: Tensor, matrix: Tensor, right: Tensor, scale: Tensor, ridge: float, loss_now: float
    ) -> tuple[Tensor, float, bool]:
        """Parameters and loss after a step, damped until the loss falls; and whether the loss was as predicted."""
        here = theta[self.free]
        away = here - self._centre[self.free]
        inverse = _inverse(scale)
        lower = torch.tensor(self.parameters.lower)[self.free]
        upper = torch.tensor(self.parameters.upper)[self.free]
        stiff = (scale[:, None] * matrix).mul_(scale)
        stiff.diagonal().add_(scale**2 * self._prior)
        slope = scale * (right - self._prior * away) - ridge * inverse * away
        below = torch.where(scale > 0, (lower - here).clamp(max=0.0) * inverse, 0.0)
        above = torch.where(scale > 0, (upper - here).clamp(min=0.0) * inverse, 0.0)
        for damping in _DAMPING:
            damped = stiff.clone()
            damped.diagonal().add_(ridge + damping + _ROUNDING)
            u = bounded_step(damped, slope, self._rows(scale), below, above)
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
    """Changes of the parameters (n_free,) that give a mean squared force of 1/reach²; 0 without an effect on forces.

    Coefficients of one function (of equal group and type, without widths) that few frames reach are scaled like its
    common ones. Otherwise the ridge would hardly hold the ends of a spline.
    """
    common: dict[str, float] = {}
    rows = [name if column.width else name.rpartition("/")[0] for name, column in zip(names, columns, strict=True)]
    for row, value in zip(rows, diagonal.tolist(), strict=True):
        common[row] = max(common.get(row, 0.0), value)
    least = diagonal.new_tensor([_RARE * common[row] for row in rows])
    known = diagonal > _NOTHING * diagonal.max()
    reach = diagonal.new_tensor([column.reach for column in columns])
    scale = 1.0 / (reach * torch.maximum(diagonal, least).clamp(min=1e-300).sqrt())
    return torch.where(known, scale, torch.zeros_like(scale))


def _inverse(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, 1.0 / scale, torch.zeros_like(scale))
