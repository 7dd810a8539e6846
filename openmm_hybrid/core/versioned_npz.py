"""One npz file of plain arrays with a JSON description, which names the format and its version.

The description is the entry ``description``, a text. All other entries are arrays. Nothing is pickled, a file is
replaced whole or not at all, and the bytes depend on the content alone.

    FORMAT = NpzFormat("openmm-hybrid force field", version=1, what="a force field")

    write(path, FORMAT, {"name": "ethanol"}, {"values": values, **prefixed("model/", arrays_of(model))})

    with reading(path, FORMAT) as (description, arrays):
        values = arrays.floats("values", (None,))
        model = model_from(arrays.under("model/"))
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid import __version__
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded, reading_npz, replacing

DESCRIPTION = "description"
_OWN_KEYS = ("format", "version", "written_by")


@final
@dataclass(frozen=True)
class NpzFormat:
    """A format of files.

    Parameters
    ----------
    name : str
        Name inside the file, such as "openmm-hybrid force field".
    version : int
        Version that is written, and the newest that can be read.
    what : str
        Noun for messages, with its article: "a force field".
    oldest : int
        Oldest version that can be read.
    suffix : str
        Required ending of the file's name; empty if any name will do.
    hint : str
        What to do with a damaged file.
    """

    name: str
    version: int
    what: str
    oldest: int = 1
    suffix: str = ".npz"
    hint: str = "copy or download it again"


@final
class Arrays(Mapping[str, NDArray[Any]]):
    """The arrays of an open file, or those of them whose names begin with a prefix.

    Every access raises InputError if the entry is missing or differs from what is asked for.
    """

    def __init__(self, entries: Mapping[str, NDArray[Any]], prefix: str = "") -> None:
        self._entries = entries
        self._prefix = prefix

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self:
            raise InputError(f"the entry {self._prefix + name!r} is missing", expected="a complete file")
        return self._entries[self._prefix + name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._prefix + name in self._entries

    def __iter__(self) -> Iterator[str]:
        names = (name for name in self._entries if name.startswith(self._prefix))
        return (name.removeprefix(self._prefix) for name in names if name != DESCRIPTION)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def under(self, prefix: str) -> Arrays:
        """The arrays whose names begin with `prefix`, by the rest of their names; see `prefixed`."""
        return Arrays(self._entries, self._prefix + prefix)

    def floats(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
        """An array of real numbers of this shape (None: any length)."""
        return self._checked(name, "f", shape).astype(np.float64)

    def flags(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.bool_]:
        """An array of truth values of this shape (None: any length)."""
        return self._checked(name, "b", shape).astype(np.bool_)

    def integers(self, name: str, shape: tuple[int | None, ...], below: int = 2**31) -> NDArray[np.int64]:
        """An array of integers from 0 to `below` − 1, of this shape (None: any length)."""
        array = self._checked(name, "iu", shape).astype(np.int64)
        if array.size and (array.min() < 0 or array.max() >= below):
            raise InputError(f"{self._prefix + name!r} has an index out of range", expected=f"0 to {below - 1}")
        return array

    def _checked(self, name: str, kinds: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
        array = self[name]
        same_rank = array.ndim == len(shape)
        if (
            array.dtype.kind not in kinds
            or not same_rank
            or any(wanted not in (None, length) for wanted, length in zip(shape, array.shape, strict=True))
        ):
            wanted_shape = tuple("any" if length is None else length for length in shape)
            raise InputError(
                f"{self._prefix + name!r} is {array.dtype} of shape {array.shape}",
                expected=f"{_KINDS[kinds]} of shape {wanted_shape}",
            )
        return array


_KINDS = {"f": "real numbers", "b": "truth values", "iu": "integers"}


def prefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same arrays with a prefix before every name, so that one file can hold the arrays of several objects.

    `Arrays.under` takes the prefix away again.
    """
    return {prefix + name: array for name, array in arrays.items()}


def write(
    path: str | Path,
    file_format: NpzFormat,
    description: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    *,
    compressed: bool = True,
) -> Path:
    """Write a file, whole or not at all.

    Parameters
    ----------
    path : path
        A leading ~ is expanded; missing folders are made.
    file_format : NpzFormat
    description : mapping
        JSON-ready content; "format", "version" and "written_by" are added.
    arrays : mapping of str to array
        Plain arrays. No name may be "description".
    compressed : bool
        False for files that are replaced often.

    Returns
    -------
    Path
        The expanded path.

    Raises
    ------
    InputError
        Another ending, a description that JSON cannot hold, or an array of Python objects.
    HybridError
        The file cannot be written.
    """
    path = expanded(path)
    if file_format.suffix and path.suffix != file_format.suffix:
        raise InputError(
            f"{file_format.what} cannot be written to {path}", expected=f"a name that ends in {file_format.suffix}"
        )
    pickled = sorted(name for name, array in arrays.items() if np.asarray(array).dtype.hasobject)
    taken = sorted(({DESCRIPTION} & set(arrays)) | (set(_OWN_KEYS) & set(description)))
    if pickled or taken:
        raise InputError(
            f"{', '.join(pickled or taken)} cannot be written to {path}",
            expected="plain arrays" if pickled else "names other than the format's own",
        )
    header = {"format": file_format.name, "version": file_format.version, "written_by": f"openmm-hybrid {__version__}"}
    try:
        text = json.dumps({**header, **description}, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the description of {path} cannot be written as JSON ({error})",
            expected="strings, finite numbers, lists, mappings",
        ) from error
    save = np.savez_compressed if compressed else np.savez
    # An open file: numpy adds .npz to a path that ends otherwise.
    with replacing(path) as temporary, temporary.open("wb") as file:
        save(file, **{DESCRIPTION: np.array(text), **arrays})  # type: ignore[arg-type]
    return path


@contextmanager
def reading(path: str | Path, file_format: NpzFormat) -> Iterator[tuple[dict[str, Any], Arrays]]:
    """The description and the arrays of a file, while the block lasts.

    The description includes "format", "version" and "written_by". Every error of the block that a file's content can
    cause (a missing key, a value of another type) becomes an InputError that names the file.

    Raises
    ------
    InputError
        The file is missing, damaged, of another format, or of a version that cannot be read; or it holds objects.
    """
    with reading_npz(path, file_format.what, hint=file_format.hint) as archive:
        description = _description(archive)
        if description.get("format") != file_format.name:
            raise InputError(f"this is {_origin(description, archive)}", expected=file_format.what)
        version = description.get("version")
        if not isinstance(version, int) or not file_format.oldest <= version <= file_format.version:
            older = isinstance(version, int) and version < file_format.oldest
            raise InputError(
                f"version {version} of the format, by {description.get('written_by', 'an unknown program')}",
                expected=f"version {file_format.version}",
                hint=f"make {file_format.what} again with this version" if older else "update openmm-hybrid",
            )
        yield description, Arrays(archive)


def format_of(path: str | Path) -> str:
    """Name of the format of an npz file; empty if the file has no description, like those of sGDML.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    with reading_npz(path, "an npz file") as archive:
        return str(_description(archive).get("format", ""))


def _description(archive: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The JSON text of a file; empty if there is none."""
    text = archive[DESCRIPTION] if DESCRIPTION in archive else np.array(0)
    known = json.loads(text.item()) if text.dtype.kind == "U" and text.ndim == 0 else {}
    return known if isinstance(known, dict) else {}


def _origin(description: Mapping[str, Any], archive: Mapping[str, NDArray[Any]]) -> str:
    """The kind of a file of another format, for messages."""
    if description.get("format"):
        return f"a file of the format {description['format']!r}"
    return "an sGDML file (oh.sgdml.load reads models)" if "perms" in archive or "type" in archive else "another file"
