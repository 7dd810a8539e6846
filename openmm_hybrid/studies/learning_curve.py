"""Learning curve: errors and cost of sGDML models against the number of training frames."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, final

from openmm_hybrid.analysis.error_table import ErrorTable, error_table_from
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.result_document import document, write_json
from openmm_hybrid.core.same_job import finished
from openmm_hybrid.core.text_table import cell, text_table
from openmm_hybrid.sgdml.check import assess, known
from openmm_hybrid.sgdml.fit import DEFAULT_SOLVER, SolverSettings
from openmm_hybrid.sgdml.train import check_sigma, train_on
from openmm_hybrid.sgdml.training_set import TrainingSet


@final
@dataclass(frozen=True)
class CurveSettings:
    """Which models a learning curve is made of.

    Parameters
    ----------
    n_train : tuple of int
        Numbers of training frames, ascending.
    sigma : float, 1/Å, or "search"
        Sought anew for every number of frames if "search".
    lam : float
    n_test : int
        At most this many frames are tested on, the same ones for every point.

    Raises
    ------
    InputError
        No numbers, or not ascending from 1 on; sigma or lam out of range.
    """

    n_train: tuple[int, ...]
    sigma: float | str = 20.0
    lam: float = 1e-10
    n_test: int = 1000

    def __post_init__(self) -> None:
        numbers = self.n_train
        if not numbers or numbers[0] < 1 or any(b <= a for a, b in pairwise(numbers)):
            raise InputError(
                f"training frames of the curve: {', '.join(map(str, numbers)) or 'none'}",
                expected="numbers from 1 on, each above the one before, such as 100,200,400",
            )
        if self.n_test < 1:
            raise InputError(f"n_test = {self.n_test}", expected="1 or more")
        check_sigma(self.sigma, self.lam)


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
        Of its training, the search of sigma in it.
    train, test : ErrorTable
        Energies are NaN where the data have none.
    """

    n_train: int
    sigma: float
    lam: float
    seconds: float
    train: ErrorTable
    test: ErrorTable


@final
@dataclass(frozen=True)
class LearningCurve:
    """A learning curve: its settings and its points, ascending.

    Parameters
    ----------
    job : dict
        What the points are of: settings, data set, frames, permutations, atoms.
    points : tuple of CurvePoint
    """

    job: dict[str, Any]
    points: tuple[CurvePoint, ...]

    def table(self) -> str:
        """The points as lines of text: test errors in kcal/mol and kcal/mol/Å."""
        columns = ("frames", "sigma", "force MAE", "RMSE", "energy MAE", "RMSE", "seconds")
        rows = []
        for point in self.points:
            test = point.test
            errors = (test.force_mae, test.force_rmse, test.energy_mae, test.energy_rmse)
            rows.append((str(point.n_train), f"{point.sigma:g}", *map(cell, errors), f"{point.seconds:.1f}"))
        return text_table(columns, rows)

    def as_dict(self) -> dict[str, Any]:
        """The curve as a JSON-ready document."""
        figures = {f"test.force_mae.{p.n_train}": (p.test.force_mae, "kcal/mol/Å") for p in self.points}
        points = [asdict(p) | {"train": known(p.train), "test": known(p.test)} for p in self.points]
        return document("learning_curve", figures, job=self.job, points=points)


def run(
    data: TrainingSet,
    settings: CurveSettings,
    *,
    journal: Path,
    model: Path | None = None,
    solver: SolverSettings = DEFAULT_SOLVER,
    progress: bool = True,
) -> LearningCurve:
    """Train on the first n frames of a training set for every n, and test each model on the same other frames.

    The training sets are nested, each being a draw of the same kind as the whole.

    Parameters
    ----------
    data : TrainingSet
        With the largest n at least, frames to test on, and frames to validate on if sigma is sought.
    settings : CurveSettings
    journal : Path
        JSON file of the curve, written after every point. Points that it holds are not computed again.
    model : Path, optional
        npz file for the model of the largest n, which counts as done only if this file is there.
    solver : SolverSettings
    progress : bool
        Show the progress.

    Raises
    ------
    InputError
        Too few frames; the journal is damaged.
    MismatchError
        The journal is that of other data or settings.
    """
    test = data.test(settings.n_test)
    if not len(test):
        raise InputError("no frames are left to test on", hint="leave some out of the largest training set")
    data.first(settings.n_train[-1])  # refuses too few frames before anything is trained
    job = _job(data, settings, len(test))
    points = _read(journal, job)
    for n in settings.n_train:
        is_last = n == settings.n_train[-1]
        if n in points and not (is_last and model is not None and not model.is_file()):
            continue
        part = data.first(n)
        clock = time.monotonic()
        trained = train_on(part, sigma=settings.sigma, lam=settings.lam, solver=solver, progress=progress).model
        seconds = time.monotonic() - clock
        if is_last and model is not None:
            trained.save(model)
        errors = assess(trained, part.train), assess(trained, test)
        points[n] = CurvePoint(n, trained.sigma, trained.lam, seconds, *errors)
        write_json(journal, LearningCurve(job, _ascending(points)).as_dict())
    return LearningCurve(job, _ascending(points))


def _ascending(points: dict[int, CurvePoint]) -> tuple[CurvePoint, ...]:
    return tuple(points[n] for n in sorted(points))


def _job(data: TrainingSet, settings: CurveSettings, n_test: int) -> dict[str, Any]:
    """What decides the points, as JSON has it."""
    drawn = b"/".join(part.tobytes() for part in (data.idxs_train, data.idxs_valid, data.idxs_rest[:n_test]))
    return asdict(settings) | {
        "n_train": list(settings.n_train),
        "n_test": n_test,
        "data": data.frames.name,
        "theory": data.frames.theory,
        "md5": data.md5,
        "energy_constraint": data.energy_constraint,
        "perms": data.perms.tolist(),
        "atoms": None if data.atoms is None else data.atoms.tolist(),
        "drawn": hashlib.md5(drawn).hexdigest(),
    }


def _read(journal: Path, job: dict[str, Any]) -> dict[int, CurvePoint]:
    """The points that a journal of the same job holds."""
    found = finished(journal, job, key="points", make=_point, what="learning curve")
    return {point.n_train: point for point in found}


def _point(entry: dict[str, Any]) -> CurvePoint:
    tables = {name: error_table_from(entry[name]) for name in ("train", "test")}
    return CurvePoint(**(entry | tables))
