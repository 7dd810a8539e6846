"""What the text of an engine does not tell: the content of the files that it names."""

from __future__ import annotations

import os

from openmm_hybrid.core.files import expanded, fingerprint, sha256
from openmm_hybrid.reference.ase_parameters import SILENT
from openmm_hybrid.reference.engine_name import parsed


def engine_files(text: str) -> str:
    """Hash of the files that an engine's text names as its method or in its options; empty if it names none.

    It does not depend on the place of the files. Options that change no result, such as a log file, do not count.

    Parameters
    ----------
    text : str
        Such as "model:teacher.npz" or "ase:module:Class?model=weights.pt"; see `openmm_hybrid.reference.engine`.

    Raises
    ------
    InputError
        The text cannot be read.
    """
    named = parsed(text)
    given = {"": named.method} | {name: value for name, value in named.options.items() if name.lower() not in SILENT}
    files = {name: expanded(value) for name, value in given.items() if isinstance(value, str) and value}
    found = [f"{name}={sha256(path)}" for name, path in sorted(files.items()) if os.path.isfile(path)]
    return fingerprint("\n".join(found)) if found else ""
