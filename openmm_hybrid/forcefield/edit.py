"""Other functional forms in the place of a force field's own, started at the same energies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.paths import angles as every_angle
from openmm_hybrid.forcefield.paths import chains, pentads, stars
from openmm_hybrid.forms.cross import Cross, mirrored
from openmm_hybrid.forms.form import FunctionalForm
from openmm_hybrid.forms.fourier import Fourier
from openmm_hybrid.forms.morse import Morse
from openmm_hybrid.forms.neural import Neural
from openmm_hybrid.forms.spline import Spline

CROSS = ("bond", "angle", "chain", "star")
"""The kinds of cross terms that ``cross=True`` stands for."""

_KINDS = {"bonds": "distance", "angles": "angle", "propers": "dihedral", "impropers": "dihedral"}
_ALLOWED = {
    "bonds": ("harmonic", "morse", "spline", "neural"),
    "angles": ("harmonic", "spline", "neural"),
    "propers": ("fourier", "spline", "neural"),
    "impropers": ("fourier", "spline", "neural"),
}
_WIDTHS = 4.0  # standard deviations of a harmonic coordinate in its first range
_TEMPERATURE = 500.0  # at which these are taken, K


def edit(forcefield: ForceField, wanted: Mapping[str, str], cross: bool | Sequence[str], seed: int) -> ForceField:
    """See `ForceField.edit`; `wanted` are its forms by group."""
    forms = {group: _parse(group, word) for group, word in wanted.items()}
    kinds = _cross_kinds(cross)
    for group, (name, size) in forms.items():
        if name == "morse":
            forcefield = _with_morse(forcefield)
        elif name == "fourier" and size:
            forcefield = _with_order(forcefield, group, size)
        elif name in ("spline", "neural"):
            if group == "propers":
                forcefield = _with_order(forcefield, group, 0)
            forcefield = _with_added(forcefield, group, name, size, seed)
    return _with_cross(forcefield, kinds) if kinds else forcefield


def _parse(group: str, word: str) -> tuple[str, int]:
    """Name and size (0 where none is given) of a form such as "fourier6"."""
    match = re.fullmatch(r"([a-z]+)(\d*)", word) if isinstance(word, str) else None
    sized = match is not None and (not match[2] or match[1] in ("fourier", "spline", "neural"))
    if match is None or match[1] not in _ALLOWED[group] or not sized:
        raise InputError(
            f"unknown form {word!r} for {group}",
            expected=f"one of {', '.join(_ALLOWED[group])}; fourier6, spline16 and neural24 say their size",
        )
    return match[1], int(match[2] or 0)


def _cross_kinds(cross: bool | Sequence[str]) -> tuple[str, ...]:
    if isinstance(cross, bool):
        return CROSS if cross else ()
    kinds = (cross,) if isinstance(cross, str) else tuple(cross)
    known = (*CROSS, "torsions")
    for kind in kinds:
        if kind not in known:
            raise InputError(f"unknown kind of cross terms {kind!r}", expected=f"one of {', '.join(known)}, or True")
    return tuple(dict.fromkeys(kinds))


def _with_morse(forcefield: ForceField) -> ForceField:
    """Harmonic bonds as Morse bonds of the same curvature."""
    if "bonds" not in forcefield.groups:
        return forcefield  # Morse already
    harmonic = forcefield.group("bonds")
    values = torch.tensor(forcefield.parameters.values[harmonic.assignment])
    rows = Morse.from_harmonic(values[:, 0], values[:, 1]).tolist()
    builder = Builder.of(forcefield, without=["bonds"])
    builder.add("bonds.morse", Morse(), _by_atoms(harmonic.atoms, rows))
    return builder.finish()


def _with_order(forcefield: ForceField, group: str, order: int) -> ForceField:
    """A longer Fourier series (0: as long as it is); propers on every chain of bonds, those without a barrier too."""
    if group in forcefield.groups:
        old = forcefield.group(group)
        if not isinstance(old.form, Fourier):
            raise MismatchError(f"the {group} are {old.form.name}", expected="a Fourier series")
        if order and order < old.form.order:
            raise InputError(f"{group}='fourier{order}' is shorter than the present order {old.form.order}")
        order, sine = max(order, old.form.order), old.form.sine
        series = {
            tuple(atoms): _longer(forcefield.parameters.values[places], old.form, order)
            for atoms, places in zip(old.atoms.tolist(), old.assignment, strict=True)
        }
    elif group == "propers":
        order, sine, series = order or 3, False, {}
    else:
        return forcefield
    form = Fourier(order, sine=sine)
    if group == "propers":
        for chain in chains(forcefield.bonds):
            if chain not in series and chain[::-1] not in series:
                series[chain] = [0.0] * len(form.columns)
    builder = Builder.of(forcefield, without=[group])
    builder.add(group, form, series)
    return builder.finish()


def _longer(values: np.ndarray, form: Fourier, order: int) -> list[float]:
    more = np.zeros(order - form.order)
    parts = np.split(values, [1, 1 + form.order])
    return np.concatenate([parts[0], parts[1], more, *([parts[2], more] if form.sine else [])]).tolist()


def _with_added(forcefield: ForceField, group: str, name: str, size: int, seed: int) -> ForceField:
    """A spline or a network beside the classical terms of a group, at zero."""
    classical = group if group in forcefield.groups else f"{group}.morse"
    if classical not in forcefield.groups:
        return forcefield
    kind = _KINDS[group]
    form: FunctionalForm
    if name == "spline":
        form = Spline(kind, pieces=size) if size else Spline(kind)
    else:
        form = Neural(kind, hidden=size) if size else Neural(kind)
    atoms = forcefield.group(classical).atoms
    labels = forcefield.group(classical).assignment[:, 0]
    # One start for each type: terms that share the classical row share the network.
    _, row = np.unique(labels, return_inverse=True)
    start = form.start(int(row.max()) + 1, seed=seed) if isinstance(form, Neural) else form.start(int(row.max()) + 1)
    values = start.numpy()[row]
    if kind != "dihedral":
        ranges = _ranges(forcefield)
        values[:, :2] = [ranges[kind, min(each, each[::-1])] for each in map(tuple, atoms.tolist())]
    builder = Builder.of(forcefield)
    builder.add(f"{group}.{name}", form, _by_atoms(atoms, values.tolist()))
    return builder.finish()


def _with_cross(forcefield: ForceField, kinds: Iterable[str]) -> ForceField:
    """Cross terms of these kinds, at zero."""
    bonds = forcefield.bonds
    places = {
        "bond": [tuple(bond) for bond in bonds.tolist()],
        "angle": every_angle(bonds),
        "chain": chains(bonds),
        "star": stars(bonds),
        "torsions": pentads(bonds),
    }
    ranges = _ranges(forcefield)
    builder = Builder.of(forcefield)
    for kind in kinds:
        form = Cross(kind)
        (start,) = form.start(1).tolist()
        rows = {}
        for atoms in places[kind]:
            ends: list[float] = []
            for coordinate in form.coordinates:
                if coordinate.kind != "dihedral":
                    own = tuple(atoms[place] for place in coordinate.places)
                    ends += ranges[coordinate.kind, min(own, own[::-1])]
            rows[atoms] = [*ends, *start[len(ends) :]]
        builder.add_tied(f"cross.{kind}", form, rows, mirrored(kind))
    return builder.finish()


class _Ranges(dict[tuple[str, tuple[int, ...]], tuple[float, float]]):
    """Ranges by kind and atoms, with an error that names what has no classical term."""

    def __missing__(self, key: tuple[str, tuple[int, ...]]) -> tuple[float, float]:
        kind, atoms = key
        raise MismatchError(
            f"the {kind} of atoms {'-'.join(map(str, atoms))} has no classical term",
            expected="a bond or angle term for every bond and angle of the molecule",
            hint="build the System with constraints=None",
        )


def _ranges(forcefield: ForceField) -> _Ranges:
    """Where distances and angles can be expected, by their harmonic terms: a start until a fit knows its frames."""
    found = _Ranges()
    for terms in forcefield.terms:
        values = forcefield.parameters.values[terms.assignment]
        if terms.form.name == "harmonic":
            k, q0 = values[:, 0], values[:, 1]
        elif terms.form.name == "morse":
            k, q0 = 2.0 * values[:, 0] * values[:, 1] ** 2, values[:, 2]
        else:
            continue
        width = _WIDTHS * np.sqrt(BOLTZMANN * _TEMPERATURE / np.maximum(k, 1.0))
        kind = terms.form.coordinates[0].kind
        for atoms, low, high in zip(terms.atoms.tolist(), q0 - width, q0 + width, strict=True):
            found[kind, min(tuple(atoms), tuple(atoms[::-1]))] = (float(low), float(high))
    return found


def _by_atoms(atoms: np.ndarray, rows: Sequence[Sequence[float]]) -> dict[tuple[int, ...], Sequence[float]]:
    return {tuple(each): row for each, row in zip(atoms.tolist(), rows, strict=True)}
