"""Files of frames: sGDML's npz, extended XYZ and HDF5. `Frames.load` and `Frames.save` call this room.

npz and HDF5 share the layout of sGDML's data sets: ``z`` (n_atoms,), ``R`` (n_frames, n_atoms, 3), ``E``
(n_frames,), ``F`` (n_frames, n_atoms, 3), ``name``, ``theory``, ``r_unit``, ``e_unit`` (arrays without axes in npz,
attributes in HDF5). The key names of rMD17 are read too. A file of this layout that names no units is in sGDML's own,
Å and kcal/mol. Forces are in e_unit/r_unit. For extended XYZ see the module `extxyz`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded, replacing
from openmm_hybrid.core.units import energy_factor, length_factor
from openmm_hybrid.data.formats import extxyz, hdf5, npz
from openmm_hybrid.data.formats.frame_arrays import FrameArrays

#: Key → its names in rMD17's and ASE's files.
_ALIASES = {
    "z": ("nuclear_charges", "atomic_numbers"),
    "R": ("coords", "positions"),
    "E": ("energies",),
    "F": ("forces",),
}
_TEXT = ("name", "theory", "r_unit", "e_unit", "type")
_NPZ, _XYZ, _HDF5 = (".npz",), (".xyz", ".extxyz"), (".h5", ".hdf5")


def check_ending(path: Path) -> None:
    """Check that the ending of a file's name belongs to a format.

    Raises
    ------
    InputError
        It does not.
    """
    endings = (*_NPZ, *_XYZ, *_HDF5)
    if path.suffix.lower() not in endings:
        raise InputError(
            f"{path} is not the name of a file of frames", expected=f"a name that ends in {', '.join(endings)}"
        )


def read_file(path: str | Path, *, r_unit: str = "", e_unit: str = "") -> dict[str, Any]:
    """Read sGDML npz (``.npz``), extended XYZ (``.xyz``, ``.extxyz``) or HDF5 (``.h5``, ``.hdf5``).

    Parameters
    ----------
    path : path
    r_unit, e_unit : str
        Units of length and energy, for a file that names none.

    Returns
    -------
    dict
        Arguments of `Frames`, in Å and kcal/mol.

    Raises
    ------
    InputError
        The file is missing, truncated or corrupt; holds pickled objects, a periodic box, unknown units, one key
        twice, or frames of different atoms. The message names file, key and frame.
    """
    path = expanded(path)
    check_ending(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    ending = path.suffix.lower()
    read = npz.read if ending in _NPZ else hdf5.read if ending in _HDF5 else extxyz.read
    content = read(path)
    # ASE writes extended XYZ in eV, sGDML in kcal/mol: a guess could be wrong by a factor of 23.
    usual = "" if ending in _XYZ and content.keys() & {"E", "F"} else "kcal/mol"
    with naming(path):
        return _arguments(content, path.stem, r_unit or "Ang", e_unit or usual)


def write_file(frames: FrameArrays, path: str | Path) -> Path:
    """Write in the format of the name's ending, whole or not at all. Returns the expanded path.

    Raises
    ------
    InputError
        Unknown ending.
    HybridError
        The file cannot be written; the old file is unchanged.
    """
    path = expanded(path)
    check_ending(path)
    if path.suffix.lower() in _NPZ:
        content = npz.to_bytes(frames)
    elif path.suffix.lower() in _HDF5:
        content = hdf5.to_bytes(frames)
    else:
        content = extxyz.to_bytes(frames)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def _arguments(content: Mapping[str, Any], stem: str, r_unit: str, e_unit: str) -> dict[str, Any]:
    """Arguments of `Frames` in internal units, from the arrays and texts of a file in any unit."""
    content = _renamed(content)
    text = {key: _text(content[key], key) for key in _TEXT if key in content}
    if text.get("type", "d") != "d":
        raise InputError(
            "this is a model or a task of sGDML", expected="a dataset (type 'd')", hint="use sgdml.load for a model"
        )
    if "lattice" in content:
        raise InputError("key 'lattice': the frames are periodic", expected="a molecule in vacuum")
    for key in ("z", "R"):
        if key not in content:
            raise InputError(f"key {key!r} is missing", expected="the keys z, R, E, F of the sGDML layout")
    arrays = {key: _real_array(content[key], key) for key in ("z", "R", "E", "F") if key in content}
    if "E" in arrays and arrays["E"].ndim == 2 and arrays["E"].shape[1] == 1:
        arrays["E"] = arrays["E"][:, 0]
    unit = text.get("e_unit") or e_unit
    if not unit:
        raise InputError("no unit of energy is named", hint="add e_unit=eV to every comment line, or give e_unit")
    length, energy = length_factor(text.get("r_unit") or r_unit), energy_factor(unit)
    return {
        "atomic_numbers": arrays["z"],
        "positions": arrays["R"] * length,
        "energies": arrays["E"] * energy if "E" in arrays else None,
        "forces": arrays["F"] * (energy / length) if "F" in arrays else None,
        "name": text.get("name") or stem,
        "theory": text.get("theory") or "unknown",
    }


def _renamed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content by sGDML's keys."""
    renamed = dict(content)
    for key, aliases in _ALIASES.items():
        present = [name for name in (key, *aliases) if name in content]
        if len(present) > 1:
            raise InputError(f"the keys {' and '.join(map(repr, present))} mean the same", hint="keep one of them")
        if present:
            renamed[key] = renamed.pop(present[0])
    return renamed


def _real_array(value: Any, key: str) -> np.ndarray:
    array = np.asarray(value)
    if key == "z":
        if array.dtype.kind not in "iu":
            raise InputError(f"key 'z' has the type {array.dtype}", expected="atomic numbers, as integers")
        return array
    if array.dtype.kind not in "iuf":
        raise InputError(f"key {key!r} has the type {array.dtype}", expected="real numbers")
    return array.astype(np.float64)


def _text(value: Any, key: str) -> str:
    """A text stored as bytes or str, alone or in an array of one element."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "SUO":
        raise InputError(f"key {key!r} is not a string")
    item = array.reshape(-1)[0]
    return item.decode(errors="replace") if isinstance(item, bytes) else str(item)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before the message of an InputError that the block raises."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{path}: {error.problem}", expected=error.expected, hint=error.hint) from None
