"""Transfer: models of frames of one distribution, such as one temperature, tested on frames of others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from openmm_hybrid import correction, sgdml
from openmm_hybrid.analysis.error_table import ErrorTable, error_table
from openmm_hybrid.charges import METHODS
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import expanded
from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.core.text_table import TextTable, cell
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.fitting import fit
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.sgdml.train import check_sigma
from openmm_hybrid.studies.energy_models import base_forcefield
from openmm_hybrid.studies.study import Drawing, Study, StudyResult, claim, frames_as_dict, option, settings_as_dict

Kind = Literal["gaff", "cross", "hybrid", "sgdml"]
_RANGE = re.compile(r"(.+?)(?::(\d+)-(\d+))?")  # a file, and the first and last of some of its frames
_SAME = 1e-6  # largest difference of equal geometries, Å


@final
@dataclass(frozen=True)
class TransferSettings:
    """Settings of the study transfer; see the help of each field.

    Raises
    ------
    InputError
        There is no test set, two have one label, or a number is out of range.
    """

    frames: Path = option(help="Labelled frames for training (npz, xyz, h5), for instance of one temperature.")
    test: tuple[str, ...] = option(
        (), help="Labelled frames for a test, or some of a file's, such as mixed.npz:0-166 for the first 167."
    )
    models: tuple[Kind, ...] = option(
        ("gaff", "cross", "hybrid", "sgdml"),
        help="Model: refitted GAFF, GAFF with cross terms, the latter with sGDML of the rest, or sGDML alone.",
    )
    template: str = option("", help="SMILES with the bonds of the molecule; by default they follow from distances.")
    n_train: int | None = option(None, help="Training frames; by default all.")
    charges: str = option("am1-bcc", help="Charges of GAFF.", metavar="<openmm_hybrid.charges:METHODS>")
    sigma: float = option(20.0, help="Length of the kernel of sGDML alone, 1/Å.")
    seed: int = option(0, help="Seed of the choice of training frames.")

    def __post_init__(self) -> None:
        labels = [label for label, _ in self.sets()]
        if not labels or len(set(labels)) < len(labels):
            raise InputError(f"test sets: {', '.join(labels) or 'none'}", expected="one or more, with different names")
        if not self.models or len(set(self.models)) < len(self.models):
            raise InputError(f"models: {', '.join(self.models) or 'none'}", expected="one or more different ones")
        if self.n_train is not None and self.n_train < 2:
            raise InputError(f"n_train = {self.n_train}", expected="2 or more")
        METHODS.load(self.charges)
        check_sigma(self.sigma, 0.0)

    def sets(self) -> list[tuple[str, str]]:
        """Label and text of each test set."""
        found = []
        for text in self.test:
            path, first, last = _parts(text)
            found.append((path.stem if first is None else f"{path.stem}:{first}-{last}", text))
        return found


@final
@dataclass(frozen=True, eq=False)
class Transfer(StudyResult):
    """Errors of several models on several test sets.

    Parameters
    ----------
    errors : mapping of (str, str) to ErrorTable
        Name of the model and label of the test set → errors. The mean error of the energy in each set is left out.
    n_train : int
    settings : dict
    """

    errors: Mapping[tuple[str, str], ErrorTable] = field(repr=False)
    n_train: int
    settings: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """See `StudyResult.name`."""
        return "transfer"

    @property
    def models(self) -> list[str]:
        """Names of the models."""
        return list(dict.fromkeys(model for model, _ in self.errors))

    @property
    def sets(self) -> list[str]:
        """Labels of the test sets."""
        return list(dict.fromkeys(label for _, label in self.errors))

    def tables(self) -> list[TextTable]:
        """See `StudyResult.tables`: RMSE of forces in kcal/mol/Å and of energies in kcal/mol."""
        columns = [
            "model",
            *(f"forces, {label}" for label in self.sets),
            *(f"energies, {label}" for label in self.sets),
        ]
        rows = []
        for model in self.models:
            found = [self.errors[model, label] for label in self.sets]
            rows.append([model, *(cell(one.force_rmse) for one in found), *(cell(one.energy_rmse) for one in found)])
        note = "RMSE: forces in kcal/mol/Å; energies in kcal/mol, without the mean error of each test set."
        return [TextTable(columns, rows, [note])]

    def records(self) -> list[dict[str, Any]]:
        """See `StudyResult.records`."""
        return [{"model": model, "test": label} | one.as_dict() for (model, label), one in self.errors.items()]

    def as_dict(self) -> dict[str, Any]:
        """See `StudyResult.as_dict`."""
        figures: dict[str, tuple[float, str]] = {}
        for (model, label), one in self.errors.items():
            figures[f"force_rmse.{model}.{label}"] = one.force_rmse, "kcal/mol/Å"
            figures[f"energy_rmse.{model}.{label}"] = one.energy_rmse, "kcal/mol"
        return document("transfer", figures, n_train=self.n_train, settings=self.settings)

    def drawings(self) -> dict[str, Drawing]:
        """See `StudyResult.drawings`: force errors of each model on each test set."""
        from openmm_hybrid.figures import set_error_figure

        errors = {model: [self.errors[model, label].force_rmse for label in self.sets] for model in self.models}
        caption = f"Force errors of models of {self.n_train} frames on each test set"
        return {self.name: Drawing(set_error_figure(self.sets, errors), caption)}


@final
class TransferStudy(Study):
    """Trains models on frames of one distribution and tests them on frames of others."""

    name = "transfer"
    summary = "Train models on frames of one temperature, say, and test them on frames of others."
    Settings = TransferSettings

    def run(self, settings: TransferSettings, output: Path, *, progress: bool = True) -> Transfer:
        """See `Study.run`. Each model is a file in the folder as soon as it is trained.

        Frames of a test set that are in the training file, too, are left out.
        """
        frames = Frames.load(settings.frames).unique()
        if settings.n_train is not None and settings.n_train > len(frames):
            raise InputError(f"n_train = {settings.n_train}", expected=f"at most {len(frames)}, the frames of the file")
        tests = {label: _unseen(text, frames) for label, text in settings.sets()}
        lowest = frames.positions[int(np.argmin(frames.labels()[0]))]
        numbers, template = frames.atomic_numbers, settings.template
        molecule = Molecule.from_geometry(numbers, lowest, template=template, name=settings.frames.stem)
        job = settings_as_dict(settings, without=("frames", "test", "models"))
        claim(output, job | frames_as_dict(frames), "transfer study")
        n_train = settings.n_train or len(frames)
        data = sgdml.training_set(frames, n_train=n_train, n_valid=0, molecule=molecule, seed=settings.seed)
        with lock_folder(output):
            work = _Models(settings, molecule, data.train, output, progress)
            errors: dict[tuple[str, str], ErrorTable] = {}
            for kind in settings.models:
                model = work.model(kind)
                for label, test in tests.items():
                    energies, forces = model.predict(test.positions)
                    shift = float(np.mean(test.labels()[0] - energies))
                    errors[kind, label] = error_table(test, (energies + shift, forces))
        return Transfer(errors, n_train, settings_as_dict(settings))


@final
@dataclass(frozen=True, eq=False)
class _Models:
    """The models of the training frames, each from its file if that exists."""

    settings: TransferSettings
    molecule: Molecule
    train: Frames
    folder: Path
    progress: bool

    def model(self, kind: str) -> EnergyModel:
        if kind == "sgdml":
            path = self.folder / "sgdml.npz"
            if not path.is_file():
                sigma, molecule = self.settings.sigma, self.molecule
                sgdml.train(self.train, sigma=sigma, molecule=molecule, progress=self.progress).save(path)
            return sgdml.load(path)
        if kind != "hybrid":
            return self._forcefield(kind)
        cross, path = self._forcefield("cross"), self.folder / "rest.npz"
        if not path.is_file():
            found = correction.train(cross, self.train, n_valid=0, molecule=self.molecule, progress=self.progress)
            found.save(path)
        return Sum((cross, correction.load(path).in_molecule()))

    def _forcefield(self, kind: str) -> ForceField:
        path = self.folder / f"{kind}.npz"
        if not path.is_file():
            gaff = base_forcefield("gaff-2.2.20", self.molecule, self.folder, self.settings.charges)
            start = gaff.edit(cross=kind == "cross")
            fitted = fit(start, self.train, n_train=len(self.train), n_test=0, progress=self.progress)
            fitted.model.save(path)
        return ForceField.load(path)


def _parts(text: str) -> tuple[Path, int | None, int | None]:
    """A file, and the first and last of its frames."""
    found = _RANGE.fullmatch(text)
    if found is None:
        raise InputError(f"test set {text!r}", expected="a file, or frames of one, such as mixed.npz:0-166")
    name, first, last = found.groups()
    return expanded(name), None if first is None else int(first), None if last is None else int(last)


def _unseen(text: str, train: Frames) -> Frames:
    """The frames of a test set that are not among the training file's."""
    path, first, last = _parts(text)
    frames = Frames.load(path)
    if first is not None and last is not None:
        if not first <= last < len(frames):
            raise InputError(f"test set {text!r}", expected=f"frames from 0 to {len(frames) - 1}")
        frames = frames[first : last + 1]
    if not np.array_equal(frames.atomic_numbers, train.atomic_numbers):
        raise MismatchError(f"{path} has other atoms than the training frames", expected="the same in the same order")
    known = train.positions
    new = [not (np.abs(known - one).max(axis=(1, 2)) < _SAME).any() for one in frames.positions]
    if not any(new):
        raise InputError(f"all frames of {text} are in the training file", expected="frames that are not")
    return frames[np.flatnonzero(new)]
