"""Trials of a search as tasks: one file with the frames, a task for each trial, and the models of finished trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.error_table import error_table_from
from openmm_hybrid.core.errors import HybridError, InputError
from openmm_hybrid.core.files import expanded, fingerprint
from openmm_hybrid.core.versioned_npz import NpzFormat, prefixed, reading, write
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.sgdml.check import known
from openmm_hybrid.sgdml.fit import SolverSettings
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.model_file import from_arrays, to_arrays
from openmm_hybrid.sgdml.training_set import TrainingSet
from openmm_hybrid.sgdml.trial import Trial, perform_trial, solver_of_trial
from openmm_hybrid.tasks import Runner, Store, Task, TaskResult

_FUNCTION = f"{__name__}:trial_task"
_FORMAT = NpzFormat(
    "openmm-hybrid frames to train on", version=1, what="frames to train on", hint="remove this file and call again"
)
_DIGITS = 32  # of the SHA-256 in a file's name
_MODEL = "model/"


@final
class TrialTasks:
    """The trials of a training set that a runner has performed, by sigma and lam.

    Parameters
    ----------
    data : TrainingSet
    solver : SolverSettings
    runner : Runner
    store : Store
    """

    def __init__(self, data: TrainingSet, solver: SolverSettings, runner: Runner, store: Store) -> None:
        self.trials: dict[tuple[float, float], Trial] = {}
        self._data, self._solver, self._runner, self._store = data, solver, runner, store
        self._outcomes: dict[tuple[float, float], str] = {}
        runner.check()
        self._file = _written(data, store)

    def perform(self, pairs: Sequence[tuple[float, float]]) -> None:
        """Perform the trials of these sigmas and lams that are not known, side by side.

        Raises
        ------
        HybridError
            The task of a trial failed; the others are stored.
        """
        tasks = [self._task(*pair) for pair in dict.fromkeys(pairs) if pair not in self.trials]
        found = {outcome.key: outcome for outcome in self._runner.run(tasks, self._store, retry=True)}
        outcomes = [found[task.key] for task in tasks]
        failed = [f"{outcome.name}: {outcome.reason}" for outcome in outcomes if not outcome.ok]
        if failed:
            raise HybridError(
                f"{len(failed)} of {len(tasks)} trials failed; {failed[0]}",
                hint="the others are stored; call again to resume",
            )
        for outcome in outcomes:
            trial = _trial(outcome)
            self.trials[trial.sigma, trial.lam] = trial
            self._outcomes[trial.sigma, trial.lam] = outcome.key

    def model(self, trial: Trial) -> SGDMLModel:
        """The model of a trial that has one."""
        key = self._outcomes[trial.sigma, trial.lam]
        outcome = self._store.find(key)
        if outcome is None:
            raise HybridError(f"the outcome {key} is no longer in {self._store.path}", hint="call again")
        arrays = {name.removeprefix(_MODEL): value for name, value in outcome.value.items() if name.startswith(_MODEL)}
        found = from_arrays(arrays, self._store.path / key)
        return replace(
            found,
            descriptors=np.ascontiguousarray(found.descriptors),  # sums depend on the layout in their last bits
            idxs_train=self._data.idxs_train,
            md5_train=self._data.md5,
        )

    def _task(self, sigma: float, lam: float) -> Task:
        solver = asdict(self._solver)
        checkpoint = solver.pop("checkpoint")
        return Task(
            _FUNCTION,
            {"frames": self._file.stem, "sigma": float(sigma), "lam": float(lam), "solver": solver},
            {
                "folder": str(self._file.parent),
                "checkpoint": "" if checkpoint is None else str(expanded(checkpoint).absolute()),
            },
            name=f"sigma {sigma:g}, lam {lam:g}",
        )


def trial_task(
    frames: str, sigma: float, lam: float, solver: Mapping[str, Any], folder: str, checkpoint: str
) -> dict[str, Any]:
    """Fit and assess a model of the frames of a file: duration, errors, reason of a refusal, and the model's arrays.

    Parameters
    ----------
    frames : str
        Name of the file, without its ending.
    sigma : float, 1/Å
    lam : float
    solver : mapping
        Fields of `SolverSettings` without the checkpoint.
    folder : str
        Folder of the file.
    checkpoint : str
        Checkpoint of the search, or an empty text.

    Raises
    ------
    InputError
        The file is missing or damaged, or there is not enough memory.
    """
    settings = SolverSettings(**solver, checkpoint=Path(checkpoint) if checkpoint else None)
    data = _read(str(Path(folder) / f"{frames}.npz"))
    trial, model = perform_trial(data, sigma, lam, solver_of_trial(settings, sigma, lam))
    arrays = {} if model is None else prefixed(_MODEL, to_arrays(model))
    return {
        "sigma": sigma,
        "lam": lam,
        "seconds": trial.seconds,
        "errors": None if trial.errors is None else known(trial.errors),
        "refused": trial.refused,
        **arrays,
    }


def _trial(outcome: TaskResult) -> Trial:
    value = outcome.value
    errors = None if value["errors"] is None else error_table_from(value["errors"])
    return Trial(value["sigma"], value["lam"], value["seconds"], errors, value["refused"])


def _written(data: TrainingSet, store: Store) -> Path:
    """The file with the frames of a training set, whose name is a hash of its content."""
    frames = data.frames[np.concatenate([data.idxs_train, data.idxs_valid])]
    description = {
        "name": frames.name,
        "theory": frames.theory,
        "n_train": data.n_train,
        "energy_constraint": data.energy_constraint,
    }
    arrays = {"atomic_numbers": frames.atomic_numbers, "perms": data.perms, "positions": frames.positions}
    arrays |= {"forces": frames.forces} if frames.forces is not None else {}
    arrays |= {"energies": frames.energies} if frames.energies is not None else {}
    path = (store.path / "frames" / f"{_content(description, arrays)}.npz").absolute()
    if not path.is_file():
        write(path, _FORMAT, description, arrays)
    return path


def _content(description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    texts = [str(description[name]) for name in ("name", "theory", "n_train", "energy_constraint")]
    shapes = [(name, arrays[name].shape) for name in sorted(arrays)]
    return fingerprint(f"{texts} {shapes}", *(arrays[name] for name in sorted(arrays)))[:_DIGITS]


@lru_cache(maxsize=1)
def _read(path: str) -> TrainingSet:
    """The training and validation frames of a file; a worker keeps those of its last file."""
    with reading(path, _FORMAT) as (content, arrays):
        if _content(content, arrays) != Path(path).stem:
            raise InputError("its content is not that of its name", expected=_FORMAT.what, hint=_FORMAT.hint)
        labels = {name: arrays[name] for name in ("energies", "forces") if name in arrays}
        frames = Frames(
            arrays["atomic_numbers"],
            arrays["positions"],
            name=str(content["name"]),
            theory=str(content["theory"]),
            **labels,
        )
        places = np.arange(len(frames))
        n_train, nothing = int(content["n_train"]), np.zeros(0, dtype=np.int64)
        return TrainingSet(
            frames,
            arrays.integers("perms", (None, None)),
            places[:n_train],
            places[n_train:],
            nothing,
            md5="",
            energy_constraint=bool(content["energy_constraint"]),
        )
