"""Relabel: frames of a cheap method with labels of an accurate one, as training frames.

Sauceda, Gastegger, Chmiela, Müller, Tkatchenko, J. Chem. Phys. 153, 124109 (2020), Table I and Fig. 8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import numpy as np

from openmm_hybrid.analysis.distances import distance_overlap
from openmm_hybrid.analysis.frame_errors import FrameErrors, frame_errors
from openmm_hybrid.charges import METHODS
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded, fingerprint, sha256
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.sgdml.fit import SolverSettings
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.model_file import load
from openmm_hybrid.sgdml.solvers import SOLVERS
from openmm_hybrid.sgdml.train import check_sigma, train_on
from openmm_hybrid.sgdml.training_set import training_set
from openmm_hybrid.studies.batched_dynamics import UNIT, BatchPlan, run_batch
from openmm_hybrid.studies.energy_models import energy_model
from openmm_hybrid.studies.relabel_result import RelabelResult
from openmm_hybrid.studies.relabel_sets import (
    FEWEST_TEST_RUNS,
    LabelledSet,
    Sizes,
    Teacher,
    check_file,
    set_of_file,
    set_of_runs,
)
from openmm_hybrid.studies.study import Study, claim, option, read_sigma, settings_as_dict
from openmm_hybrid.studies.subject import model_key, model_labels, predictor, relaxed_conformers, study_molecule

_MOST_VALID = 200  # most validation frames of a search of sigma
_NAMES = ("molecule", "sampler", "teacher", "frames", "solver")
"""Settings that may change between two calls for one folder: the content of the first four must be the same."""


@final
@dataclass(frozen=True)
class RelabelSettings:
    """Settings of the study relabel; see the help of each field.

    Raises
    ------
    InputError
        A number is out of range, the numbers of training frames do not rise, or both models have one name.
    """

    molecule: str = option(help="SMILES, molecule file, or folder of `build` or `refine`.")
    sampler: str = option("gaff-2.2.20", help="Model whose dynamics gives the frames that are labelled anew.")
    teacher: str = option("gfn2", help="Model or reference engine that labels all frames.")
    frames: Path | None = option(
        None,
        help="File of frames from dynamics at the teacher's level, with labels, in place of the teacher's dynamics.",
    )
    charges: str = option("am1-bcc", help="Charges of base force fields.", metavar="<openmm_hybrid.charges:METHODS>")
    temperature: float = option(500.0, help="Temperature of the dynamics, K.")
    n_train: tuple[int, ...] = option((200, 400), help="Number of training frames of a model, in rising order.")
    n_test: int = option(200, help="Test frames of each distribution.")
    repeats: int = option(3, help="Models of each kind, with training frames of their own; more give better errors.")
    n_runs: int = option(32, help="Independent runs of each model.")
    picoseconds: float = option(4.0, help="Length of each run after its equilibration, ps.")
    equilibration: float = option(1.0, help="Length of the equilibration of each run, ps.")
    timestep: float = option(1.0, help="Time step, fs.")
    n_conformers: int = option(10, help="Conformers, relaxed in each model, from which the runs start.")
    seed: int = option(0, help="Seed of conformers, dynamics and selections of frames.")
    sigma: float | str = option(
        20.0, help='Length of the kernel, or "search" to search for it.', parse=read_sigma, metavar="1/Å|search"
    )
    lam: float = option(1e-10, help="Regularisation λ of the forces, which are divided by their standard deviation.")
    solver: str = option(
        "auto", help="Solver of the linear system.", metavar="<auto|openmm_hybrid.sgdml.solvers:SOLVERS>"
    )

    def __post_init__(self) -> None:
        positive = ("temperature", "n_test", "repeats", "picoseconds", "timestep", "n_conformers")
        numbers = {name: getattr(self, name) for name in (*positive, "equilibration", "seed")}
        wrong = [
            f"{name} = {value}"
            for name, value in numbers.items()
            if not np.isfinite(value) or value < 0 or (name in positive and value == 0)
        ]
        if wrong:
            raise InputError(", ".join(wrong), expected="numbers above zero (equilibration and seed may be zero)")
        if self.n_test < FEWEST_TEST_RUNS:
            raise InputError(f"n_test = {self.n_test}", expected=f"{FEWEST_TEST_RUNS} or more, for standard errors")
        if not self.n_train or self.n_train[0] < 2 or any(b <= a for a, b in pairwise(self.n_train)):
            raise InputError(
                f"training frames: {', '.join(map(str, self.n_train)) or 'none'}",
                expected="numbers from 2 on in rising order, such as 200, 400",
            )
        if self.n_runs < self.sizes.fewest_runs:
            raise InputError(
                f"n_runs = {self.n_runs}",
                expected=f"{self.sizes.fewest_runs} or more: test frames and each training have runs of their own",
            )
        if not self.stride:
            raise InputError(
                f"{self.picoseconds:g} ps for {self.sizes.frames_per_run(self.n_runs)} frames of each run",
                expected=f"{UNIT} steps or more between two frames",
                hint="make the runs longer, or give more of them",
            )
        check_sigma(self.sigma, self.lam)
        METHODS.load(self.charges)
        if self.solver != "auto":
            SOLVERS.load(self.solver)
        self.sets()

    @property
    def n_valid(self) -> int:
        """Validation frames of a search of sigma."""
        return min(_MOST_VALID, max(2, self.n_train[-1] // 5)) if self.sigma == "search" else 0

    @property
    def sizes(self) -> Sizes:
        """Frames of each distribution."""
        return Sizes(self.n_train[-1] + self.n_valid, self.repeats, self.n_test)

    @property
    def stride(self) -> int:
        """Units of `UNIT` steps between two frames."""
        n_frames = self.sizes.frames_per_run(self.n_runs)
        return int(1e3 * self.picoseconds / (n_frames * UNIT * self.timestep) + 1e-9)

    def sets(self) -> tuple[str, str]:
        """Labels of the two distributions.

        Raises
        ------
        InputError
            They are equal.
        """
        first, second = model_labels((self.sampler, self.teacher))
        if self.frames is not None:
            second = re.sub(r"[^\w.+-]+", "_", self.frames.stem).strip("_")
        if not second or second == first:
            raise InputError(f"both sets of frames have the label {first}", hint="rename one of the files")
        return first, second

    def plan(self, molecule: Molecule) -> BatchPlan:
        """The dynamics of each model."""
        equilibration = round(1e3 * self.equilibration / (UNIT * self.timestep))
        return BatchPlan(
            molecule.atomic_numbers, molecule.bonds, self.temperature, self.timestep, UNIT, equilibration, self.stride,
            self.sizes.frames_per_run(self.n_runs), self.n_runs, self.seed,
        )  # fmt: skip


@final
class RelabelStudy(Study):
    """Compares training frames of a cheap method's dynamics with those of the accurate method's own dynamics.

    Frames of both are labelled by the accurate method, the teacher. sGDML models are trained on each distribution, and
    all of them are tested on unseen frames of both.
    """

    name = "relabel"
    summary = "Train on relabelled frames of a cheap method, and on the accurate method's own; test each on both."
    Settings = RelabelSettings

    def run(self, settings: RelabelSettings, output: Path, *, progress: bool = True) -> RelabelResult:
        """See `Study.run`. The folder gets ``dynamics``, ``frames`` (labels) and ``models``.

        Raises
        ------
        InputError
            The settings, the molecule, a model or the file of frames cannot be used, or another process writes to the
            folder.
        MismatchError
            A model or the file is of another molecule, or the folder belongs to a study of other settings.
        NumericalError
            No conformer relaxes, too many runs lost a bond, or a label failed.
        """
        molecule = study_molecule(settings.molecule)
        if settings.frames is not None:
            check_file(settings.frames, molecule, settings.sizes)
        claim(output, _job(settings, molecule), "relabel study")
        with lock_folder(output):
            sampler, model = (
                energy_model(name, molecule, output, charges=settings.charges)
                for name in (settings.sampler, settings.teacher)
            )
            teacher = Teacher(model, settings.teacher, molecule, progress)
            (first, second), check = settings.sets(), None
            from_dynamics = {first: sampler} | ({second: model} if settings.frames is None else {})
            sets = {
                label: _own_set(settings, dynamics, teacher, output, label) for label, dynamics in from_dynamics.items()
            }
            if settings.frames is not None:
                stem = output / "frames" / second
                sets[second], check = set_of_file(settings.frames, settings.sizes, teacher, stem, seed=settings.seed)
            errors, sigma = _errors(settings, molecule, sets, output / "models", progress)
        overlap = distance_overlap(
            sets[first].all_positions,
            sets[second].all_positions,
            molecule.atomic_numbers,
            groups=(sets[first].all_groups, sets[second].all_groups),
            seed=settings.seed,
        )
        intervals = dict.fromkeys(from_dynamics, settings.plan(molecule).interval)
        return RelabelResult(
            molecule.name, (first, second), settings.n_train, errors, sigma, overlap, intervals, check,
            settings_as_dict(settings),
        )  # fmt: skip


def _job(settings: RelabelSettings, molecule: Molecule) -> dict[str, Any]:
    """The settings and the content of files that decide the result, as JSON holds them."""
    return settings_as_dict(settings, without=_NAMES) | {
        "molecule": fingerprint(molecule.smiles, molecule.atomic_numbers, molecule.bonds),
        "sampler": model_key(settings.sampler),
        "teacher": model_key(settings.teacher),
        "frames": None if settings.frames is None else sha256(expanded(settings.frames)),
    }


def _own_set(settings: RelabelSettings, model: EnergyModel, teacher: Teacher, output: Path, label: str) -> LabelledSet:
    """Frames of a model's dynamics with labels of the teacher."""
    predict, molecule = predictor(model), teacher.molecule
    runs = run_batch(
        settings.plan(molecule),
        predict,
        lambda: relaxed_conformers(predict, molecule, settings.n_conformers, settings.seed),
        output / "dynamics" / f"{label}.npz",
        f"dynamics of {label}",
        progress=teacher.progress,
    )
    return set_of_runs(
        runs.frames[runs.kept].astype(np.float64),
        settings.sizes,
        teacher,
        output / "frames" / label,
        seed=settings.seed,
    )


def _errors(
    settings: RelabelSettings, molecule: Molecule, sets: dict[str, LabelledSet], folder: Path, progress: bool
) -> tuple[dict[tuple[str, str, int], FrameErrors], dict[tuple[str, int], float]]:
    """Errors of the models on both sets of test frames, and the mean sigma of the models."""
    errors, sigma = {}, {}
    for train, part in sets.items():
        models: dict[int, list[SGDMLModel]] = {n: [] for n in settings.n_train}
        for repeat in range(settings.repeats):
            for n, model in _models(settings, molecule, part, repeat, folder / train, progress).items():
                models[n].append(model)
        for n, some in models.items():
            sigma[train, n] = float(np.mean([model.sigma for model in some]))
            for test, other in sets.items():
                predicted = [model.predict(other.test.positions) for model in some]
                errors[train, test, n] = frame_errors(other.test.labels(), predicted, other.groups)
    return errors, sigma


def _models(
    settings: RelabelSettings, molecule: Molecule, part: LabelledSet, repeat: int, folder: Path, progress: bool
) -> dict[int, SGDMLModel]:
    """Number of training frames → model of one repetition, from its file if that exists."""
    found, data, first = {}, None, repeat * settings.sizes.n_part
    for n in settings.n_train:
        path = folder / f"{n}-{repeat}.npz"
        if not path.is_file():
            if data is None:
                frames, indices = part.pool[first : first + settings.sizes.n_part], np.arange(settings.n_train[-1])
                data = training_set(frames, indices=indices, n_valid=settings.n_valid, molecule=molecule)
            solver = SolverSettings(settings.solver)
            trained = train_on(data.first(n), sigma=settings.sigma, lam=settings.lam, solver=solver, progress=progress)
            trained.model.save(path)
        found[n] = load(path)
    return found
