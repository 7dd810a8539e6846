"""A file that one process or thread holds at a time, and that is gone when nobody holds it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from openmm_hybrid.core.errors import HybridError


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold a file while the block lasts, after all others that hold it are done.

    The file is removed at the end. That of a killed process stays, and the next holder takes it over. On a file system
    without locks, nobody waits.

    Raises
    ------
    HybridError
        The file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _held(path)
    except OSError as error:
        raise HybridError(f"cannot write to {path.parent}: {error.strerror}", hint="choose another folder") from error
    try:
        os.utime(path)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _held(path: Path) -> int:
    """An open descriptor of the file, which is locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        _lock(descriptor)
        try:
            here = os.stat(path)
        except FileNotFoundError:
            here = None
        if here is not None and os.path.samestat(here, os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)  # the holder before us has removed the file that we waited for


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no fcntl
        return
    with suppress(OSError):  # a network file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
