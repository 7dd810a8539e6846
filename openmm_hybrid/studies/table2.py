"""Table II: force fields of GAFF's form and beyond it, fitted to ab initio frames, beside sGDML and the paper.

Sauceda, Gastegger, Chmiela, Müller, Tkatchenko, J. Chem. Phys. 153, 124109 (2020), section III B.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, cast, final

import numpy as np

from openmm_hybrid import gaff
from openmm_hybrid.analysis.error_table import ErrorTable, error_table, error_table_from
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import replacing
from openmm_hybrid.core.journal import entries
from openmm_hybrid.core.result_document import document, write_json
from openmm_hybrid.core.text_table import cell, text_table
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.data.selection import split
from openmm_hybrid.fitting import fit
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.sgdml.train import train
from openmm_hybrid.studies.published import published

FORMS: dict[str, dict[str, Any]] = {
    "gaff": {},
    "morse": {"bonds": "morse", "propers": "fourier8", "impropers": "fourier4"},
    "nn": {"bonds": "neural", "angles": "neural", "propers": "neural"},
    "spline": {"bonds": "spline", "angles": "spline", "propers": "spline"},
    "cross": {"propers": "fourier4", "cross": True},
    "sgdml": {},
}
"""Rows of the table → what `ForceField.edit` is asked for. "spline" is no row of the paper: one solve gives the best
functions of one coordinate there are, the floor of "nn"."""

SIGMA = 20.0
"""Of the sGDML row, 1/Å."""

RESTRAINT = 0.01
"""Of the fits, (kcal/mol/Å)²: it costs no accuracy and keeps charges within about 0.5 e of RESP's."""


Curve = dict[int, float]


@final
@dataclass(frozen=True)
class Settings:
    """Which cells of the table are computed.

    Parameters
    ----------
    n_train : tuple of int
        Numbers of training frames.
    forms : tuple of str
        Rows, of `FORMS`.
    seeds : int
        Random splits (and first weights of networks) of each cell.
    n_test : int
        Unseen frames that each fit is tested on.
    sgdml_limit : int
        sGDML is left out above this number of training frames: its cost grows with the square.

    Raises
    ------
    InputError
        Unknown forms, or numbers below 1.
    """

    n_train: tuple[int, ...] = (110, 1100, 7000)
    forms: tuple[str, ...] = tuple(FORMS)
    seeds: int = 3
    n_test: int = 1000
    sgdml_limit: int = 1100

    def __post_init__(self) -> None:
        for form in self.forms:
            if form not in FORMS:
                raise InputError(f"unknown row {form!r} of the table", expected=f"one of {', '.join(FORMS)}")
        if not self.n_train or min(self.n_train) < 10 or self.seeds < 1 or self.n_test < 1:
            raise InputError(
                f"n_train {self.n_train}, seeds {self.seeds}, n_test {self.n_test}",
                expected="10 training frames or more, one seed and one test frame at least",
            )


@final
@dataclass(frozen=True)
class Cell:
    """One fit.

    Parameters
    ----------
    molecule, form : str
    n_train, seed : int
    seconds : float
    test : ErrorTable
    """

    molecule: str
    form: str
    n_train: int
    seed: int
    seconds: float
    test: ErrorTable

    @property
    def key(self) -> str:
        """Its name among the models and in the journal."""
        return _key(self.molecule, self.form, self.n_train, self.seed)


@final
@dataclass(frozen=True)
class Table:
    """The table: what it was computed of, and its cells.

    Parameters
    ----------
    job : dict
    cells : tuple of Cell
    """

    job: dict[str, Any]
    cells: tuple[Cell, ...] = field(default=())

    def mean(self, measure: str, molecule: str, form: str, n_train: int) -> tuple[float, float]:
        """Mean and standard deviation over the seeds of an error; NaN without cells, 0 deviation of a single one."""
        values = [
            getattr(each.test, measure)
            for each in self.cells
            if (each.molecule, each.form, each.n_train) == (molecule, form, n_train)
        ]
        if not values:
            return float("nan"), float("nan")
        return fmean(values), stdev(values) if len(values) > 1 else 0.0

    def rows(self) -> list[tuple[str, str, int]]:
        """Molecule, form and number of training frames of the cells, each once, in their order."""
        return list(dict.fromkeys((each.molecule, each.form, each.n_train) for each in self.cells))

    def text(self) -> str:
        """The table as lines of text, beside the paper's numbers."""
        columns = ("", "frames", "force RMSE", "paper", "MAE", "energy RMSE", "paper", "MAE")
        lines = []
        for molecule, form, n in self.rows():
            entry = [f"{molecule} {form}", str(n)]
            for kind in ("force", "energy"):
                entry.append(cell(self.mean(f"{kind}_rmse", molecule, form, n)[0]))
                entry.append(cell(published(f"{kind}_rmse", molecule, form, n)))
                entry.append(cell(self.mean(f"{kind}_mae", molecule, form, n)[0]))
            lines.append(entry)
        return text_table(columns, lines)

    def curves(self, measure: str) -> tuple[dict[str, dict[str, Curve]], dict[str, dict[str, Curve]]]:
        """Molecule → form → (training frames → error), of the table and of the paper."""
        own: dict[str, dict[str, Curve]] = {}
        theirs: dict[str, dict[str, Curve]] = {}
        for molecule, form, n in self.rows():
            own.setdefault(molecule, {}).setdefault(form, {})[n] = self.mean(measure, molecule, form, n)[0]
            known = published(measure, molecule, form, n)
            if known == known:
                theirs.setdefault(molecule, {}).setdefault(form, {})[n] = known
        return own, theirs

    def as_dict(self) -> dict[str, Any]:
        """The table as a JSON-ready document."""
        figures: dict[str, tuple[float, str]] = {}
        for molecule, form, n in self.rows():
            for measure in ("force_rmse", "force_mae", "energy_rmse", "energy_mae"):
                unit = "kcal/mol/Å" if measure.startswith("force") else "kcal/mol"
                figures[f"{measure}.{molecule}.{form}.{n}"] = self.mean(measure, molecule, form, n)[0], unit
        return document("table2", figures, job=self.job, cells=[asdict(each) for each in self.cells])


def run(
    data: Sequence[Frames],
    settings: Settings,
    folder: Path,
    *,
    progress: bool = True,
    report: Callable[[str], None] = print,
) -> Table:
    """Compute the table; started again, it goes on after the last cell that is done.

    Parameters
    ----------
    data : sequence of Frames
        Labelled frames of each molecule; their names are those of the table.
    settings : Settings
    folder : path
        For ``table2.json``, which is written after each cell, the models (``models/``) and the charges.
    progress : bool
        Show the progress of each fit.
    report : function
        Takes a line for every cell.

    Raises
    ------
    InputError
        Too few frames, or frames without labels.
    MismatchError
        The folder holds a table of other data or settings.
    """
    job = _job(data, settings)
    journal = folder / "table2.json"
    done = {each.key: each for each in entries(journal, job, key="cells", make=_from_json, what="table")}
    for frames in data:
        for n in settings.n_train:
            split(frames, n, 0, settings.n_test, 0)  # refuses too few frames before anything is fitted
    for frames in data:
        start = _start(frames, folder)
        for n in settings.n_train:
            for form in settings.forms:
                if form == "sgdml" and n > settings.sgdml_limit:
                    continue
                for seed in range(settings.seeds):
                    key = _key(_name(frames), form, n, seed)
                    if key in done:
                        continue
                    done[key] = _cell(frames, start, form, n, seed, settings, folder, progress)
                    write_json(journal, Table(job, tuple(done.values())).as_dict())
                    report(_line(done[key]))
    return Table(job, tuple(done.values()))


def _cell(
    frames: Frames, start: ForceField, form: str, n: int, seed: int, settings: Settings, folder: Path, progress: bool
) -> Cell:
    path = folder / "models" / f"{_key(_name(frames), form, n, seed)}.npz"
    clock = time.monotonic()
    if form == "sgdml":
        parts = split(frames, n, 0, settings.n_test, seed)  # the fits' own
        model = train(frames[parts.train], sigma=SIGMA, seed=seed, progress=progress)
        model.save(path)
        test = frames[parts.test]
        errors = error_table(test, model.predict(test.positions))
    else:
        edited = start.edit(**FORMS[form], seed=seed)
        result = fit(
            edited, frames, n_train=n, n_test=settings.n_test, seed=seed, restraint=RESTRAINT, progress=progress
        )
        result.model.save(path)
        errors = cast(ErrorTable, result.test)  # there is a test frame at least
    seconds = time.monotonic() - clock
    return Cell(_name(frames), form, n, seed, seconds, errors)


def _start(frames: Frames, folder: Path) -> ForceField:
    """GAFF 1.81 with RESP charges of the molecule in the frames; the charges are computed once."""
    energies, _ = frames.labels()
    lowest = int(np.argmin(energies))
    molecule = Molecule.from_geometry(frames.atomic_numbers, frames.positions[lowest], name=_name(frames))
    path = folder / f"{_name(frames)}-resp.npy"
    if not path.is_file():
        charges = gaff.assign_charges(molecule, "resp")
        with replacing(path) as temporary:
            np.save(temporary, charges)
    built = gaff.build(molecule, version="1.81", charges=np.load(path, allow_pickle=False))
    return ForceField.from_system(built.system, built.topology, name=_name(frames))


def _name(frames: Frames) -> str:
    """The molecule's name: that of the frames without the name of the data set ("md17_ethanol" is ethanol)."""
    return frames.name.lower().rsplit("_", 1)[-1]


def _key(molecule: str, form: str, n_train: int, seed: int) -> str:
    return f"{molecule}-{form}-{n_train}-{seed}"


def _job(data: Sequence[Frames], settings: Settings) -> dict[str, Any]:
    """What decides the cells, as JSON has it. More sizes, rows or seeds may be asked for later."""
    return {
        "n_test": settings.n_test,
        "sigma": SIGMA,
        "restraint": RESTRAINT,
        "data": {
            _name(frames): {
                "theory": frames.theory,
                "frames": frames.n_frames,
                "md5": hashlib.md5(frames.positions.tobytes()).hexdigest(),
            }
            for frames in data
        },
    }


def _from_json(entry: dict[str, Any]) -> Cell:
    return Cell(**(entry | {"test": error_table_from(entry["test"])}))


def _line(done: Cell) -> str:
    test = done.test
    return (
        f"{done.key}: force RMSE {test.force_rmse:.2f} kcal/mol/Å, energy RMSE {test.energy_rmse:.2f} kcal/mol, "
        f"{done.seconds:.0f} s"
    )
