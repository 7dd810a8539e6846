"""The outcome of a task: its result, or the reason why it has none."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from openmm_hybrid.core.errors import HybridError, InputError
from openmm_hybrid.tasks.task import Task


@final
@dataclass(frozen=True, eq=False)
class TaskResult:
    """What became of a task.

    Parameters
    ----------
    key, name : str
        Those of the task.
    value : mapping
        The result: JSON-ready values and plain arrays by name. Empty after a failure.
    reason : str
        Why the task failed, in one line; empty if it did not.
    trace : str
        Python's traceback of an error that is no `HybridError`.
    seconds : float, s
        Time that the task took. If it was ended and started again, that of the last start.
    """

    key: str
    name: str = ""
    value: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    trace: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return not self.reason

    @classmethod
    def success(cls, task: Task, value: Any, seconds: float) -> TaskResult:
        """The outcome of a task that returned a value.

        Raises
        ------
        InputError
            The value is no mapping of texts to JSON-ready values and plain arrays.
        """
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise InputError(f"{task.function} returned a {type(value).__name__}", expected="a mapping of texts")
        for name, part in value.items():
            if isinstance(part, np.ndarray):
                if part.dtype.hasobject:
                    raise InputError(f"{task.function} returned objects in {name!r}", expected="a plain array")
                continue
            try:
                json.dumps(part, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"{task.function} returned {name!r}, which cannot be stored ({error})",
                    expected="JSON or a plain array",
                ) from error
        return cls(task.key, task.name, value, seconds=seconds)

    @classmethod
    def failure(cls, task: Task, error: Exception | str, seconds: float = 0.0) -> TaskResult:
        """The outcome of a task that failed by an error, or for a reason in words."""
        if isinstance(error, str):
            return cls(task.key, task.name, reason=error, seconds=seconds)
        if isinstance(error, HybridError):
            return cls(task.key, task.name, reason=str(error), seconds=seconds)
        trace = "".join(traceback.format_exception(error))
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return cls(task.key, task.name, reason=text, trace=trace, seconds=seconds)
