"""Files of geometries in sGDML's npz layout."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from openmm_hybrid import __version__
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import DAMAGE, check_zip
from openmm_hybrid.data.formats.frame_arrays import FrameArrays


def read(path: Path) -> dict[str, Any]:
    """All arrays of a file by their keys.

    Raises
    ------
    InputError
        Damaged, a key twice, or pickled objects.
    """
    damage = InputError(f"{path} is damaged or not an npz file", hint="download or copy it again")
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(archive, path)
            names = archive.namelist()
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            key = min(twice).removesuffix(".npy")
            raise InputError(f"{path}: the key {key!r} occurs twice", hint="keep one of them")
        with np.load(path, allow_pickle=False) as data:
            return {key: _array(data, key, path) for key in data.files}
    except DAMAGE as error:
        if isinstance(error, InputError):
            raise
        raise damage from error


def _array(data: Any, key: str, path: Path) -> np.ndarray:
    try:
        return np.asarray(data[key])
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise InputError(
                f"{path}: key {key!r} holds pickled objects, which may run code when read",
                expected="plain arrays",
                hint="convert it on a machine where you trust it",
            ) from None
        raise


def to_bytes(frames: FrameArrays) -> bytes:
    """The bytes of the file that sGDML's own tools would write, with statistics and md5."""
    arrays = {"z": frames.atomic_numbers.astype(np.uint8), "R": frames.positions}
    statistics: dict[str, float] = {}
    for key, values in (("E", frames.energies), ("F", frames.forces)):
        if values is not None:
            arrays[key] = values
            if values.size:
                statistics[f"{key}_min"], statistics[f"{key}_max"] = float(values.min()), float(values.max())
                statistics[f"{key}_mean"], statistics[f"{key}_var"] = float(values.mean()), float(values.var())
    texts = {"type": "d", "code_version": f"openmm-hybrid {__version__}", "name": frames.name}
    texts |= {"theory": frames.theory, "r_unit": "Ang", "e_unit": "kcal/mol"}
    stream = io.BytesIO()
    np.savez_compressed(stream, md5=np.array(dataset_md5(frames).encode()), **arrays, **statistics, **texts)  # type: ignore[arg-type]
    return stream.getvalue()


def dataset_md5(frames: FrameArrays) -> str:
    """The md5 by which sGDML names a data set: the md5 of the digests of z, R, E and F, without the arrays it lacks.

    It equals the one in the file that the frames came from if that file stores one byte per atomic number and eight
    per coordinate, as sGDML does.
    """
    arrays = (frames.atomic_numbers.astype(np.uint8), frames.positions, frames.energies, frames.forces)
    digests = [hashlib.md5(array.tobytes()).digest() for array in arrays if array is not None]
    return hashlib.md5(b"".join(digests)).hexdigest()
