"""Learning curve: errors and cost of sGDML models against the number of training frames."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, final

from openmm_hybrid.analysis.error_table import ErrorTable, error_table_from
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.core.result_document import document, write_json
from openmm_hybrid.core.same_job import finished, lock_folder
from openmm_hybrid.core.text_table import TextTable, cell
from openmm_hybrid.sgdml.check import assess, known
from openmm_hybrid.sgdml.train import train_on
from openmm_hybrid.sgdml.training_set import TrainingSet
from openmm_hybrid.studies.kernel_settings import KernelSettings
from openmm_hybrid.studies.study import Drawing, Study, StudyResult, option


@final
@dataclass(frozen=True)
class CurveSettings(KernelSettings):
    """Settings of a learning curve; see the help of each field.

    Raises
    ------
    InputError
        The numbers of training frames do not rise, or another setting is out of range.
    """

    n_train: tuple[int, ...] = option((100, 200, 400), help="Number of training frames of a point, in rising order.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.n_train or self.n_train[0] < 1 or any(b <= a for a, b in pairwise(self.n_train)):
            raise InputError(
                f"training frames of the curve: {', '.join(map(str, self.n_train)) or 'none'}",
                expected="numbers from 1 on in rising order, such as 100, 200, 400",
            )
        if self.n_test < 1:
            raise InputError(f"n_test = {self.n_test}", expected="1 or more")

    @property
    def largest(self) -> int | None:
        """See `KernelSettings.largest`."""
        return self.n_train[-1]


@final
@dataclass(frozen=True)
class CurvePoint:
    """One model of a learning curve.

    Parameters
    ----------
    n_train : int
    sigma : float, 1/Å
    lam : float
    seconds : float
        Wall-clock time of the training, with the search of sigma.
    train, test : ErrorTable
        Errors on training and test frames. Energies are NaN if the data have none.
    """

    n_train: int
    sigma: float
    lam: float
    seconds: float
    train: ErrorTable
    test: ErrorTable


@final
@dataclass(frozen=True)
class LearningCurve(StudyResult):
    """A learning curve.

    Parameters
    ----------
    job : dict
        Settings and data that decide the points: data set, frames, permutations, atoms.
    points : tuple of CurvePoint
        Points in rising order.
    """

    job: dict[str, Any]
    points: tuple[CurvePoint, ...]

    @property
    def name(self) -> str:
        """See `StudyResult.name`."""
        return "learning_curve"

    def tables(self) -> list[TextTable]:
        """See `StudyResult.tables`: test errors in kcal/mol and kcal/mol/Å."""
        columns = ("frames", "sigma", "force MAE", "RMSE", "energy MAE", "RMSE", "seconds")
        rows = []
        for point in self.points:
            test = point.test
            errors = (test.force_mae, test.force_rmse, test.energy_mae, test.energy_rmse)
            rows.append((str(point.n_train), f"{point.sigma:g}", *map(cell, errors), f"{point.seconds:.1f}"))
        return [TextTable(columns, rows)]

    def records(self) -> list[dict[str, Any]]:
        """See `StudyResult.records`: the test errors of each point, in kcal/mol and kcal/mol/Å."""
        return [
            {"n_train": point.n_train, "sigma": point.sigma, "seconds": point.seconds, **point.test.as_dict()}
            for point in self.points
        ]

    def as_dict(self) -> dict[str, Any]:
        """See `StudyResult.as_dict`."""
        figures = {f"test.force_mae.{p.n_train}": (p.test.force_mae, "kcal/mol/Å") for p in self.points}
        points = [asdict(p) | {"train": known(p.train), "test": known(p.test)} for p in self.points]
        return document("learning_curve", figures, job=self.job, points=points)

    def drawings(self) -> dict[str, Drawing]:
        """See `StudyResult.drawings`: errors against training frames."""
        from openmm_hybrid.figures import learning_curve_figure

        tables = {"train": [point.train for point in self.points], "test": [point.test for point in self.points]}
        picture = learning_curve_figure([point.n_train for point in self.points], tables)
        return {self.name: Drawing(picture, "Errors against the number of training frames")}


@final
class LearningCurveStudy(Study):
    """Trains sGDML models on nested sets of frames and tests all of them on the same frames."""

    name = "learning-curve"
    summary = "Train sGDML models on growing numbers of frames and test them on the same unseen frames."
    Settings = CurveSettings

    def run(self, settings: CurveSettings, output: Path, *, progress: bool = True) -> LearningCurve:
        """See `Study.run`.

        The training sets are nested: each holds the first frames of the largest one. The folder gets
        ``learning_curve.json``, rewritten after each point, and the model of the last point, ``model.npz``. That point
        counts as done only if the model exists.
        """
        data = settings.training_set()
        test = data.test(settings.n_test)
        if not len(test):
            raise InputError("no frames are left to test on", hint="leave some out of the largest training set")
        job = _job(data, settings, len(test))
        journal, model = output / "learning_curve.json", output / "model.npz"
        read = partial(finished, journal, job, key="points", make=_point, what="learning curve")
        read()  # refuses the journal of another job before anything is written
        with lock_folder(output):
            points = {point.n_train: point for point in read()}
            for n in settings.n_train:
                is_last = n == settings.n_train[-1]
                if n in points and not (is_last and not model.is_file()):
                    continue
                part = data.first(n)
                clock = time.monotonic()
                trained = train_on(
                    part, sigma=settings.sigma, lam=settings.lam, solver=settings.solver_settings, progress=progress
                ).model
                seconds = time.monotonic() - clock
                if is_last:
                    trained.save(model)
                errors = assess(trained, part.train), assess(trained, test)
                points[n] = CurvePoint(n, trained.sigma, trained.lam, seconds, *errors)
                write_json(journal, LearningCurve(job, _rising(points)).as_dict())
        return LearningCurve(job, _rising(points))


def _rising(points: dict[int, CurvePoint]) -> tuple[CurvePoint, ...]:
    return tuple(points[n] for n in sorted(points))


def _job(data: TrainingSet, settings: CurveSettings, n_test: int) -> dict[str, Any]:
    """Settings and data that decide the points, as JSON holds them."""
    chosen = fingerprint(data.idxs_train, "/", data.idxs_valid, "/", data.idxs_rest[:n_test])
    return {
        "n_train": list(settings.n_train),
        "sigma": settings.sigma,
        "lam": settings.lam,
        "n_test": n_test,
        "data": data.frames.name,
        "theory": data.frames.theory,
        "md5": data.md5,
        "energy_constraint": data.energy_constraint,
        "perms": data.perms.tolist(),
        "atoms": None if data.atoms is None else data.atoms.tolist(),
        "selection": chosen,
    }


def _point(entry: dict[str, Any]) -> CurvePoint:
    tables = {name: error_table_from(entry[name]) for name in ("train", "test")}
    return CurvePoint(**(entry | tables))
