"""HDF5 files of geometries, in the layout of sGDML's npz."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.formats.frame_arrays import FrameArrays

#: Attributes that are read.
_TEXT = ("name", "theory", "r_unit", "e_unit", "type")


def read(path: Path) -> dict[str, Any]:
    """All datasets, and the layout's texts among the attributes, by their keys.

    Raises
    ------
    InputError
        Damaged, a key twice, or a link out of the file.
    """
    try:
        with h5py.File(path, "r") as file:
            twice = set(file) & set(file.attrs)
            if twice:
                raise InputError(f"{path}: the key {min(twice)!r} occurs both as a dataset and as an attribute")
            texts = {key: file.attrs[key] for key in _TEXT if key in file.attrs}
            return texts | {key: _array(file, key, path) for key in file}
    except (OSError, RuntimeError, KeyError, MemoryError) as error:
        raise InputError(f"{path} is damaged or not an HDF5 file", hint="download or copy it again") from error


def _array(file: Any, key: str, path: Path) -> Any:
    """A dataset stored in this file itself: a link could expose any other file of the machine."""
    link = file.get(key, getlink=True)
    item = file[key] if isinstance(link, h5py.HardLink) else None
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
        raise InputError(f"{path}: the key {key!r} is not a dataset of this file", expected="the datasets z, R, E, F")
    return item[()]


def to_bytes(frames: FrameArrays) -> bytes:
    """The bytes of the file; in Å and kcal/mol."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["z"], file["R"] = frames.atomic_numbers, frames.positions
        if frames.energies is not None:
            file["E"] = frames.energies
        if frames.forces is not None:
            file["F"] = frames.forces
        file.attrs["name"], file.attrs["theory"] = frames.name, frames.theory
        file.attrs["r_unit"], file.attrs["e_unit"] = "Ang", "kcal/mol"
    return stream.getvalue()
