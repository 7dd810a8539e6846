"""Writing files whole or not at all, and reading arrays without trust."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmm_hybrid.core.errors import HybridError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes the place of `path` when the block ends without an error.

        with replacing("model.npz") as temporary:
            temporary.write_bytes(...)

    The folder is made where it is missing. After an error the old file is as it was and the temporary one is gone.

    Raises
    ------
    HybridError
        The file cannot be written (no space, no permission); the message names it.
    """
    target = Path(path)
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
            hint="free space or choose another folder; what was there before is untouched",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def reading_npz(path: str | Path, what: str) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of an npz file, read without pickles while the block lasts::

        with reading_npz("model.npz", "an sGDML model") as archive:
            sigma = archive["sig"]

    Raises
    ------
    InputError
        The file is missing or damaged, holds objects, or the block cannot make `what` of it: every error of the block
        that a file's content can cause becomes one that names the file.
    """
    import numpy as np

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist", expected=f"{what} (.npz)")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is no npz file, or a damaged one", expected=f"{what} (.npz)")
    try:
        # Opened here: numpy leaves a file open whose zip directory is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            yield archive
    except InputError as error:
        if str(path) in error.problem:
            raise
        raise InputError(f"{path}: {error.problem}", expected=error.expected, hint=error.hint) from error
    except (OSError, EOFError, LookupError, TypeError, ValueError, AttributeError, *_DAMAGE) as error:
        raise InputError(
            f"{path} cannot be read as {what} ({type(error).__name__}: {error})",
            expected="a complete file of plain arrays",
            hint="copy or download it again",
        ) from error


_DAMAGE = (MemoryError, NotImplementedError, zipfile.BadZipFile, zlib.error)
