"""One trial of a search: a model for one sigma and lam, and its errors on the validation frames."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.error_table import ErrorTable
from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.sgdml.check import assess, known
from openmm_hybrid.sgdml.fit import SolverSettings, fit
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.training_set import TrainingSet


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


def perform_trial(
    data: TrainingSet,
    sigma: float,
    lam: float,
    solver: SolverSettings,
    start: NDArray[np.float64] | None = None,
    progress: bool = False,
) -> tuple[Trial, SGDMLModel | None]:
    """Fit and assess a model; the model is None if its system cannot be solved. Arguments as in `fit`."""
    clock = time.monotonic()
    try:
        model = fit(data, sigma=sigma, lam=lam, solver=solver, start=start, progress=progress)
    except NumericalError as error:
        return Trial(sigma, lam, time.monotonic() - clock, refused=error.problem), None
    return Trial(sigma, lam, time.monotonic() - clock, assess(model, data.valid)), model


def solver_of_trial(solver: SolverSettings, sigma: float, lam: float) -> SolverSettings:
    """The settings for one trial, with a checkpoint of its own."""
    path = solver.checkpoint
    if path is None:
        return solver
    return replace(solver, checkpoint=path.with_name(f"{path.stem}-{sigma:g}-{lam:g}{path.suffix}"))
