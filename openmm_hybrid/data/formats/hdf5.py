"""HDF5 files of geometries, in the layout of sGDML's npz or, with a group for each molecule, of SPICE's.

The attribute ``units`` of a dataset names its unit, as in SPICE's layout; it counts more than the file's ``r_unit`` and
``e_unit``.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import h5py

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import DAMAGE, check_expansion
from openmm_hybrid.core.trial import run_python
from openmm_hybrid.core.units import ENERGY_UNITS
from openmm_hybrid.data.formats.frame_arrays import FrameArrays
from openmm_hybrid.data.formats.labels import KEYS, NAMES

#: Attributes that are read.
_TEXT = ("name", "theory", "r_unit", "e_unit", "type")
_MANY_TEXTS = 1000
_TRIAL_SECONDS = 15
_TRIAL_BYTES = 2**31
_TRIAL = """
import sys
import h5py
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[3]), int(sys.argv[3])))  # even if the caller is gone
except (ImportError, ValueError, OSError):
    pass

def walk(node, depth):
    for key in node.attrs:
        node.attrs[key]
    for key in node:
        if not isinstance(node.get(key, getlink=True), h5py.HardLink):
            continue
        item = node[key]
        if isinstance(item, h5py.Group):
            if depth < 2:
                walk(item, depth + 1)
            continue
        for name in item.attrs:
            item.attrs[name]
        if item.is_virtual or item.external or item.nbytes > 100 * item.id.get_storage_size() + 64_000_000:
            continue
        item[:1] if item.ndim else item[()]

try:
    with h5py.File(sys.argv[2], "r") as file:
        walk(file, 0)
except MemoryError:
    sys.exit("it needs too much memory")
except Exception:
    pass
print("tried")
"""


def read(path: Path, group: str = "") -> dict[str, Any]:
    """All datasets, and the layout's texts among the attributes, by their keys.

    Parameters
    ----------
    path : Path
    group : str
        Group to read, for a file with a group for each molecule.

    Raises
    ------
    InputError
        Damaged, a key twice, a link out of the file, another unit than its neighbours, or several molecules and no
        group.
    """
    _try(path)
    try:
        with h5py.File(path, "r") as file:
            node = _node(file, group, path)
            twice = set(node) & set(node.attrs)
            if twice:
                raise InputError(f"{path}: the key {min(twice)!r} occurs both as a dataset and as an attribute")
            texts = {key: node.attrs[key] for key in _TEXT if key in node.attrs}
            named = {} if node.name == "/" else {"name": node.name.strip("/")}
            return named | texts | _units(node, path) | {key: _array(node, key, path) for key in _keys(node)}
    except DAMAGE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged or not an HDF5 file", hint="download or copy it again") from error


def _try(path: Path) -> None:
    """Read the attributes and the first rows of a file in a process of its own, where libhdf5 may loop or crash.

    HDF5 has no checksums by default, and libhdf5 never returns from some damaged files.
    """
    size = path.stat().st_size
    if not sys.executable:
        return
    seconds = _TRIAL_SECONDS + size // 20_000_000
    ended = run_python(_TRIAL, str(_TRIAL_BYTES + 3 * size), str(path), str(seconds), time_limit=seconds)
    if "tried" not in ended.output and "could not be started" not in ended.problem:
        raise InputError(f"{path} is damaged or not an HDF5 file ({ended.problem})", hint="download or copy it again")


def _node(file: h5py.File, group: str, path: Path) -> Any:
    """The group of the molecule: the file itself, if it holds any dataset."""
    groups = [key for key in file if _is_group(file, key)]
    if group:
        if group not in groups:
            raise InputError(f"{path} has no group {group!r}", expected=f"one of {', '.join(groups[:8]) or 'none'}")
        return file[group]
    if not groups or len(groups) < len(file):
        return file
    if len(groups) > 1:
        raise InputError(
            f"{path} holds {len(groups)} groups, one for each molecule ({', '.join(groups[:3])}, …)",
            expected="one molecule",
            hint=f"choose one: Frames.load(path, group={groups[0]!r})",
        )
    return file[groups[0]]


def _is_group(node: Any, key: str) -> bool:
    return isinstance(node.get(key, getlink=True), h5py.HardLink) and node.get(key, getclass=True) is h5py.Group


def _keys(node: Any) -> list[str]:
    """The datasets to read; of SPICE's many, those of atoms, geometries, energies and forces."""
    if node.name == "/":
        return list(node)
    return [
        key for key in node if key.lower() in KEYS or any(word in key.lower() for word in ("energ", "forc", "grad"))
    ]


def _units(node: Any, path: Path) -> dict[str, str]:
    """The units that the datasets' own attributes name; forces have their own unit of length."""
    found: dict[str, str] = {}
    for key in node:
        parts = _parts(key)
        if not parts or not isinstance(node.get(key, getlink=True), h5py.HardLink):
            continue
        stated = node[key].attrs.get("units")
        text = stated.decode(errors="replace") if isinstance(stated, bytes) else stated
        if not isinstance(text, str):
            continue
        has_length = len(parts) == 2 and "/" in text and text.lower() not in ENERGY_UNITS
        units = text.rsplit("/", 1) if has_length else [text]
        for name, unit in zip(parts, units, strict=False):
            if unit.strip() and found.setdefault(name, unit) != unit:
                raise InputError(f"{path}: {key!r} is in {text}, others in {found[name]}", hint="convert one")
    return found


def _parts(key: str) -> tuple[str, ...]:
    """The units that a dataset's own unit consists of; none for atomic numbers and unknown datasets."""
    parts = {"R": ("r_unit",), "E": ("e_unit",), "F": ("e_unit", "force_r_unit")}
    return next((parts[kind] for kind in parts if key.lower() in NAMES[kind]), ())


def _array(node: Any, key: str, path: Path) -> Any:
    """A dataset stored in this file itself: a link could expose any other file of the machine."""
    link = node.get(key, getlink=True)
    item = node[key] if isinstance(link, h5py.HardLink) else None
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
        raise InputError(f"{path}: the key {key!r} is not a dataset of this file", expected="the datasets z, R, E, F")
    if item.dtype.hasobject and item.size > _MANY_TEXTS:  # all may point to the same long text
        raise InputError(f"{path}: the key {key!r} holds {item.size} texts", expected=f"at most {_MANY_TEXTS}")
    check_expansion(item.nbytes, item.id.get_storage_size(), f"{path}: the dataset {key!r}")
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
