"""Training: an sGDML model, how it was found, and its errors on each part of the data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from openmm_hybrid.analysis.error_table import ErrorTable
from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.core.text_table import TextTable, cell
from openmm_hybrid.sgdml.check import assess, known
from openmm_hybrid.sgdml.train import Training, train_on
from openmm_hybrid.sgdml.training_set import TrainingSet
from openmm_hybrid.studies.kernel_settings import TrainingSettings
from openmm_hybrid.studies.study import Study, StudyResult, claim, settings_as_dict

_FREE = ("frames", "molecule", "solver", "max_memory", "checkpoint", "device")  # these do not change the result


@final
@dataclass(frozen=True, eq=False)
class TrainingReport(StudyResult):
    """A training and the errors of its model.

    Parameters
    ----------
    training : Training
    errors : mapping of str to ErrorTable
        Errors on the parts "train", "valid" and "test" that have frames.
    seconds : float
        Wall-clock time of the training, with the search of sigma.
    """

    training: Training
    errors: Mapping[str, ErrorTable]
    seconds: float

    @property
    def name(self) -> str:
        """See `StudyResult.name`."""
        return "training"

    def tables(self) -> list[TextTable]:
        """See `StudyResult.tables`: errors in kcal/mol and kcal/mol/Å."""
        columns = ("", "frames", "force MAE", "RMSE", "energy MAE", "RMSE")
        rows = [(name, str(table.n_frames), *map(cell, _four(table))) for name, table in self.errors.items()]
        return [TextTable(columns, rows)]

    def records(self) -> list[dict[str, Any]]:
        """See `StudyResult.records`: the errors in kcal/mol and kcal/mol/Å."""
        return [{"frames": name, **table.as_dict()} for name, table in self.errors.items()]

    def as_dict(self) -> dict[str, Any]:
        """See `StudyResult.as_dict`."""
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


@final
class TrainingStudy(Study):
    """Trains an sGDML model and tests it."""

    name = "training"
    summary = "Train an sGDML model and report its errors on training, validation and test frames."
    Settings = TrainingSettings

    def run(self, settings: TrainingSettings, output: Path, *, progress: bool = True) -> TrainingReport:
        """See `Study.run`. The model is written to ``model.npz`` in the folder.

        Errors are those of `openmm_hybrid.sgdml.train`.

        Raises
        ------
        InputError
            Another process writes to the folder.
        MismatchError
            The folder belongs to a study of other settings.
        """
        data = settings.training_set()
        claim(output, settings_as_dict(settings, without=_FREE) | {"frames": data.md5}, "training study")
        with lock_folder(output):
            report = train_and_test(data, settings, progress=progress)
            report.training.model.save(output / "model.npz")
        return report


def train_and_test(data: TrainingSet, settings: TrainingSettings, *, progress: bool = True) -> TrainingReport:
    """Train on a training set and report the errors on its training, validation and test frames.

    Errors and warnings are those of `openmm_hybrid.sgdml.train`.

    Parameters
    ----------
    data : TrainingSet
        The set of `TrainingSettings.training_set`.
    settings : TrainingSettings
    progress : bool
        Show the progress.
    """
    clock = time.monotonic()
    training = train_on(
        data, sigma=settings.sigma, lam=settings.lam, solver=settings.solver_settings, progress=progress
    )
    seconds = time.monotonic() - clock
    parts = {"train": data.train, "valid": data.valid, "test": data.test(settings.n_test)}
    return TrainingReport(
        training, {name: assess(training.model, frames) for name, frames in parts.items() if len(frames)}, seconds
    )


def _four(table: ErrorTable) -> tuple[float, float, float, float]:
    return table.force_mae, table.force_rmse, table.energy_mae, table.energy_rmse
