"""The state of a fit by gradients in a file: a killed fit goes on from it."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import replacing
from openmm_hybrid.data.frames import Frames


@final
@dataclass
class State:
    """After some epochs.

    Parameters
    ----------
    epoch : int
        Place in the schedule; an ended phase is skipped over.
    z, best : (n_free,)
        Displacements now, and those with the lowest validation loss.
    best_loss : float
    waited : int
        Epochs since then.
    optimiser : dict
        The optimiser's own state; empty at the start of a phase.
    train, valid : list of float
        Losses of the epochs that were run.
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
        """Before the first epoch."""
        return cls(0, torch.zeros(n_free, dtype=torch.float64), torch.zeros(n_free, dtype=torch.float64))

    def advanced(self, z: Tensor, train: float, valid: float) -> State:
        """After an epoch that ended at z."""
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
        """At the best point, with a new optimiser, further on in the schedule."""
        return replace(self, epoch=epoch, z=self.best, waited=0, optimiser={})


def fingerprint(settings: object, arrays: Sequence[NDArray[Any]], frames: Sequence[Frames]) -> str:
    """What a checkpoint must agree with."""
    digest = hashlib.sha256(repr(settings).encode())
    for array in (*arrays, *(array for part in frames for array in (part.positions, *part.labels()))):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def save_state(path: Path, state: State, system: str) -> None:
    """Write the file, an npz of plain arrays and a text, whole or not at all."""
    arrays: list[NDArray[Any]] = []
    content = json.dumps([[each.name, _packed(getattr(state, each.name), arrays)] for each in fields(state)])
    named: dict[str, Any] = {f"array{number}": array for number, array in enumerate(arrays)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, system=system, content=content, **named)


def load_state(path: Path, system: str, n_free: int) -> State:
    """The state in the file; a fresh one where there is no file.

    Raises
    ------
    InputError
        The file is no checkpoint, or one of another fit.
    """
    if not path.is_file():
        return State.fresh(n_free)
    try:
        # Opened here: numpy leaves a file open whose zip directory is damaged.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = str(file["system"])
            state = State(**{name: _unpacked(value, file) for name, value in json.loads(file["content"].item())})
        if state.z.shape != (n_free,) and found == system:
            raise ValueError(f"it has {tuple(state.z.shape)} parameters, not {n_free}")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError) as error:
        raise _damaged(path, error) from error
    except (NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, error) from error
    if found != system:
        raise InputError(
            f"{path} is the checkpoint of another fit",
            expected="the same force field, frames, seed and settings as when it was written",
            hint="remove it, or name another",
        )
    return state


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is no checkpoint of a fit ({error})", hint="remove it, or name another")


def _packed(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """What JSON can hold of numbers, lists, dictionaries and tensors; tensors go to `arrays`."""
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
