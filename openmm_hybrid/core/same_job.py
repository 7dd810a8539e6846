"""Check that a folder or file belongs to a job. A job is described by JSON, which is stored with its finished parts.

Code that resumes a job first compares its description with the stored one: `check_same_job` where the caller reads the
stored one, `note_job` for a file of its own, `finished` for a file that holds the finished parts too. `lock_folder`
and `lock_open_file` keep other processes out in the meantime.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from openmm_hybrid.core.errors import HybridError, InputError, MismatchError
from openmm_hybrid.core.files import expanded, read_json, replacing

T = TypeVar("T")

Rule = Callable[[Any, Any], str]
"""Function that compares the stored value of a key, or None, with the wanted one; it returns the difference, or ""."""

_LONG = 60  # characters of the longest value that a message shows
_HASH = re.compile("[0-9a-f]{32,}")  # an md5 or SHA-256, which tells a reader nothing


def check_same_job(
    found: Mapping[str, Any],
    wanted: Mapping[str, Any],
    *,
    where: str | Path,
    what: str,
    hint: str,
    rules: Mapping[str, Rule] | None = None,
) -> None:
    """Compare a job's description with a stored one.

    Every key of `wanted` must be stored with the same value, as JSON has it (a tuple is a list there).

    Parameters
    ----------
    found, wanted : mapping
        The stored description and the one of this job; JSON-ready.
    where : path
        Folder or file that stores it, for the message.
    what : str
        Noun for the job, without an article: "fit", "sampling run".
    hint : str
        What to do if they differ.
    rules : mapping of key to function, optional
        Keys whose values need not be equal; see `Rule`.

    Raises
    ------
    MismatchError
        They differ; the message names the keys, and their values where they are short.
    """
    rules = rules or {}
    found, wanted = json.loads(json.dumps([found, wanted]))
    different = [
        rules[key](found.get(key), value) if key in rules else _difference(key, found, value)
        for key, value in wanted.items()
    ]
    if any(different):
        raise MismatchError(f"{where} belongs to another {what}: {', '.join(filter(None, different))}", hint=hint)


def ignored(found: Any, wanted: Any) -> str:
    """The rule for a key that is noted, and may change."""
    return ""


def note_job(
    path: str | Path, job: Mapping[str, Any], *, what: str, hint: str, rules: Mapping[str, Rule] | None = None
) -> None:
    """Write a job's description to a JSON file, after a comparison with the one that the file holds already.

    Parameters
    ----------
    path : path
    job : mapping
        JSON-ready description.
    what, hint, rules
        See `check_same_job`.

    Raises
    ------
    MismatchError
        The file holds the description of another job.
    InputError
        The file is damaged.
    HybridError
        The file cannot be written.
    """
    path = expanded(path)
    if path.is_file():
        found = read_json(path, expected=f"the description of a {what}", hint=hint)
        check_same_job(found, job, where=path.parent, what=what, hint=hint, rules=rules)
        if found == json.loads(json.dumps(job)):
            return
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(job, indent=1) + "\n", encoding="utf-8")


def finished(
    path: Path, job: Mapping[str, Any], *, key: str, make: Callable[[dict[str, Any]], T], what: str
) -> list[T]:
    """The finished parts of a long job, from the JSON file that stores them with its description.

    Parameters
    ----------
    path : path
        JSON with the description under "job" and a list of finished parts under `key`.
    job : mapping
        JSON-ready description.
    key : str
    make : function
        Turns the JSON of one part into the part.
    what : str
        Noun for the job, without an article: "learning curve".

    Returns
    -------
    list
        Empty if there is no file.

    Raises
    ------
    InputError
        The file is damaged or holds something else.
    MismatchError
        It belongs to another job; the message names what differs.
    """
    hint = "give another name, or remove this file to start anew"
    if not path.is_file():
        return []
    try:
        content = read_json(path, expected=f"a {what}", hint=hint)
        found, parts = dict(content["job"]), [make(entry) for entry in content[key]]
    except (LookupError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a {what}, or is damaged", hint=hint) from None
    check_same_job(found, job, where=path, what=what, hint=hint)
    return parts


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder; without effect on a file system that has no locks.

    Raises
    ------
    InputError
        Another process has locked the folder.
    HybridError
        The folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise HybridError(f"cannot write to {folder}: {error.strerror}", hint="choose another folder") from error
    with lock:
        lock_open_file(lock.fileno(), folder, "choose another folder")
        yield


def lock_open_file(descriptor: int, name: str | Path, otherwise: str) -> None:
    """Lock a file until it is closed or its process ends; without effect on a file system that has no locks.

    Parameters
    ----------
    descriptor : int
    name : path
        What is locked, for the message.
    otherwise : str
        What to do other than to wait, for the hint.

    Raises
    ------
    InputError
        Another process has locked the file.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no fcntl
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"another process is writing to {name}", hint=f"wait for it, or {otherwise}") from None
    except OSError:  # a network file system without locks
        pass


def _difference(key: str, found: Mapping[str, Any], wanted: Any) -> str:
    if key not in found:
        return f"{key} is missing there"
    if found[key] == wanted:
        return ""
    texts = [str(value) for value in (found[key], wanted)]
    if any(len(text) > _LONG or _HASH.fullmatch(text) for text in texts):
        return f"{key} differs"
    return f"{key} {texts[0]} there, {texts[1]} now"
