"""Force-field files: one npz of plain arrays with a JSON description, exact to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.versioned_npz import Arrays, NpzFormat, reading, write
from openmm_hybrid.forcefield.parameters import Parameters
from openmm_hybrid.forcefield.straight_angles import warn_of_straight_dihedrals
from openmm_hybrid.forcefield.tables import Outer, Tables
from openmm_hybrid.forcefield.terms import Terms
from openmm_hybrid.forms import FORMS
from openmm_hybrid.forms.form import FunctionalForm

FORMAT: NpzFormat = NpzFormat("openmm-hybrid force field", version=1, what="a force field")


def save(forcefield: Tables, path: str | Path, notes: Mapping[str, Any] | None = None) -> Path:
    """Write a force field with `notes` (JSON-ready content). See `ForceField.save`."""
    description, arrays = to_arrays(forcefield)
    return write(path, FORMAT, description | {"notes": dict(notes or {})}, arrays)


def load(path: str | Path) -> Tables:
    """Read a force field from a file. See `ForceField.load`."""
    return read(path)[0]


def read(path: str | Path) -> tuple[Tables, dict[str, Any]]:
    """Read a force field and its notes from a file.

    Raises
    ------
    InputError
        The file is missing, damaged, not a force field, of a newer version, or contradicts itself; or a form in it
        comes from a package that is not installed.
    """
    with reading(path, FORMAT) as (description, arrays):
        return from_arrays(description, arrays), dict(description["notes"])


def to_arrays(forcefield: Tables) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The force field as a JSON-ready description and plain arrays; `from_arrays` reads them.

    Raises
    ------
    InputError
        A form is not registered, so that no file can name it.
    """
    parameters = forcefield.parameters
    description = {
        "name": forcefield.name,
        "types": forcefield.types,
        "parameters": {"names": parameters.names, "units": parameters.units},
        "terms": [{"group": terms.group, "form": _described(terms.form)} for terms in forcefield.terms],
    }
    arrays: dict[str, NDArray[Any]] = {
        "numbers": forcefield.atomic_numbers,
        "bonds": forcefield.bonds,
        "values": parameters.values,
        "lower": parameters.lower,
        "upper": parameters.upper,
        "fitted": parameters.fitted,
    }
    if forcefield.outer is not None:
        outer = forcefield.outer
        arrays["outer"] = np.column_stack([outer.charges, outer.sigmas, outer.epsilons])
    for index, terms in enumerate(forcefield.terms):
        arrays[f"atoms_{index}"] = terms.atoms
        arrays[f"assignment_{index}"] = terms.assignment
    return description, arrays


def from_arrays(description: Mapping[str, Any], arrays: Arrays) -> Tables:
    """The force field of a description and arrays that `to_arrays` made.

    Raises
    ------
    InputError
        An array is missing or of another shape, indices are out of range, or names are not unique.

    Warns
    -----
    UserWarning
        A dihedral term goes through a straight angle.
    """
    names = tuple(description["parameters"]["names"])
    atomic_numbers = arrays.integers("numbers", (None,))
    parameters = Parameters(
        names=names,
        units=tuple(description["parameters"]["units"]),
        values=arrays.floats("values", (len(names),)),
        lower=arrays.floats("lower", (len(names),)),
        upper=arrays.floats("upper", (len(names),)),
        fitted=arrays.flags("fitted", (len(names),)),
    )
    if len(set(names)) != len(names) or len(parameters.units) != len(names) or not np.isfinite(parameters.values).all():
        raise InputError(
            "its parameters contradict each other", expected="unique names, one unit each, and finite values"
        )
    all_terms = []
    for index, entry in enumerate(description["terms"]):
        form = FORMS.load(entry["form"]["family"])(**entry["form"]["settings"])
        atoms = arrays.integers(f"atoms_{index}", (None, form.n_atoms), len(atomic_numbers))
        assignment = arrays.integers(f"assignment_{index}", (len(atoms), len(form.columns)), len(names))
        _check_columns(str(entry["group"]), form, {names[k] for k in np.unique(assignment).tolist()})
        all_terms.append(Terms(str(entry["group"]), form, atoms, assignment))
    types = tuple(map(str, description["types"]))
    if len(types) != len(atomic_numbers) or len({terms.group for terms in all_terms}) != len(all_terms):
        raise InputError(
            "its types or groups contradict each other", expected="one type per atom, and unique names of groups"
        )
    bonds = arrays.integers("bonds", (None, 2), len(atomic_numbers))
    outer = _outer(arrays, len(types)) if "outer" in arrays else None
    tables = Tables(atomic_numbers, bonds, types, parameters, tuple(all_terms), str(description["name"]), outer)
    warn_of_straight_dihedrals(tables)
    return tables


def _check_columns(group: str, form: FunctionalForm, names: set[str]) -> None:
    """Refuse parameters of other columns than the form's, since their values would have another meaning."""
    other = {name.rpartition("/")[2] for name in names} - {column.name for column in form.columns}
    if other:
        raise InputError(
            f"the terms {group!r} have a parameter {min(other)!r}, which the form {form.name!r} does not have",
            expected="a file of this version of openmm-hybrid",
            hint="make the force field again with ForceField.edit and oh.fit",
        )


def _outer(arrays: Arrays, n_atoms: int) -> Outer:
    charges, sigmas, epsilons = columns = arrays.floats("outer", (n_atoms, 3)).T.copy()
    if not np.isfinite(columns).all() or (columns[1:] < 0.0).any():
        raise InputError("an outer parameter is impossible", expected="finite charges, and σ and ε of zero or more")
    return Outer(charges, sigmas, epsilons)


def _described(form: FunctionalForm) -> dict[str, Any]:
    for family in FORMS.names():
        if FORMS.load(family) is type(form):
            return {"family": family, "settings": form.settings()}
    raise InputError(
        f"the form {form.name!r} is not registered",
        expected="a form that a file can name",
        hint=f"register its class in the entry-point group {FORMS.group!r}",
    )
