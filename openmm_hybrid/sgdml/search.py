"""Search of sigma and lam by the force error on validation frames."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.error_table import ErrorTable
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.core.text_table import cell, text_table
from openmm_hybrid.sgdml.check import assess, known
from openmm_hybrid.sgdml.fit import DEFAULT_SOLVER, SolverSettings, check_lengths, fit
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.training_set import TrainingSet

_FIRST = (10.0, 20.0, 40.0)  # sigma of the first trials, 1/Å; the usual range of small molecules
_LIMITS = (0.3, 1300.0)  # limits of the coarse search, 1/Å
_GOLDEN = (3.0 - math.sqrt(5.0)) / 2.0


@final
@dataclass(frozen=True)
class Trial:
    """One pair of sigma and lam that was tried.

    Parameters
    ----------
    sigma : float, 1/Å
    lam : float
    seconds : float
        Duration of the fit.
    errors : ErrorTable or None
        Errors on the validation frames.
    refused : str
        Reason for which there is no model; empty for a model.
    """

    sigma: float
    lam: float
    seconds: float
    errors: ErrorTable | None = None
    refused: str = ""

    @property
    def score(self) -> float:
        """The minimised quantity: the force RMSE in kcal/mol/Å, infinite without a model."""
        return math.inf if self.errors is None else self.errors.force_rmse

    def as_dict(self) -> dict[str, Any]:
        """Names and values, for JSON."""
        errors = None if self.errors is None else known(self.errors)
        return {"sigma": self.sigma, "lam": self.lam, "seconds": self.seconds, "valid": errors, "refused": self.refused}


@final
@dataclass(frozen=True, eq=False)
class Search:
    """The trials in their order, and the best model.

    Parameters
    ----------
    model : SGDMLModel
    trials : tuple of Trial
    """

    model: SGDMLModel = field(repr=False)
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The trial with the smallest force RMSE on the validation frames."""
        return min(self.trials, key=lambda trial: trial.score)

    def table(self) -> str:
        """The trials as a text table, sorted by lam and sigma; a star marks the best one."""
        columns = ("sigma", "lam", "force MAE", "RMSE", "energy MAE", "RMSE", "seconds", "")
        rows = []
        for trial in sorted(self.trials, key=lambda trial: (trial.lam, trial.sigma)):
            table = trial.errors
            errors = (math.nan,) * 4 if table is None else _errors(table)
            note = "*" if trial is self.best else trial.refused
            row = (*map(cell, errors), f"{trial.seconds:.1f}", note)
            rows.append((f"{trial.sigma:g}", f"{trial.lam:g}", *row))
        return text_table(columns, rows)

    def as_dict(self) -> dict[str, Any]:
        """Best sigma and lam, and all trials, for JSON."""
        return {
            "sigma": self.best.sigma,
            "lam": self.best.lam,
            "trials": [trial.as_dict() for trial in self.trials],
        }


def search(
    data: TrainingSet,
    *,
    sigmas: Sequence[float] | None = None,
    lams: Sequence[float] = (1e-10,),
    tolerance: float = 0.1,
    solver: SolverSettings = DEFAULT_SOLVER,
    progress: bool = True,
) -> Search:
    """Find the sigma and lam whose model has the smallest force RMSE on the validation frames.

    Without `sigmas`, the search tries sigma 10, 20 and 40, continues by factors of 2 while the best sigma is at an end,
    and then narrows the interval by golden section of log sigma. From 10 on it tries whole numbers only, because
    sgdml's own predictors expect them. Each fit starts from the coefficients of the nearest solved sigma, if the solver
    uses a start. A sigma whose matrix cannot be solved counts as a trial without a model.

    Parameters
    ----------
    data : TrainingSet
        Training set with validation frames.
    sigmas : sequence of float, 1/Å, optional
        Values of sigma to try instead of the search.
    lams : sequence of float
        Values of lam; sigma is searched for each.
    tolerance : float
        Relative width at which the search of sigma stops.
    solver : SolverSettings
        Settings of the solver. Each trial has its own checkpoint, whose name begins with the name of the given file.
    progress : bool
        Show the progress.

    Raises
    ------
    InputError
        No validation frames; a sigma or lam out of range, or none at all.
    NumericalError
        No trial gave a model.

    Warns
    -----
    UserWarning
        The best sigma is the smallest or largest one tried.
    """
    if not len(data.idxs_valid):
        raise InputError("there are no frames to validate on", hint="give n_valid, or train on fewer frames")
    if not lams or (sigmas is not None and not len(sigmas)) or not tolerance > 0.0:
        raise InputError(
            "the search has nothing to try", expected="at least one sigma and lam, and a tolerance above 0"
        )
    for lam in lams:
        for sigma in (1.0,) if sigmas is None else sigmas:
            check_lengths(sigma, lam)
    runner = _Runner(data, solver, progress)
    for lam in lams:
        if sigmas is not None:
            for sigma in sorted(sigmas):
                runner.score(sigma, lam)
        else:
            runner.narrow(lam, tolerance)
    if runner.model is None:
        raise NumericalError(
            f"none of {len(runner.trials)} sigmas gave a model; the last reason was: {runner.trials[-1].refused}",
            hint="raise lam",
        )
    result = Search(runner.model, tuple(runner.trials))
    _warn_at_an_end(result)
    return result


@final
class _Runner:
    """Fits each trial once, and keeps the best model."""

    def __init__(self, data: TrainingSet, solver: SolverSettings, progress: bool) -> None:
        self.trials: list[Trial] = []
        self.model: SGDMLModel | None = None
        self._data, self._solver, self._progress = data, solver, progress
        self._valid = data.valid
        self._alphas: dict[tuple[float, float], NDArray[np.float64] | None] = {}

    def score(self, sigma: float, lam: float) -> float:
        """Force RMSE on the validation frames; infinite if the system cannot be solved."""
        for trial in self.trials:
            if (trial.sigma, trial.lam) == (sigma, lam):
                return trial.score
        best = min((trial.score for trial in self.trials), default=math.inf)
        clock = time.monotonic()
        try:
            model = fit(
                self._data,
                sigma=sigma,
                lam=lam,
                solver=self._solver_of(sigma, lam),
                start=self._nearest(sigma, lam),
                progress=self._progress,
            )
        except NumericalError as error:
            self.trials.append(Trial(sigma, lam, time.monotonic() - clock, refused=error.problem))
            return math.inf
        trial = Trial(sigma, lam, time.monotonic() - clock, assess(model, self._valid))
        self.trials.append(trial)
        self._alphas[sigma, lam] = model.alphas
        if trial.score < best:
            self.model = model
        return trial.score

    def narrow(self, lam: float, tolerance: float) -> None:
        """Try sigmas until the best is known to `tolerance`."""
        _narrow(lambda log_sigma: self.score(_round(math.exp(log_sigma)), lam), tolerance)

    def _nearest(self, sigma: float, lam: float) -> NDArray[np.float64] | None:
        """Coefficients of the solved trial with the nearest sigma, preferably of the same lam."""

        def distance(other: tuple[float, float]) -> tuple[bool, float]:
            return other[1] != lam, abs(math.log(other[0] / sigma))

        return self._alphas[min(self._alphas, key=distance)] if self._alphas else None

    def _solver_of(self, sigma: float, lam: float) -> SolverSettings:
        path = self._solver.checkpoint
        if path is None:
            return self._solver
        return replace(self._solver, checkpoint=path.with_name(f"{path.stem}-{sigma:g}-{lam:g}{path.suffix}"))


def _narrow(score: Callable[[float], float], tolerance: float) -> None:
    """Bracket the minimum of `score` of log sigma on a coarse grid, then narrow the bracket by golden section."""
    logs = [math.log(sigma) for sigma in _FIRST]
    step = logs[1] - logs[0]
    lowest, highest = map(math.log, _LIMITS)
    while True:
        k = min(range(len(logs)), key=lambda k: score(logs[k]))
        if k == 0 and logs[0] - step > lowest:
            logs.insert(0, logs[0] - step)
        elif k == len(logs) - 1 and logs[-1] + step < highest:
            logs.append(logs[-1] + step)
        else:
            break
    if not 0 < k < len(logs) - 1:
        return
    low, middle, high = logs[k - 1 : k + 2]
    while high - low > 2.0 * math.log1p(tolerance):
        upwards = high - middle > middle - low
        new = middle + _GOLDEN * ((high if upwards else low) - middle)
        if score(new) < score(middle):
            low, middle, high = (middle, new, high) if upwards else (low, new, middle)
        else:
            low, high = (low, new) if upwards else (new, high)


def _round(sigma: float) -> float:
    """Round to a whole number from 10 on, and to two digits below."""
    return float(round(sigma)) if sigma >= 9.5 else float(f"{sigma:.2g}")


def _warn_at_an_end(result: Search) -> None:
    solved = sorted({trial.sigma for trial in result.trials if trial.errors is not None})
    best = result.best.sigma
    if len(solved) > 1 and best in (solved[0], solved[-1]):
        what = "smallest" if best == solved[0] else "largest"
        warnings.warn(
            f"the best sigma, {best:g}, is the {what} that gave a model: the optimum may lie beyond; give a wider "
            "range of sigmas, or another lam.",
            stacklevel=3,
        )


def _errors(table: ErrorTable) -> tuple[float, float, float, float]:
    return table.force_mae, table.force_rmse, table.energy_mae, table.energy_rmse
