"""A folder with one file for each finished task, which any process can read while others add to it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded
from openmm_hybrid.core.result_document import write_json
from openmm_hybrid.core.versioned_npz import NpzFormat, reading, write
from openmm_hybrid.tasks.claim import claimed
from openmm_hybrid.tasks.task_result import TaskResult

_HINT = "remove this file, and the task is done again"
_FORMAT = NpzFormat("openmm-hybrid task", version=1, what="the outcome of a task", hint=_HINT)
_RUNNING = "running"
_ENDINGS = (".npz", ".json")  # a failure has no arrays: it is never npz
_FILE = re.compile(r"([0-9a-f]+)\.(?:json|npz)")


@final
@dataclass(frozen=True)
class Store:
    """Outcomes of tasks in a folder.

    An outcome is KEY.json, or KEY.npz if its value has arrays. Each file is written whole or not at all. The folder
    ``running`` has a file for each task that a process works at, or was working at when it was killed.

    Parameters
    ----------
    folder : str or Path
    """

    folder: str | Path

    @property
    def path(self) -> Path:
        """The folder, with a leading ~ expanded."""
        return expanded(self.folder)

    def find(self, key: str) -> TaskResult | None:
        """The outcome of a task; None if it is not finished.

        Raises
        ------
        InputError
            Its file is damaged.
        """
        for ending in (*_ENDINGS, _ENDINGS[0]):  # again, for one that took the place of a failure in the meantime
            path = self.path / (key + ending)
            try:
                if path.is_file():
                    return _read_npz(path) if ending == ".npz" else _read_json(path)
            except InputError:
                if path.is_file():
                    raise
        return None

    def put(self, outcome: TaskResult) -> TaskResult:
        """Write an outcome. The last one of a task counts, but a failure does not take the place of a result.

        Returns
        -------
        TaskResult
            The outcome that counts.

        Raises
        ------
        InputError
            The file of an earlier outcome is damaged, and this one is a failure.
        HybridError
            The file cannot be written.
        """
        if not outcome.ok and (known := self.find(outcome.key)) is not None and known.ok:
            return known
        arrays = {name: part for name, part in outcome.value.items() if isinstance(part, np.ndarray)}
        content = {
            "key": outcome.key,
            "name": outcome.name,
            "reason": outcome.reason,
            "trace": outcome.trace,
            "seconds": outcome.seconds,
            "value": {name: part for name, part in outcome.value.items() if name not in arrays},
        }
        if arrays:
            write(self.path / f"{outcome.key}.npz", _FORMAT, content, arrays)
        else:
            write_json(self.path / f"{outcome.key}.json", {"format": _FORMAT.name, **content})
        if outcome.ok:  # after the result is there, so that a crash in between loses nothing
            (self.path / (outcome.key + (".json" if arrays else ".npz"))).unlink(missing_ok=True)
        return outcome

    def remove(self, key: str) -> None:
        """Forget the outcome of a task, if there is one."""
        for ending in _ENDINGS:
            (self.path / (key + ending)).unlink(missing_ok=True)

    def keys(self) -> set[str]:
        """Keys of the tasks that are finished; their files are not read."""
        if not self.path.is_dir():
            return set()
        with os.scandir(self.path) as entries:
            matches = (_FILE.fullmatch(entry.name) for entry in entries)
            return {match[1] for match in matches if match}

    def outcomes(self) -> Iterator[TaskResult]:
        """All outcomes so far, in the order of their keys.

        Raises
        ------
        InputError
            A file is damaged.
        """
        for key in sorted(self.keys()):
            if (outcome := self.find(key)) is not None:
                yield outcome

    def claim(self, key: str) -> AbstractContextManager[None]:
        """Keep other processes and threads from a task while the block lasts; it waits for those that are at it.

        The end of a process, however it ended, ends its claims. On a file system without locks, nothing is kept.
        """
        return claimed(self.path / _RUNNING / key)

    def running(self) -> dict[str, float]:
        """Key of each claimed task → time (seconds since 1970) of the claim; those of killed processes too."""
        found = {}
        for path in (self.path / _RUNNING).glob("[0-9a-f]*"):
            try:
                found[path.name] = path.stat().st_mtime
            except FileNotFoundError:  # finished in the meantime
                continue
        return found


def _read_json(path: Path) -> TaskResult:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT.name:
            raise InputError(f"{path} is another file", expected=_FORMAT.what, hint=_HINT)
        return _outcome(content, dict(content["value"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged ({error})", expected=_FORMAT.what, hint=_HINT) from error


def _read_npz(path: Path) -> TaskResult:
    with reading(path, _FORMAT) as (content, arrays):
        return _outcome(content, dict(content["value"]) | {name: np.array(arrays[name]) for name in arrays})


def _outcome(content: dict[str, Any], value: dict[str, Any]) -> TaskResult:
    texts = {name: str(content[name]) for name in ("key", "name", "reason", "trace")}
    return TaskResult(**texts, value=value, seconds=float(content["seconds"]))
