"""Force-field files: one npz of plain arrays with a JSON description, exact to the last bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid import __version__
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import reading_npz, replacing
from openmm_hybrid.forcefield.parameters import Parameters
from openmm_hybrid.forcefield.tables import Tables
from openmm_hybrid.forcefield.terms import Terms
from openmm_hybrid.forms import FORMS
from openmm_hybrid.forms.form import FunctionalForm

FORMAT, VERSION = "openmm-hybrid force field", 1


def save(forcefield: Tables, path: str | Path, notes: Mapping[str, Any] | None = None) -> Path:
    """Write a force field with `notes` (what JSON can hold). See `ForceField.save`."""
    path = Path(path)
    if path.suffix != ".npz":
        raise InputError(f"a force field cannot be written to {path}", expected="a name that ends in .npz")
    description = {
        "format": FORMAT,
        "version": VERSION,
        "written_by": f"openmm-hybrid {__version__}",
        "name": forcefield.name,
        "types": forcefield.types,
        "parameters": {"names": forcefield.parameters.names, "units": forcefield.parameters.units},
        "terms": [{"group": terms.group, "form": _described(terms.form)} for terms in forcefield.terms],
        "notes": dict(notes or {}),
    }
    try:
        text = json.dumps(description, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the notes cannot be written as JSON ({error})", expected="texts, finite numbers, lists, mappings"
        ) from error
    arrays: dict[str, NDArray[Any]] = {
        "description": np.array(text),
        "numbers": forcefield.atomic_numbers,
        "bonds": forcefield.bonds,
        "values": forcefield.parameters.values,
        "lower": forcefield.parameters.lower,
        "upper": forcefield.parameters.upper,
        "fitted": forcefield.parameters.fitted,
    }
    for number, terms in enumerate(forcefield.terms):
        arrays[f"atoms_{number}"] = terms.atoms
        arrays[f"assignment_{number}"] = terms.assignment
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
    return path


def load(path: str | Path) -> Tables:
    """The force field in a file. See `ForceField.load`."""
    return read(path)[0]


def read(path: str | Path) -> tuple[Tables, dict[str, Any]]:
    """The force field in a file, and its notes.

    Raises
    ------
    InputError
        The file is missing, damaged, no force field, of a newer version, or contradicts itself; a form in it comes
        from a package that is not installed.
    """
    with reading_npz(path, "a force field") as archive:
        description = _description(archive)
        return _forcefield(description, archive), dict(description["notes"])


def _described(form: FunctionalForm) -> dict[str, Any]:
    for family in FORMS.names():
        if FORMS.load(family) is type(form):
            return {"family": family, "settings": form.settings()}
    raise InputError(
        f"the form {form.name!r} is not registered",
        expected="a form that a file can name",
        hint=f"announce its class in the entry-point group {FORMS.group!r}",
    )


def _description(archive: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The JSON text, of this format and a version that is known."""
    text = archive["description"] if "description" in archive else np.array(0)
    known = json.loads(text.item()) if text.dtype.kind == "U" and text.ndim == 0 else {}
    if not isinstance(known, dict) or known.get("format") != FORMAT:
        kind = (
            "an sGDML file (oh.sgdml.load reads models)" if "perms" in archive or "type" in archive else "another file"
        )
        raise InputError(f"this is {kind}", expected="a force field that ForceField.save wrote")
    if not isinstance(known["version"], int) or known["version"] > VERSION:
        raise InputError(
            f"version {known['version']} of the format, by {known.get('written_by', 'an unknown program')}",
            expected=f"version {VERSION}",
            hint="update openmm-hybrid",
        )
    return known


def _forcefield(description: Mapping[str, Any], archive: Mapping[str, NDArray[Any]]) -> Tables:
    names = tuple(description["parameters"]["names"])
    numbers = _integers(archive, "numbers", (None,))
    parameters = Parameters(
        names=names,
        units=tuple(description["parameters"]["units"]),
        values=_floats(archive, "values", len(names)),
        lower=_floats(archive, "lower", len(names)),
        upper=_floats(archive, "upper", len(names)),
        fitted=_checked(archive, "fitted", "b", (len(names),)).astype(np.bool_),
    )
    if len(set(names)) != len(names) or len(parameters.units) != len(names) or not np.isfinite(parameters.values).all():
        raise InputError(
            "its parameters contradict each other", expected="names that differ, a unit each, finite values"
        )
    terms = []
    for number, entry in enumerate(description["terms"]):
        form = FORMS.load(entry["form"]["family"])(**entry["form"]["settings"])
        atoms = _integers(archive, f"atoms_{number}", (None, form.n_atoms), len(numbers))
        places = _integers(archive, f"assignment_{number}", (len(atoms), len(form.columns)), len(names))
        terms.append(Terms(str(entry["group"]), form, atoms, places))
    types = tuple(map(str, description["types"]))
    if len(types) != len(numbers) or len({each.group for each in terms}) != len(terms):
        raise InputError("its types or groups contradict each other", expected="a type an atom, groups that differ")
    bonds = _integers(archive, "bonds", (None, 2), len(numbers))
    return Tables(numbers, bonds, types, parameters, tuple(terms), str(description["name"]))


def _checked(archive: Mapping[str, NDArray[Any]], name: str, kinds: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """An entry with its kind and shape (None: any length)."""
    array = archive[name]
    fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
    if array.dtype.kind not in kinds or not fits:
        raise InputError(f"{name!r} is {array.dtype} of shape {array.shape}", expected="what ForceField.save writes")
    return array


def _floats(archive: Mapping[str, NDArray[Any]], name: str, length: int) -> NDArray[np.float64]:
    return _checked(archive, name, "f", (length,)).astype(np.float64)


def _integers(
    archive: Mapping[str, NDArray[Any]], name: str, shape: tuple[int | None, ...], below: int = 2**31
) -> NDArray[np.int64]:
    array = _checked(archive, name, "iu", shape).astype(np.int64)
    if array.size and (array.min() < 0 or array.max() >= below):
        raise InputError(f"{name!r} has an index out of range", expected=f"0 to {below - 1}")
    return array
