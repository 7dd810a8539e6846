"""Writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openmm_hybrid.errors import HybridError


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
            mend="free space or choose another folder; what was there before is untouched",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
