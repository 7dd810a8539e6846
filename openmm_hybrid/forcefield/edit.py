"""Other functional forms in the place of a force field's own, started at the same energies."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.paths import angles as every_angle
from openmm_hybrid.forcefield.paths import chains, pentads, stars
from openmm_hybrid.forcefield.tables import Tables
from openmm_hybrid.forms import CLASSICAL, FORMS, forms_of
from openmm_hybrid.forms.cross import GROUPS, Cross, mirrored
from openmm_hybrid.forms.form import FunctionalForm

CROSS = ("bond", "angle", "torsion", "angle-angle")
"""The kinds of cross terms that ``cross=True`` stands for."""

_WIDTHS = 4.0  # half-width of the first range of a coordinate, in standard deviations of its harmonic term
_TEMPERATURE = 500.0  # K, at which these deviations are computed


def edit(tables: Tables, wanted: Mapping[str, str], cross: bool | Sequence[str], seed: int) -> Tables:
    """Apply `ForceField.edit`; `wanted` maps slots to names of forms."""
    forms = {slot: _form(slot, word) for slot, word in wanted.items() if word != CLASSICAL[slot]}
    kinds = _cross_kinds(cross)
    for slot, (name, form) in forms.items():
        if form.slots[slot] == "replaces":
            tables = _replaced(tables, slot, name, form)
        else:
            tables = _added(_on_every_chain(tables, slot), slot, name, form, seed)
    return _with_cross(tables, kinds) if kinds else tables


def _form(slot: str, word: str) -> tuple[str, FunctionalForm]:
    """Registered name and form of a word such as "fourier6"."""
    known = forms_of(slot)
    match = re.fullmatch(r"([a-z][a-z-]*?)(\d*)", word) if isinstance(word, str) else None
    sized = match is not None and match[1] in known and (not match[2] or FORMS.load(match[1]).size)
    if match is None or not sized:
        near = difflib.get_close_matches(str(word), known, n=1)
        raise InputError(
            f"unknown form {word!r} for {slot}",
            expected=f"one of {', '.join(known)}; fourier6, spline16 and neural24 give their size",
            hint=f"did you mean {near[0]}?" if near else "",
        )
    return match[1], FORMS.load(match[1]).for_slot(slot, int(match[2]) if match[2] else None)


def _cross_kinds(cross: bool | Sequence[str]) -> tuple[str, ...]:
    if isinstance(cross, bool):
        return CROSS if cross else ()
    kinds = (cross,) if isinstance(cross, str) else tuple(cross)
    for kind in kinds:
        if kind not in GROUPS:
            raise InputError(f"unknown kind of cross terms {kind!r}", expected=f"one of {', '.join(GROUPS)}, or True")
    return kinds


def _replaced(tables: Tables, slot: str, name: str, form: FunctionalForm) -> Tables:
    """Another form in a slot, started from the one that is there; propers are then on every chain of bonds."""
    old = tables.in_slot(slot)
    if old is not None and type(old.form) is type(form) and old.form.name == form.name and slot != "propers":
        return tables
    rows = {}
    if old is not None:
        rows = _by_atoms(old.atoms, form.converted(old.form, torch.tensor(tables.values(old))).tolist())
    if slot == "propers":
        (start,) = form.start(1).tolist()
        rows |= {chain: start for chain in chains(tables.bonds) if chain not in rows and chain[::-1] not in rows}
    if not rows:
        return tables
    builder = Builder.of(tables, without=[] if old is None else [old.group])
    builder.add(slot if name == CLASSICAL[slot] else f"{slot}.{name}", form, rows)
    return builder.finish()


def _on_every_chain(tables: Tables, slot: str) -> Tables:
    """The classical propers on every chain of bonds, those without a barrier too; other slots as they are."""
    if slot != "propers":
        return tables
    old = tables.in_slot(slot)
    name = CLASSICAL[slot]
    return _replaced(tables, slot, name, FORMS.load(name).for_slot(slot) if old is None else old.form)


def _added(tables: Tables, slot: str, name: str, form: FunctionalForm, seed: int) -> Tables:
    """A form beside the classical terms of a slot, at zero."""
    carrier = tables.in_slot(slot)
    if carrier is None:
        return tables
    # Terms that share the classical row share the new one, and its start.
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


def _with_cross(tables: Tables, kinds: Iterable[str]) -> Tables:
    """Cross terms of these kinds, at zero."""
    bonds = tables.bonds
    members = {
        "bond": [tuple(bond) for bond in bonds.tolist()],
        "angle": every_angle(bonds),
        "torsion": chains(bonds),
        "angle-angle": stars(bonds),
        "torsion-torsion": pentads(bonds),
    }
    ranges = _ranges(tables)
    builder = Builder.of(tables)
    for kind in kinds:
        form = Cross(kind)
        (start,) = form.start(1).tolist()
        rows = {}
        for atoms in members[kind]:
            row = list(start)
            for lower, upper, number in form.ranges:
                coordinate = form.coordinates[number]
                row[lower], row[upper] = ranges[_key(coordinate.kind, atoms, coordinate.indices)]
            rows[atoms] = row
        builder.add_tied(f"cross.{kind}", form, rows, mirrored(kind))
    return builder.finish()


Key = tuple[str, tuple[int, ...]]
"""Kind and atoms of a coordinate, the atoms in the smaller of the two directions."""


def _key(kind: str, atoms: Sequence[int], indices: Sequence[int]) -> Key:
    chosen = tuple(atoms[index] for index in indices)
    return kind, min(chosen, chosen[::-1])


class _Ranges(dict[Key, tuple[float, float]]):
    """Ranges by coordinate, with an error that names a coordinate without a classical term."""

    def __missing__(self, key: Key) -> tuple[float, float]:
        kind, atoms = key
        raise MismatchError(
            f"the {kind} of atoms {'-'.join(map(str, atoms))} has no classical term",
            expected="a bond or angle term for every bond and angle of the molecule",
            hint="build the System with constraints=None",
        )


def _ranges(tables: Tables) -> _Ranges:
    """Expected ranges of distances and angles by their classical terms: a start until a fit knows its frames."""
    found = _Ranges()
    for terms in tables.terms:
        stiff = terms.form.harmonic(torch.tensor(tables.values(terms)))
        if stiff is None:
            continue
        k, q0 = (part.numpy() for part in stiff)
        width = _WIDTHS * np.sqrt(BOLTZMANN * _TEMPERATURE / np.maximum(k, 1.0))
        coordinate = terms.form.coordinates[0]
        for atoms, low, high in zip(terms.atoms.tolist(), q0 - width, q0 + width, strict=True):
            found[_key(coordinate.kind, atoms, coordinate.indices)] = (float(low), float(high))
    return found


def _by_atoms(atoms: np.ndarray, rows: Sequence[Sequence[float]]) -> dict[tuple[int, ...], Sequence[float]]:
    return {tuple(term): row for term, row in zip(atoms.tolist(), rows, strict=True)}
