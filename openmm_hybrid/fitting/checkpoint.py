"""The state of a fit by gradients in a file, from which a killed fit resumes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, final

import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.core.same_job import check_same_job
from openmm_hybrid.core.versioned_npz import NpzFormat, reading, write
from openmm_hybrid.data.frames import Frames

_FORMAT = NpzFormat(
    "openmm-hybrid fit checkpoint", 1, "a checkpoint of a fit", suffix="", hint="remove it, or give another name"
)


@final
@dataclass
class State:
    """State of a fit after some epochs.

    Parameters
    ----------
    epoch : int
        Number of the next epoch in the schedule; the rest of a phase that ended early is skipped.
    z, best : (n_free,)
        Current displacements, and those with the lowest validation loss.
    best_loss : float
        The lowest validation loss.
    waited : int
        Epochs since the lowest validation loss.
    optimiser : dict
        The optimiser's own state; empty at the start of a phase.
    train, valid : list of float
        Training and validation losses of all epochs so far.
    """

    epoch: int
    z: Tensor
    best: Tensor
    best_loss: float = math.inf
    waited: int = 0
    optimiser: dict[str, Any] = field(default_factory=dict)
    train: list[float] = field(default_factory=list)
    valid: list[float] = field(default_factory=list)

    @classmethod
    def fresh(cls, n_free: int) -> State:
        """The state before the first epoch."""
        return cls(0, torch.zeros(n_free, dtype=torch.float64), torch.zeros(n_free, dtype=torch.float64))

    def advanced(self, z: Tensor, train: float, valid: float) -> State:
        """The state after an epoch that ended at z."""
        better = valid < self.best_loss
        return replace(
            self,
            epoch=self.epoch + 1,
            z=z,
            best=z if better else self.best,
            best_loss=min(valid, self.best_loss),
            waited=0 if better else self.waited + 1,
            train=[*self.train, train],
            valid=[*self.valid, valid],
        )

    def moved_to_best(self, epoch: int) -> State:
        """The state at the best point, with a new optimiser, at a later epoch of the schedule."""
        return replace(self, epoch=epoch, z=self.best, waited=0, optimiser={})


def describe_fit(
    names: Sequence[str],
    settings: Any,
    seed: int,
    centre: NDArray[Any],
    free: NDArray[Any],
    train: Sequence[Frames],
    valid: Sequence[Frames],
) -> dict[str, Any]:
    """The description of a fit, which a checkpoint must share.

    Parameters
    ----------
    names : (n_parameters,) str
    settings : dataclass
    seed : int
    centre : (n_parameters,)
        Values that displacements are measured from.
    free : (n_free,)
        Indices of the fitted parameters, or the flags of all parameters.
    train, valid : sequence of Frames
        Labelled frames of every molecule.
    """
    arrays = [array for part in (*train, *valid) for array in (part.positions, *part.labels())]
    return {
        "parameters": fingerprint("\n".join(names)),
        "settings": asdict(settings),
        "seed": seed,
        "centre": fingerprint(centre),
        "free": fingerprint(free),
        "frames": fingerprint(*arrays),
        "n_train": [len(part) for part in train],
        "n_valid": [len(part) for part in valid],
    }


def save_state(path: Path, state: State, job: Mapping[str, Any]) -> None:
    """Write the file, whole or not at all."""
    arrays: list[NDArray[Any]] = []
    content = [[part.name, _packed(getattr(state, part.name), arrays)] for part in fields(state)]
    named = {f"array{index}": array for index, array in enumerate(arrays)}
    write(path, _FORMAT, {"job": job, "state": content}, named, compressed=False)


def load_state(path: Path, job: Mapping[str, Any], n_free: int) -> State:
    """The state in the file; a fresh one if there is no file.

    Raises
    ------
    InputError
        The file is damaged or is not a checkpoint.
    MismatchError
        It is the checkpoint of another fit; the message names what differs.
    """
    if not path.is_file():
        return State.fresh(n_free)
    with reading(path, _FORMAT) as (description, arrays):
        check_same_job(description["job"], job, where=path, what="fit", hint=_FORMAT.hint)
        state = State(**{name: _unpacked(value, arrays) for name, value in description["state"]})
        if state.z.shape != (n_free,):
            raise InputError(f"it has {tuple(state.z.shape)} parameters", expected=str(n_free), hint=_FORMAT.hint)
    return state


def _packed(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """Numbers, lists, dictionaries and tensors as JSON-ready content; tensors go to `arrays`."""
    if isinstance(value, Tensor):
        arrays.append(value.detach().numpy())
        return {"array": len(arrays) - 1}
    if isinstance(value, dict):
        return {"pairs": [[key, _packed(entry, arrays)] for key, entry in value.items()]}
    if isinstance(value, list | tuple):
        return [_packed(entry, arrays) for entry in value]
    return value


def _unpacked(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(value, dict):
        if "array" in value:
            return torch.from_numpy(arrays[f"array{value['array']}"])
        return {key: _unpacked(entry, arrays) for key, entry in value["pairs"]}
    if isinstance(value, list):
        return [_unpacked(entry, arrays) for entry in value]
    return value
