"""Labelled frames of the study relabel: split into training and test frames, labelled once, kept in files."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.data.bonds import check_order
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.data.selection import split
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.reference.engine_model import EngineModel
from openmm_hybrid.reference.label import label

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST_TEST_RUNS = 2  # for standard errors
_TEST_SHARE = 0.25  # least share of the runs for tests: few runs would make standard errors uncertain
_SPARE = 1.25  # frames of all runs, relative to those needed, so that some runs may be lost
_COMPARED = 10  # frames of a file that the teacher labels too
_OF_FILE = 3  # frames of a file among which we look for equal geometries, relative to those needed


@final
@dataclass(frozen=True)
class Sizes:
    """Numbers of frames in each set.

    Parameters
    ----------
    n_part : int
        Frames of each training, with those for validation.
    n_parts : int
        Trainings with frames of their own.
    n_test : int
    """

    n_part: int
    n_parts: int
    n_test: int

    @property
    def n_pool(self) -> int:
        """Frames of all trainings."""
        return self.n_parts * self.n_part

    @property
    def fewest_runs(self) -> int:
        """Least number of runs."""
        return FEWEST_TEST_RUNS + self.n_parts

    def test_runs(self, n_runs: int) -> int:
        """Runs for test frames only: about their share of the frames, and a quarter of the runs or more."""
        share = round(n_runs * max(self.n_test / (self.n_pool + self.n_test), _TEST_SHARE))
        return min(max(share, FEWEST_TEST_RUNS), n_runs - self.n_parts)

    def frames_per_run(self, n_runs: int) -> int:
        """Frames of each run, enough for all sets if some runs are lost."""
        n_test_runs = self.test_runs(n_runs)
        per_part = (n_runs - n_test_runs) // self.n_parts
        return math.ceil(_SPARE * max(self.n_test / n_test_runs, self.n_part / per_part))


@final
@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Frames of one distribution with labels of the teacher.

    Parameters
    ----------
    pool : Frames
        Frames of one training after another, each in random order.
    test : Frames
    pool_groups, groups : (n_pool,), (n_test,)
        Group of each frame: its run, or a group of its own for frames of a file.
    """

    pool: Frames
    test: Frames
    pool_groups: Ints = field(repr=False)
    groups: Ints = field(repr=False)

    @property
    def all_positions(self) -> Floats:
        """Positions of the pool and the test frames, Å."""
        return np.concatenate([self.pool.positions, self.test.positions])

    @property
    def all_groups(self) -> Ints:
        """Groups of the pool and the test frames."""
        return np.concatenate([self.pool_groups, self.groups])


@final
@dataclass(frozen=True, eq=False)
class Teacher:
    """The model that labels the frames of a molecule.

    Parameters
    ----------
    model : EnergyModel
    name : str
        Level of theory of the labels of a model; an engine has its own.
    molecule : Molecule
    progress : bool
        Show the progress of an engine.
    """

    model: EnergyModel
    name: str
    molecule: Molecule
    progress: bool

    def labelled(self, positions: Floats, path: Path) -> tuple[Frames, Ints]:
        """Frames with labels, and their indices among the positions; a calculation may fail.

        The labels are kept in a file: those of an engine one by one, those of another model together.

        Parameters
        ----------
        positions : (n_frames, n_atoms, 3), Å
        path : Path
            File of the labelled frames.
        """
        if isinstance(self.model, EngineModel):
            result = label(self.model.engine, self.molecule, positions, output=path, progress=self.progress)
            return result.frames, result.indices
        if not path.is_file():
            energies, forces = self.model.predict(positions)
            numbers, name = self.molecule.atomic_numbers, self.molecule.name
            Frames(numbers, positions, energies, forces, name=name, theory=self.name).save(path)
        frames = Frames.load(path)
        return frames, np.arange(len(frames))


@final
@dataclass(frozen=True)
class FileCheck:
    """Difference between the labels of a file and of the teacher on a few frames.

    Parameters
    ----------
    force_mae : float, kcal/mol/Å
    energy_offset : float, kcal/mol
        Mean of the teacher's minus the file's energies, which is added to the file's.
    """

    force_mae: float
    energy_offset: float


def set_of_runs(runs: Floats, sizes: Sizes, teacher: Teacher, stem: Path, *, seed: int) -> LabelledSet:
    """Label frames of dynamics. Test frames and the frames of each training are from different runs.

    Parameters
    ----------
    runs : (n_runs, n_frames, n_atoms, 3), Å
    sizes : Sizes
    teacher : Teacher
    stem : Path
        Beginning of the names of the files of labels.
    seed : int
        Seed of the selection of runs and frames.

    Raises
    ------
    NumericalError
        Too few runs are left, or the label of a training frame failed.
    """
    order, rng = np.random.default_rng([seed, 0]).permutation(len(runs)), np.random.default_rng([seed, 1])
    per_run, n_test_runs = runs.shape[1], sizes.test_runs(len(runs))
    enough = n_test_runs >= FEWEST_TEST_RUNS and n_test_runs * per_run >= sizes.n_test
    if not enough or (len(runs) - n_test_runs) // sizes.n_parts * per_run < sizes.n_part:
        raise NumericalError(
            f"the {len(runs)} runs that kept all bonds give {len(runs) * per_run} frames",
            expected=f"{sizes.n_pool} training and {sizes.n_test} test frames from different runs",
            hint="lower the temperature, or give more runs in another folder",
        )
    test_groups, for_test = _chosen(order[:n_test_runs], per_run, sizes.n_test, rng)
    parts = [_chosen(some, per_run, sizes.n_part, rng) for some in np.array_split(order[n_test_runs:], sizes.n_parts)]
    pool_groups, for_pool = (np.concatenate(indices) for indices in zip(*parts, strict=True))
    pool, labelled = teacher.labelled(runs[pool_groups, for_pool], Path(f"{stem}-train.npz"))
    if len(labelled) < sizes.n_pool:
        raise NumericalError(
            f"{sizes.n_pool - len(labelled)} of {sizes.n_pool} training frames have no label",
            hint="lower the temperature or give another teacher, in another folder",
        )
    test, labelled = teacher.labelled(runs[test_groups, for_test], Path(f"{stem}-test.npz"))
    return LabelledSet(pool, test, pool_groups, test_groups[labelled])


def _chosen(runs: Ints, per_run: int, n: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Runs and frames (n,) of a random selection that takes equally many frames of each run, in turn."""
    frames = rng.permuted(np.tile(np.arange(per_run), (len(runs), 1)), axis=1)
    return np.tile(runs, per_run)[:n], frames.T.ravel()[:n]


def set_of_file(path: Path, sizes: Sizes, teacher: Teacher, stem: Path, *, seed: int) -> tuple[LabelledSet, FileCheck]:
    """Select labelled frames of a file at random, and compare a few of them with the teacher.

    The energies are shifted to the teacher's zero of energy. Parameters are those of `set_of_runs`.

    Raises
    ------
    InputError
        The file cannot be read, or has too few distinct geometries.
    """
    frames, needed = Frames.load(path), sizes.n_pool + sizes.n_test
    if len(frames) > _OF_FILE * needed:
        rng = np.random.default_rng([seed, 2])
        frames = frames[np.sort(rng.choice(len(frames), _OF_FILE * needed, replace=False))]
    parts = split(frames, sizes.n_pool, 0, sizes.n_test, seed)
    few = frames[parts.test[:_COMPARED]]
    theirs, labelled = teacher.labelled(few.positions, Path(f"{stem}-compared.npz"))
    (energies, forces), (given_energies, given_forces) = theirs.labels(), few[labelled].labels()
    check = FileCheck(float(np.abs(forces - given_forces).mean()), float(np.mean(energies - given_energies)))
    pool, test = (
        replace(chosen, energies=chosen.labels()[0] + check.energy_offset)
        for chosen in (frames[parts.train], frames[parts.test])
    )
    return LabelledSet(pool, test, len(test) + np.arange(len(pool)), np.arange(len(test))), check


def check_file(path: Path, molecule: Molecule, sizes: Sizes) -> None:
    """Refuse a file that `set_of_file` cannot use, before anything else is computed.

    Raises
    ------
    InputError
        The file cannot be read, lacks labels, or has too few frames.
    MismatchError
        The frames are of another molecule or order of atoms.
    """
    frames = Frames.load(path)
    frames.labels()
    check_order(molecule, frames)
    if len(frames) < sizes.n_pool + sizes.n_test:
        raise InputError(
            f"{path} has {len(frames)} frames",
            expected=f"{sizes.n_pool} to train on and {sizes.n_test} to test on",
        )
