"""Files of frames: sGDML's npz, extended XYZ and HDF5. `Frames.load` and `Frames.save` call this room.

npz and HDF5 share the layout of sGDML's data sets: ``z`` (n_atoms,), ``R`` (n_frames, n_atoms, 3), ``E``
(n_frames,), ``F`` (n_frames, n_atoms, 3), ``name``, ``theory``, ``r_unit``, ``e_unit`` (arrays without axes in npz,
attributes in HDF5). Usual names of other programs are read too, and gradients as minus the forces. A file with the
names of sGDML or rMD17 that names no units is in their own, Å and kcal/mol; other files must name the unit of their
labels. Forces are in e_unit/r_unit. For extended XYZ see the module `extxyz`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded, replacing
from openmm_hybrid.data.formats import extxyz, hdf5, npz
from openmm_hybrid.data.formats.arguments import frame_arguments
from openmm_hybrid.data.formats.frame_arrays import FrameArrays

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


def read_file(path: str | Path, *, r_unit: str = "", e_unit: str = "", group: str = "") -> dict[str, Any]:
    """Read sGDML npz (``.npz``), extended XYZ (``.xyz``, ``.extxyz``) or HDF5 (``.h5``, ``.hdf5``).

    Parameters
    ----------
    path : path
    r_unit, e_unit : str
        Units of length and energy, for a file that names none.
    group : str
        Group of an HDF5 file with a group for each molecule.

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
    if group and ending not in _HDF5:
        raise InputError(f"{path} has no groups", expected="an HDF5 file", hint="leave out group")
    if ending in _HDF5:
        content = hdf5.read(path, group)
    else:
        content = npz.read(path) if ending in _NPZ else extxyz.read(path)
    with naming(path):
        return frame_arguments(content, path, r_unit, e_unit)


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


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before the message of an InputError that the block raises."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{path}: {error.problem}", expected=error.expected, hint=error.hint) from None
