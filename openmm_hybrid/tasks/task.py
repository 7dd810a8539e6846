"""A task: the name of a function and its arguments, known by their content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pkgutil import resolve_name
from typing import Any, final

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import fingerprint

_DIGITS = 32  # of the SHA-256 in a key


@final
@dataclass(frozen=True)
class Task:
    """A call of a function whose result depends on its arguments alone.

    Workers may start it more than once if one of them dies, so it must be able to start again or to resume.

    Parameters
    ----------
    function : str
        "package.module:function", which a worker can import. It is called with the arguments by name, and returns a
        mapping of names to JSON-ready values or plain arrays.
    arguments : mapping
        JSON-ready.
    places : mapping of str to str
        Further arguments that change no result, such as the folder of the function's files.
    name : str
        Name for readers.
    time_limit : float, optional, s
        With a number, infinity too, the task runs in a process of its own, which is ended after this time. By default
        it runs in the process of the worker, and nothing can stop it.

    Raises
    ------
    InputError
        The arguments are not JSON-ready, or the time limit is not above zero.
    """

    function: str
    arguments: Mapping[str, Any]
    places: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    time_limit: float | None = None

    def __post_init__(self) -> None:
        try:
            json.dumps([self.arguments, self.places], allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the arguments of {self.function} cannot be written as JSON ({error})",
                expected="texts, finite numbers, lists and mappings",
            ) from error
        if self.time_limit is not None and not self.time_limit > 0.0:
            raise InputError(f"time_limit = {self.time_limit!r}", expected="seconds above 0, or None")

    @cached_property
    def key(self) -> str:
        """The task's name in a store: a hash of function and arguments; that of two equal tasks is equal."""
        content = json.dumps([self.function, self.arguments], sort_keys=True)
        return fingerprint(content)[:_DIGITS]

    def run(self) -> Any:
        """Call the function here."""
        return resolve_name(self.function)(**self.arguments, **self.places)

    def as_dict(self) -> dict[str, Any]:
        """All fields, JSON-ready but for an infinite time limit, which is Python's "Infinity" there."""
        return asdict(self)
