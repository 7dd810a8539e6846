"""Editing the functional forms of a force field, starting from the same energies."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csgraph

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.inner_pairs import has_both, with_inner
from openmm_hybrid.forcefield.paths import PATHS, chains
from openmm_hybrid.forcefield.straight_angles import has_straight_dihedral, is_straight, straight_angles
from openmm_hybrid.forcefield.tables import Tables
from openmm_hybrid.forms import CLASSICAL, FORMS, forms_of
from openmm_hybrid.forms.cross import GROUPS, Cross, mirrored
from openmm_hybrid.forms.form import DIHEDRAL, FunctionalForm

_WIDTHS = 4.0  # half-width of the first range of a coordinate, in standard deviations of its harmonic term
_TEMPERATURE = 500.0  # K, for these standard deviations


def edit(
    tables: Tables, wanted: Mapping[str, str | None], pairs: str | None, cross: bool | Sequence[str], seed: int
) -> Tables:
    """Apply `ForceField.edit`; `wanted` maps slots to names of forms, or to None for the present form."""
    tables = _with_pairs(tables, pairs, cross is True)
    bonds = tables.in_slot("bonds")
    if cross is True and wanted["bonds"] is None and (bonds is None or bonds.form.name == CLASSICAL["bonds"]):
        wanted = {**wanted, "bonds": "morse"}
    forms = {slot: _form(slot, word) for slot, word in wanted.items() if word is not None}
    kinds = _cross_kinds(cross)
    for slot, (name, form) in forms.items():
        old = tables.in_slot(slot)
        present = FORMS.load(CLASSICAL[slot]) if old is None else type(old.form)
        if wanted[slot] == name and present is type(form):
            continue  # without a number after the name, any size of this form will do
        if form.slots[slot] == "replaces":
            tables = _replaced(tables, slot, name, form if old is None else form.in_place_of(old.form))
        else:
            tables = _added(_on_every_chain(tables, slot), slot, name, form, seed)
    return _with_cross(tables, kinds) if kinds else tables


def _with_pairs(tables: Tables, pairs: str | None, inner_by_default: bool) -> Tables:
    """The tables with inner pairs if these are wanted."""
    if pairs not in (None, "atoms", "inner"):
        raise InputError(f"unknown form {pairs!r} for pairs", expected="'atoms' or 'inner'")
    if pairs == "atoms" and tables.outer is not None:
        raise MismatchError(
            "the pairs of this force field have parameters of their own",
            expected="charges and Lennard-Jones parameters of its atoms, to keep them",
            hint="read the base force field again with ForceField.from_system",
        )
    if pairs == "inner" or (pairs is None and inner_by_default and has_both(tables)):
        return with_inner(tables)
    return tables


def _form(slot: str, word: str) -> tuple[str, FunctionalForm]:
    """Registered name and form of a word such as "fourier6"."""
    known = forms_of(slot)
    if word in known:
        return word, FORMS.load(word).for_slot(slot)
    match = re.fullmatch(r"(.*?)(\d+)", word) if isinstance(word, str) else None
    if match is None or match[1] not in known or not FORMS.load(match[1]).size:
        near = difflib.get_close_matches(str(word), known, n=1)
        raise InputError(
            f"unknown form {word!r} for {slot}",
            expected=f"one of {', '.join(known)}; fourier6, spline16 and neural24 give their size",
            hint=f"did you mean {near[0]}?" if near else "",
        )
    return match[1], FORMS.load(match[1]).for_slot(slot, int(match[2]))


def _cross_kinds(cross: bool | Sequence[str]) -> tuple[str, ...]:
    if isinstance(cross, bool):
        return tuple(GROUPS) if cross else ()
    kinds = (cross,) if isinstance(cross, str) else tuple(dict.fromkeys(cross))
    for kind in kinds:
        if kind not in GROUPS:
            raise InputError(f"unknown kind of cross terms {kind!r}", expected=f"one of {', '.join(GROUPS)}, or True")
    return kinds


def _replaced(tables: Tables, slot: str, name: str, form: FunctionalForm) -> Tables:
    """The tables with another form in a slot, started from the present one. Propers cover all chains of bonds then."""
    old = tables.in_slot(slot)
    if slot != "propers" and old is not None and _equal(old.form, form):
        return tables
    rows = {}
    if old is not None:
        rows = _by_atoms(old.atoms, form.converted(old.form, torch.tensor(tables.values(old))).tolist())
    if slot == "propers":
        (start,) = form.start(1).tolist()
        straight = straight_angles(tables)
        rows |= {
            chain: start
            for chain in chains(tables.bonds)
            if chain not in rows and chain[::-1] not in rows and not has_straight_dihedral(form, chain, straight)
        }
    if not rows:
        return tables
    builder = Builder.of(tables, without=[] if old is None else [old.group])
    builder.add(slot if name == CLASSICAL[slot] else f"{slot}.{name}", form, rows)
    return builder.finish()


def _equal(form: FunctionalForm, other: FunctionalForm) -> bool:
    return type(form) is type(other) and form.settings() == other.settings()


def _on_every_chain(tables: Tables, slot: str) -> Tables:
    """The tables with a proper on every chain of bonds, where the slot is that of propers."""
    if slot != "propers":
        return tables
    old = tables.in_slot(slot)
    name = CLASSICAL[slot]
    return _replaced(tables, slot, name, FORMS.load(name).for_slot(slot) if old is None else old.form)


def _added(tables: Tables, slot: str, name: str, form: FunctionalForm, seed: int) -> Tables:
    """The tables with a form of zero energy added to the classical terms of a slot, except those of straight angles.

    A function of an angle with a slope at 180° has forces that jump there.
    """
    carrier = tables.in_slot(slot)
    if carrier is None:
        return tables
    if f"{slot}.{name}" in tables.groups:
        raise InputError(
            f"{tables.name!r} has terms {slot}.{name} already, of the form {tables.group(f'{slot}.{name}').form.name}",
            expected=f"a form for {slot} that it lacks",
            hint=f"leave {slot} out to keep the present terms; for another size edit the force field without them",
        )
    straight = straight_angles(tables)
    bent = [
        not any(is_straight(coordinate, atoms, straight) for coordinate in form.coordinates)
        for atoms in carrier.atoms.tolist()
    ]
    carrier = replace(carrier, atoms=carrier.atoms[bent], assignment=carrier.assignment[bent])
    if not len(carrier):
        return tables
    # Terms that share their classical parameters share the new ones, and their start.
    _, row = np.unique(carrier.assignment[:, 0], return_inverse=True)
    values = form.start(int(row.max()) + 1, seed=seed).numpy()[row]
    if form.ranges:
        ranges = _ranges(tables)
        for lower, upper, number in form.ranges:
            coordinate = form.coordinates[number]
            ends = [ranges[_key(coordinate.kind, atoms, coordinate.indices)] for atoms in carrier.atoms.tolist()]
            values[:, [lower, upper]] = ends
    builder = Builder.of(tables)
    builder.add(f"{slot}.{name}", form, _by_atoms(carrier.atoms, values.tolist()))
    return builder.finish()


def _with_cross(tables: Tables, kinds: Sequence[str]) -> Tables:
    """The tables with cross terms of these kinds and zero energy."""
    present = [kind for kind in kinds if f"cross.{kind}" in tables.groups]
    if present:
        lacking = [kind for kind in GROUPS if f"cross.{kind}" not in tables.groups]
        raise InputError(
            f"{tables.name!r} has cross terms of the kind {present[0]!r} already",
            expected=f"kinds that it lacks ({', '.join(lacking) or 'none'})",
            hint="name these in cross=[…], or leave cross out to keep the present terms",
        )
    ranges = _ranges(tables)
    shortest, longest = _reaches(tables, ranges)
    straight = straight_angles(tables)
    builder = Builder.of(tables)
    for kind in kinds:
        form, group = Cross(kind), GROUPS[kind]
        (start,) = form.start(1).tolist()
        rows = {}
        for atoms in PATHS[group.path](tables.bonds):
            if group.path == "chains" and is_straight(DIHEDRAL, atoms, straight) != group.straight:
                continue
            row = list(start)
            for lower, upper, number in form.ranges:
                first, last = (atoms[index] for index in form.coordinates[number].indices)
                row[lower], row[upper] = float(shortest[first, last]), float(longest[first, last])
            rows[atoms] = row
        builder.add_tied(f"cross.{kind}", form, rows, mirrored(kind))
    return builder.finish()


Key = tuple[str, tuple[int, ...]]
"""Kind and atoms of a coordinate, with the atoms in the smaller of both directions."""


def _key(kind: str, atoms: Sequence[int], indices: Sequence[int]) -> Key:
    chosen = tuple(atoms[index] for index in indices)
    return kind, min(chosen, chosen[::-1])


class _Ranges(dict[Key, tuple[float, float]]):
    """Ranges by coordinate. The error for a missing one names it."""

    def __missing__(self, key: Key) -> tuple[float, float]:
        kind, atoms = key
        raise MismatchError(
            f"the {kind} of atoms {'-'.join(map(str, atoms))} has no classical term",
            expected="a bond or angle term for every bond and angle of the molecule",
            hint="build the System with constraints=None",
        )


def _ranges(tables: Tables) -> _Ranges:
    """Ranges of distances and angles that their classical terms allow; the first fit replaces them."""
    found = _Ranges()
    for terms in tables.terms:
        stiff = terms.form.harmonic(torch.tensor(tables.values(terms)))
        if stiff is None:
            continue
        k, q0 = (part.numpy() for part in stiff)
        width = _WIDTHS * np.sqrt(BOLTZMANN * _TEMPERATURE / np.maximum(k, 1.0))
        coordinate = terms.form.coordinates[0]
        for atoms, low, high in zip(terms.atoms.tolist(), q0 - width, q0 + width, strict=True):
            key = _key(coordinate.kind, atoms, coordinate.indices)
            found[key] = float(low), float(high)
    return found


def _reaches(tables: Tables, ranges: _Ranges) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First ranges of all distances, (n_atoms, n_atoms) each, Å.

    They are those of the bonds, and from half to all of the length of the shortest path of bonds between other atoms.
    """
    n_atoms = len(tables.atomic_numbers)
    lower, upper = np.zeros((n_atoms, n_atoms)), np.zeros((n_atoms, n_atoms))
    for bond in tables.bonds.tolist():
        lower[*bond], upper[*bond] = ranges[_key("distance", bond, (0, 1))]
    shortest, longest = (csgraph.shortest_path(part, directed=False) for part in (lower, upper))
    return np.where((lower + lower.T) > 0.0, shortest, 0.5 * shortest), longest


def _by_atoms(atoms: np.ndarray, rows: Sequence[Sequence[float]]) -> dict[tuple[int, ...], Sequence[float]]:
    return {tuple(term): row for term, row in zip(atoms.tolist(), rows, strict=True)}
