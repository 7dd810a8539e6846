"""Arguments of `Frames` from the arrays and texts of a file: which key is what, and in which unit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers as NUMBER_OF
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import KCAL_PER_HARTREE, energy_factor, length_factor
from openmm_hybrid.data.formats.labels import GRADIENTS, NAMES, warn_unread

_PUBLISHED = {"z", "R", "E", "F", "nuclear_charges", "coords", "energies", "forces"}  # sGDML's and rMD17's names
_SIMILAR = _PUBLISHED | {"atomic_numbers", "positions"}
_BOHR = "conformations"  # SPICE's name, in bohr; programs write positions of other names in Å
_BOXES = ("cell", "cells", "box", "pbc")
_TEXT = ("name", "theory", "r_unit", "e_unit", "force_r_unit", "type", "layout", "usual_e_unit", "unit_hint")


def frame_arguments(content: Mapping[str, Any], path: Path, r_unit: str, e_unit: str) -> dict[str, Any]:
    """Arguments of `Frames`, in Å and kcal/mol.

    Parameters
    ----------
    content : mapping
        Arrays and texts of a file by their names there. ``usual_e_unit`` and ``unit_hint`` may hold the unit of its
        layout, and what to do if there is none; ``force_r_unit`` the unit of length in forces, if it is their own.
    path : Path
    r_unit, e_unit : str
        Units for a file that names none; empty if they are not given.

    Raises
    ------
    InputError
        A key is missing, stored under two names or of another type; the frames are periodic or of several molecules;
        or the unit of the labels is unknown.
    """
    text = {key: _text(content[key], key) for key in _TEXT if key in content}
    if text.get("type", "d") != "d":
        raise InputError(
            "this is a model or a task of sGDML", expected="a dataset (type 'd')", hint="use sgdml.load for a model"
        )
    if "lattice" in content:
        raise InputError("key 'lattice': the frames are periodic", expected="a molecule in vacuum")
    for key in content:
        if key.lower() in _BOXES and np.any(content[key]):
            raise InputError(f"key {key!r}: the frames are periodic", expected="a molecule in vacuum")
    names = {key: _found(content, key) for key in NAMES}
    for key in ("z", "R"):
        if not names[key]:
            raise InputError(f"key {key!r} is missing", expected=f"{key}, {', '.join(NAMES[key][1:])}")
    length, energy = _units(names, text, path, r_unit, e_unit)
    if "usual_e_unit" not in text:  # the reader of xyz files warns by itself
        warn_unread(path, content.keys() - set(names.values()), energies=bool(names["E"]), forces=bool(names["F"]))
    positions = _reals(content, names["R"])
    single = positions.ndim == 2
    positions = positions[None] if single else positions
    energies = _reals(content, names["E"]) if names["E"] else None
    forces = _reals(content, names["F"]) if names["F"] else None
    if text.get("layout") == "MD17" and not e_unit and energies is not None:
        _warn_unlike_md17(path, content["z"], energies)
    if energies is not None and (energies.ndim == 0 or (energies.ndim == 2 and energies.shape[1] == 1)):
        energies = energies.reshape(-1)
    if forces is not None:
        sign = -1.0 if names["F"].lower() in GRADIENTS else 1.0
        per = length_factor(text["force_r_unit"]) if "force_r_unit" in text else length
        forces = (forces[None] if single and forces.ndim == 2 else forces) * (sign * energy / per)
    return {
        "atomic_numbers": _atomic_numbers(content[names["z"]], names["z"]),
        "positions": positions * length,
        "energies": None if energies is None else energies * energy,
        "forces": forces,
        "name": text.get("name") or path.stem,
        "theory": text.get("theory") or "unknown",
    }


def _found(content: Mapping[str, Any], key: str) -> str:
    """The name that the file has for a key, or an empty text."""
    present = [name for name in content if name.lower() in NAMES[key]]
    if len(present) > 1:
        raise InputError(f"the keys {' and '.join(map(repr, present))} mean the same", hint="keep one of them")
    return present[0] if present else ""


def _units(
    names: Mapping[str, str], text: Mapping[str, str], path: Path, r_unit: str, e_unit: str
) -> tuple[float, float]:
    """One unit of length in Å and one unit of energy in kcal/mol."""
    length_unit = text.get("r_unit") or r_unit or ("" if names["R"].lower() == _BOHR else "Ang")
    if not length_unit:
        raise InputError(f"no unit of length is named for {names['R']!r}", hint='give r_unit, such as r_unit="bohr"')
    labelled, present = bool(names["E"] or names["F"]), {name for name in names.values() if name}
    usual = text.get("usual_e_unit", "kcal/mol" if present <= _SIMILAR else "")
    unit = text.get("e_unit") or e_unit or usual or ("" if labelled else "kcal/mol")
    if not unit:
        hint = text.get("unit_hint") or 'give e_unit, and r_unit for forces per bohr: e_unit="hartree", r_unit="bohr"'
        raise InputError("no unit of energy is named", hint=hint)
    length, energy = length_factor(length_unit), energy_factor(unit)
    if labelled and not (text.get("e_unit") or e_unit or "usual_e_unit" in text or present <= _PUBLISHED):
        warnings.warn(f"{path}: no unit is named; energies are taken as kcal/mol; give e_unit", stacklevel=2)
    for given, named, factor in ((r_unit, "r_unit", length_factor), (e_unit, "e_unit", energy_factor)):
        if given and labelled and text.get(named) and factor(given) != factor(text[named]):
            warnings.warn(
                f"{path}: the file's own {named}={text[named]} is used; {named}={given!r} is ignored", stacklevel=2
            )
    return length, energy


def _warn_unlike_md17(path: Path, atomic_numbers: NDArray[Any], energies: NDArray[np.float64]) -> None:
    """Warn if bare energies cannot be total energies in kcal/mol: about −Z^2.4 / 2 hartree per atom."""
    expected = -0.5 * KCAL_PER_HARTREE * float((np.asarray(atomic_numbers, dtype=np.float64) ** 2.4).sum())
    if not 0.4 < float(np.median(energies)) / expected < 2.5:
        warnings.warn(
            f"{path}: no unit is named; energies and forces are taken as kcal/mol and kcal/mol/Å, as in MD17's files, "
            "but no total energy of this molecule is near them; give e_unit and r_unit",
            stacklevel=3,
        )


def _atomic_numbers(value: Any, key: str) -> NDArray[Any]:
    """Atomic numbers (n_atoms,) from numbers or symbols, for all frames together or the same for each frame."""
    array = np.asarray(value)
    if array.dtype.kind in "SUO":
        symbols = [item.decode(errors="replace") if isinstance(item, bytes) else item for item in array.ravel()]
        unknown = [symbol for symbol in symbols if not isinstance(symbol, str) or symbol not in NUMBER_OF]
        if unknown:
            raise InputError(f"key {key!r} holds {str(unknown[0])[:20]!r}", expected="atomic numbers or symbols")
        array = np.array([NUMBER_OF[symbol] for symbol in symbols]).reshape(array.shape)
    if array.dtype.kind not in "iu":
        raise InputError(f"key {key!r} has the type {array.dtype}", expected="atomic numbers, as integers")
    if array.ndim == 2 and len(array):
        if (array != array[0]).any():
            raise InputError(f"key {key!r} holds other atoms for other frames", expected="frames of one molecule")
        array = array[0]
    if array.size and (array.min() < 1 or array.max() > 118):
        raise InputError(f"key {key!r} holds what is no atomic number", expected="integers from 1 to 118")
    return array


def _reals(content: Mapping[str, Any], key: str) -> NDArray[np.float64]:
    array = np.asarray(content[key])
    if array.dtype.kind not in "iuf":
        raise InputError(f"key {key!r} has the type {array.dtype}", expected="real numbers")
    return array.astype(np.float64)


def _text(value: Any, key: str) -> str:
    """A text stored as bytes or str, alone or in an array of one element."""
    array = np.asarray(value)
    item = array.reshape(-1)[0] if array.size == 1 and array.dtype.kind in "SUO" else None
    if not isinstance(item, bytes | str):
        raise InputError(f"key {key!r} is not a string")
    return item.decode(errors="replace") if isinstance(item, bytes) else str(item)
