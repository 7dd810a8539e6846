"""Files: written whole or not at all, read without trust, and recognised by their SHA-256."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from openmm_hybrid.core.errors import HybridError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def expanded(path: str | Path) -> Path:
    """The path with a leading ~ or ~user replaced by the home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path} cannot be expanded ({error})", hint="write the folder in full") from error
    except TypeError as error:
        raise InputError(f"{path!r} is no path", expected="a str or a pathlib.Path") from error


def as_file_name(name: str, most: int = 40) -> str:
    """The first `most` characters of a name, with "_" for all that are not letters, digits, "+", "-" or "."."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", name)[:most].strip("_.")


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with expanded(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*parts: str | bytes | NDArray[Any]) -> str:
    """SHA-256 of texts (as UTF-8), bytes and arrays (the bytes of their elements) in this order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        else:
            digest.update(part if isinstance(part, bytes) else part.tobytes())
    return digest.hexdigest()


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`; it replaces `path` when the block ends without an error.

        with replacing("model.npz") as temporary:
            temporary.write_bytes(...)

    Missing folders are made, and a leading ~ is expanded. After an error the old file is unchanged and the temporary
    one is removed.

    Raises
    ------
    HybridError
        The file cannot be written (no space, no permission); the message names it.
    """
    target = expanded(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, target)
    except OSError as error:
        raise HybridError(
            f"cannot write {target}: {error.strerror or error}",
            hint="free space or choose another folder; the old file is unchanged",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def check_expansion(size: int, stored: int, what: str) -> None:
    """Refuse content that would take far more memory than its file: more than 64 MB, and over 100 times its size there.

    Parameters
    ----------
    size, stored : int
        Bytes in memory and in the file.
    what : str
        Noun for the content, with the name of the file, for the message.

    Raises
    ------
    InputError
        The file is damaged, or made to fill the memory.
    """
    if size > max(_SMALL, _EXPANSION * stored):
        raise InputError(
            f"{what} claims {size / 1e6:.0f} MB in memory but fills {stored / 1e6:.3f} MB of the file",
            expected=f"at most {_EXPANSION} times as much",
            hint="copy or download it again; do not trust it",
        )


def check_zip(archive: zipfile.ZipFile, path: Path) -> None:
    """Check an open zip or npz file before its content is read: every member has the size that its header claims.

    Raises
    ------
    InputError
        A member is compressed by another method than deflate, expands too far (`check_expansion`), or is an array of
        another size than its header claims.
    """
    for info in archive.infolist():
        what = f"{path}: {info.filename!r}"
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"{what} is compressed by method {info.compress_type}", expected="deflate or none")
        check_expansion(info.file_size, info.compress_size, what)
        if not info.filename.endswith(".npy"):
            continue
        with archive.open(info) as file:
            _check_npy(file, info.file_size, what)


def read_json(path: Path, *, expected: str, hint: str) -> dict[str, Any]:
    """The object of a JSON file.

    Raises
    ------
    InputError
        The file is missing or damaged, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist", expected=expected, hint=hint) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error})", expected=expected, hint=hint) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged", expected=expected, hint=hint)
    return content


def read_npy(path: Path, *, hint: str) -> NDArray[Any]:
    """The array of an npy file, read without pickles.

    Raises
    ------
    InputError
        The file is damaged, holds objects, or is not of the size that its header claims.
    """
    import numpy as np

    try:
        with path.open("rb") as file:
            _check_npy(file, path.stat().st_size, str(path))
        return np.asarray(np.load(path, allow_pickle=False))
    except DAMAGE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged ({type(error).__name__})", expected="a plain array", hint=hint) from error


def _check_npy(file: IO[bytes], size: int, what: str) -> None:
    """Compare the size that an array's header claims with the size of its file."""
    import numpy as np

    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    n_bytes = math.prod(shape) * dtype.itemsize
    empty = dtype.itemsize == 0 and math.prod(shape) > 1  # any number of elements takes no bytes
    if not dtype.hasobject and (n_bytes != size - file.tell() or empty):
        raise InputError(f"{what} claims an array of {shape}", expected=f"{size - file.tell()} bytes of it")


_SMALL = 64_000_000  # bytes that any file may ask for
_EXPANSION = 100  # compressed trajectories and models need less than 20


@contextmanager
def reading_npz(
    path: str | Path, what: str, *, hint: str = "copy or download it again"
) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of an npz file, read without pickles while the block lasts::

        with reading_npz("model.npz", "an sGDML model") as archive:
            sigma = archive["sig"]

    `what` (a noun) and `hint` (what to do with a damaged file) are for the messages.

    Raises
    ------
    InputError
        The file is missing or damaged, or holds objects. Every error of the block that a file's content can cause
        becomes an InputError that names the file.
    """
    import numpy as np

    path = expanded(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist", expected=f"{what} (.npz)")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is not an npz file, or is damaged", expected=f"{what} (.npz)", hint=hint)
    try:
        # Opened here: numpy leaves a file open whose zip directory is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            check_zip(archive.zip, path)
            yield archive
    except InputError as error:
        if str(path) in error.problem:
            raise
        raise InputError(f"{path}: {error.problem}", expected=error.expected, hint=error.hint) from error
    except DAMAGE as error:
        raise InputError(
            f"{path} cannot be read as {what} ({type(error).__name__}: {error})",
            expected="a complete file of plain arrays",
            hint=hint,
        ) from error


DAMAGE = (
    *(OSError, EOFError, LookupError, TypeError, ValueError, AttributeError, MemoryError, RuntimeError),
    *(SyntaxError, ArithmeticError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""Errors of Python, numpy and zipfile for a damaged file: deep nesting, sizes that overflow, broken headers."""
