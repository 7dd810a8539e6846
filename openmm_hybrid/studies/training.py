"""Training with its errors: a model, how it was found, and how well it predicts each part of the data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from openmm_hybrid.analysis.error_table import ErrorTable
from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.text_table import cell, text_table
from openmm_hybrid.sgdml.check import assess, known
from openmm_hybrid.sgdml.fit import DEFAULT_SOLVER, SolverSettings
from openmm_hybrid.sgdml.train import Training, train_on
from openmm_hybrid.sgdml.training_set import TrainingSet


@final
@dataclass(frozen=True, eq=False)
class TrainingReport:
    """A training and the errors of its model.

    Parameters
    ----------
    training : Training
    errors : mapping of str to ErrorTable
        "train", "valid" and "test", those that have frames.
    seconds : float
        Of the training, the search of sigma in it.
    """

    training: Training
    errors: Mapping[str, ErrorTable]
    seconds: float

    def table(self) -> str:
        """The errors as lines of text, in kcal/mol and kcal/mol/Å."""
        columns = ("", "frames", "force MAE", "RMSE", "energy MAE", "RMSE")
        rows = [(name, str(table.n_frames), *map(cell, _four(table))) for name, table in self.errors.items()]
        return text_table(columns, rows)

    def as_dict(self) -> dict[str, Any]:
        """The report as a JSON-ready document."""
        model, found, result = self.training.model, self.training.search, self.training.consistency
        figures = {
            f"{part}.{name}": (value, "kcal/mol/Å" if name.startswith("force") else "kcal/mol")
            for part, table in self.errors.items()
            for name, value in known(table).items()
            if name != "n_frames"
        }
        settings = {
            "sigma": model.sigma,
            "lam": model.lam,
            "n_train": model.n_train,
            "n_perms": len(model.perms),
            "energy_constraint": model.alphas_E is not None,
            "data": model.name,
            "theory": model.theory,
            "md5": model.md5_train,
        }
        return document(
            "training",
            {"seconds": (self.seconds, "s"), **figures},
            settings=settings,
            frames={part: table.n_frames for part, table in self.errors.items()},
            consistency=None if result is None else result.as_dict(),
            search=None if found is None else found.as_dict(),
        )


def run(
    data: TrainingSet,
    *,
    sigma: float | str,
    lam: float = 1e-10,
    n_test: int = 1000,
    solver: SolverSettings = DEFAULT_SOLVER,
    progress: bool = True,
) -> TrainingReport:
    """Train on a training set, and take the errors on its training, its validation and at most `n_test` other frames.

    Settings, errors and warnings are those of `openmm_hybrid.sgdml.train`.
    """
    clock = time.monotonic()
    training = train_on(data, sigma=sigma, lam=lam, solver=solver, progress=progress)
    seconds = time.monotonic() - clock
    parts = {"train": data.train, "valid": data.valid, "test": data.test(n_test)}
    return TrainingReport(
        training, {name: assess(training.model, frames) for name, frames in parts.items() if len(frames)}, seconds
    )


def _four(table: ErrorTable) -> tuple[float, float, float, float]:
    return table.force_mae, table.force_rmse, table.energy_mae, table.energy_rmse
