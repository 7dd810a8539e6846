"""Search of sigma and lam by the force error on validation frames."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.error_table import ErrorTable
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.core.text_table import cell, text_table
from openmm_hybrid.sgdml.fit import DEFAULT_SOLVER, SolverSettings, check_lengths
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.training_set import TrainingSet
from openmm_hybrid.sgdml.trial import Trial, perform_trial, solver_of_trial
from openmm_hybrid.sgdml.trial_tasks import TrialTasks
from openmm_hybrid.tasks import Runner, Store

_Pair = tuple[float, float]
"""Sigma and lam of a trial."""
_FIRST = (10.0, 20.0, 40.0)  # sigma of the first trials, 1/Å; the usual range of small molecules
_LIMITS = (0.3, 1300.0)  # limits of the coarse search, 1/Å
_GOLDEN = (3.0 - math.sqrt(5.0)) / 2.0


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
    runner: Runner | None = None,
    store: Store | None = None,
) -> Search:
    """Find the sigma and lam whose model has the smallest force RMSE on the validation frames.

    Without `sigmas`, the search tries sigma 10, 20 and 40, continues by factors of 2 while the best sigma is at an end,
    and then narrows the interval by golden section of log sigma. From 10 on it tries whole numbers only, because
    sgdml's own predictors expect them. Each fit starts from the coefficients of the nearest solved sigma, if the solver
    uses a start. A sigma whose matrix cannot be solved counts as a trial without a model.

    With a runner, trials are tasks (see `openmm_hybrid.tasks`). Those of given sigmas run side by side, as do the first
    three of a search and the searches for several lams; after the first three, each trial of a search depends on the
    ones before. Fits have no start there. The trials and the model are those of a search without a runner: to the last
    bit with the direct solver and the same number of threads, otherwise within the accuracy of the solver.

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
    runner : Runner, optional
        Where trials run; by default one after another in this process. A checkpoint must have a path for all workers.
    store : Store, optional
        Store of finished trials, needed with a runner. All workers must see it.

    Raises
    ------
    InputError
        No validation frames; a sigma or lam out of range, or none at all; a runner without a store, or the reverse.
    NumericalError
        No trial gave a model.
    HybridError
        The task of a trial failed.

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
    if (runner is None) != (store is None):
        raise InputError("one of runner and store is given alone", expected="both, or none of them")
    for lam in lams:
        for sigma in (1.0,) if sigmas is None else sigmas:
            check_lengths(sigma, lam)
    chains = partial(_trials_of, sigmas=sigmas, tolerance=tolerance)
    if runner is None or store is None:
        here = _Fits(data, solver, progress)
        for lam in lams:
            _perform_waves(here, [chains(here, lam)], progress=False)
        model, trials = here.model, tuple(here.trials.values())
    else:
        tasks = TrialTasks(data, solver, runner, store)
        _perform_waves(tasks, [chains(tasks, lam) for lam in lams], progress=progress)
        trials = tuple(sorted(tasks.trials.values(), key=lambda trial: list(lams).index(trial.lam)))
        best = min(trials, key=lambda trial: trial.score)
        model = None if best.errors is None else tasks.model(best)
    if model is None:
        raise NumericalError(
            f"none of {len(trials)} sigmas gave a model; the last reason was: {trials[-1].refused}",
            hint="raise lam",
        )
    result = Search(model, trials)
    _warn_at_an_end(result)
    return result


@final
class _Fits:
    """Fits each trial once, in this process, and keeps the best model."""

    def __init__(self, data: TrainingSet, solver: SolverSettings, progress: bool) -> None:
        self.trials: dict[_Pair, Trial] = {}
        self.model: SGDMLModel | None = None
        self._data, self._solver, self._progress = data, solver, progress
        self._alphas: dict[_Pair, NDArray[np.float64] | None] = {}

    def perform(self, pairs: Sequence[_Pair]) -> None:
        """Perform the trials of these sigmas and lams that are not known, each from its nearest neighbour."""
        for sigma, lam in pairs:
            if (sigma, lam) in self.trials:
                continue
            best = min((trial.score for trial in self.trials.values()), default=math.inf)
            solver = solver_of_trial(self._solver, sigma, lam)
            start = self._nearest(sigma, lam)
            trial, model = perform_trial(self._data, sigma, lam, solver, start, self._progress)
            self.trials[sigma, lam] = trial
            if model is not None:
                self._alphas[sigma, lam] = model.alphas
            if trial.score < best:
                self.model = model

    def _nearest(self, sigma: float, lam: float) -> NDArray[np.float64] | None:
        """Coefficients of the solved trial with the nearest sigma, preferably of the same lam."""

        def distance(other: _Pair) -> tuple[bool, float]:
            return other[1] != lam, abs(math.log(other[0] / sigma))

        return self._alphas[min(self._alphas, key=distance)] if self._alphas else None


def _perform_waves(work: _Fits | TrialTasks, chains: Sequence[Iterator[list[_Pair]]], *, progress: bool) -> None:
    """Perform chains of trials side by side: a wave holds the trials that all chains ask for next."""
    while chains:
        waves = [(chain, pairs) for chain in chains if (pairs := next(chain, None)) is not None]
        wave = [pair for _, pairs in waves for pair in pairs]
        work.perform(wave)
        if progress:
            for pair in wave:
                print(f"sigma {pair[0]:g}, lam {pair[1]:g}: force RMSE {work.trials[pair].score:.4g}", file=sys.stderr)
        chains = [chain for chain, _ in waves]


def _trials_of(
    work: _Fits | TrialTasks, lam: float, *, sigmas: Sequence[float] | None, tolerance: float
) -> Iterator[list[_Pair]]:
    """The trials of one lam, in groups that do not depend on each other."""
    if sigmas is not None:
        yield [(sigma, lam) for sigma in sorted(sigmas)]
        return
    for logs in _narrow(lambda log_sigma: work.trials[_round(math.exp(log_sigma)), lam].score, tolerance):
        yield [(_round(math.exp(log_sigma)), lam) for log_sigma in logs]


def _narrow(score: Callable[[float], float], tolerance: float) -> Iterator[list[float]]:
    """Bracket the minimum of `score` of log sigma on a coarse grid, then narrow the bracket by golden section.

    Yields the log sigmas whose scores the next step needs.
    """
    logs = [math.log(sigma) for sigma in _FIRST]
    step = logs[1] - logs[0]
    lowest, highest = map(math.log, _LIMITS)
    yield list(logs)
    while True:
        k = min(range(len(logs)), key=lambda k: score(logs[k]))
        if k == 0 and logs[0] - step > lowest:
            logs.insert(0, logs[0] - step)
            yield logs[:1]
        elif k == len(logs) - 1 and logs[-1] + step < highest:
            logs.append(logs[-1] + step)
            yield logs[-1:]
        else:
            break
    if not 0 < k < len(logs) - 1:
        return
    low, middle, high = logs[k - 1 : k + 2]
    while high - low > 2.0 * math.log1p(tolerance):
        upwards = high - middle > middle - low
        new = middle + _GOLDEN * ((high if upwards else low) - middle)
        yield [new]
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
