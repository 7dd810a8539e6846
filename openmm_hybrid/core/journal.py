"""Journals: JSON files that keep what a long study has finished, so that it goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from openmm_hybrid.core.errors import InputError, MismatchError

T = TypeVar("T")


def entries(path: Path, job: Mapping[str, Any], *, key: str, make: Callable[[dict[str, Any]], T], what: str) -> list[T]:
    """The entries of a journal of the same job; none where there is no file.

    Parameters
    ----------
    path : path
        JSON with "job" and, under `key`, the entries.
    job : mapping
        What decides the entries, as JSON has it.
    key : str
    make : function
        An entry as JSON has it → entry.
    what : str
        What the journal is, for messages: "learning curve".

    Raises
    ------
    InputError
        The file is damaged or something else.
    MismatchError
        It belongs to another job; the message names what differs.
    """
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found, made = content["job"], [make(entry) for entry in content[key]]
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path} is no {what}, or a damaged one", hint="remove it, or give another name") from None
    other = [name for name in job if found.get(name) != job[name]]
    if other:
        raise MismatchError(
            f"{path} is a {what} of other settings or data: {', '.join(other)} differ",
            hint="give another name, or remove this file to start anew",
        )
    return made
