"""The journal of a labelling job: one line of JSON per finished frame, appended whole or not at all."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import HybridError, InputError, NumericalError
from openmm_hybrid.core.same_job import check_same_job, lock_open_file
from openmm_hybrid.reference.reference_engine import ReferenceEngine, lacks_memory

_FORMAT = "openmm-hybrid labels 2"
_OTHER = "give another path, or remove this file to start anew"


@dataclass(frozen=True, eq=False)
class Label:
    """Energy (kcal/mol) and forces (n_atoms, 3; kcal/mol/Å) of one frame, or the reason why it has none."""

    energy: float = 0.0
    forces: NDArray[np.float64] | None = None
    reason: str = ""

    @classmethod
    def of(cls, engine: ReferenceEngine, atomic_numbers: NDArray[np.int64], positions: NDArray[np.float64]) -> Label:
        """The label that an engine computes for one geometry."""
        try:
            energy, forces = engine.compute(atomic_numbers, positions)
        except NumericalError as error:
            return cls(reason=str(error))
        return cls(energy=energy, forces=forces)


class Journal:
    """An open journal: `labels` holds the finished frames, `add` appends one.

    A frame that failed with another effort of the engine, or for lack of memory, counts as not finished. The first line
    describes the job. A killed run may leave a last line without its end, which is cut off. An open
    journal is locked; the end of the process ends the lock.

    Raises
    ------
    InputError
        A line is damaged, or another process has the journal open.
    MismatchError
        The journal belongs to another job.
    HybridError
        The file cannot be written.
    """

    def __init__(self, path: Path, job: dict[str, Any], effort: str = "") -> None:
        self.path = path
        self._effort = effort
        self.labels: dict[int, Label] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise self._unwritable(error) from error
        with ExitStack() as after_an_error:
            after_an_error.callback(os.close, self._descriptor)
            lock_open_file(self._descriptor, path, "give another path")
            self._begin(job)
            after_an_error.pop_all()

    def _begin(self, job: dict[str, Any]) -> None:
        """Read the finished frames, and cut off what a killed run left of a line."""
        header = {"format": _FORMAT, **job}
        try:
            kept = self.path.read_bytes()
            kept = kept[: kept.rfind(b"\n") + 1]
            lines = kept.splitlines()
            if lines:
                found = _parsed(self.path, 1, lines[0])
                check_same_job(found, header, where=self.path, what="labelling job", hint=_OTHER)
            entries = dict(self._entry(number, line, job) for number, line in enumerate(lines[1:], 2))
            self.labels = {index: label for index, label in entries.items() if label is not None}
            os.ftruncate(self._descriptor, len(kept))
        except OSError as error:
            raise self._unwritable(error) from error
        if not lines:
            self._append(header)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def add(self, index: int, label: Label) -> None:
        """Record the label of frame `index`, or why it has none."""
        entry: dict[str, Any] = {"frame": index}
        if label.forces is None:
            entry["failed"] = label.reason
            if self._effort:
                entry["effort"] = self._effort
        else:
            entry |= {"energy": label.energy, "forces": label.forces.ravel().tolist()}
        self._append(entry)
        self.labels[index] = label

    def _append(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry, allow_nan=False).encode() + b"\n"
        try:
            if os.write(self._descriptor, line) != len(line):
                raise OSError("no space left on device")
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> HybridError:
        return HybridError(
            f"cannot write {self.path}: {error.strerror or error}",
            hint="free space or choose another folder; the finished frames are kept; call again to continue",
        )

    def _entry(self, number: int, line: bytes, job: dict[str, Any]) -> tuple[int, Label | None]:
        """Index of a frame and its label; None for a failure that may succeed now."""
        entry = _parsed(self.path, number, line)
        try:
            index = int(entry["frame"])
            if not 0 <= index < job["n_frames"]:
                raise _damaged(self.path, number)
            if "failed" in entry:
                reason = str(entry["failed"])
                again = entry.get("effort", "") != self._effort or lacks_memory(reason)
                return index, None if again else Label(reason=reason)
            forces = np.array(entry["forces"], dtype=np.float64).reshape(len(job["atomic_numbers"]), 3)
            energy = float(entry["energy"])
            if not np.isfinite(energy) or not np.isfinite(forces).all():
                raise _damaged(self.path, number)
            return index, Label(energy=energy, forces=forces)
        except (LookupError, TypeError, ValueError, OverflowError):
            raise _damaged(self.path, number) from None


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise _damaged(path, number) from None
    if not isinstance(entry, dict):
        raise _damaged(path, number)
    return entry


def _damaged(path: Path, number: int) -> InputError:
    return InputError(f"line {number} of {path} is damaged", hint="remove this file to label anew")
