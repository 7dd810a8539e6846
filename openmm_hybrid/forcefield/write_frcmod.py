"""Writing a force field of classical forms as an AMBER frcmod: K = k/2, degrees, one line per periodicity, Rmin/2.

AMBER finds parameters by atom types. Where atoms of one GAFF type have different parameters, we split the type, first
by the classes of equivalent atoms and, where these are not enough, by atom.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from itertools import combinations, product
from pathlib import Path
from string import ascii_lowercase, digits
from typing import Any, NamedTuple

from openmm import app, unit

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import replacing
from openmm_hybrid.core.units import DEGREE_PER_RADIAN
from openmm_hybrid.forcefield.builder import graph_classes
from openmm_hybrid.forcefield.classical_terms import Atoms, Classical, Cosine, classical
from openmm_hybrid.forcefield.paths import angles as every_angle
from openmm_hybrid.forcefield.paths import chains, neighbours
from openmm_hybrid.forcefield.tables import Tables

_HALF_RMIN = 2.0 ** (1.0 / 6.0) / 2.0  # half the distance of the minimum, relative to σ
_NEW = [first + second for first, second in product("zyxwvu", digits + ascii_lowercase)]  # types that GAFF does not use
_TITLES = {"bond": "BOND", "angle": "ANGLE", "proper": "DIHE", "improper": "IMPROPER", "atom": "NONBON"}


class _Line(NamedTuple):
    """One or more lines of a section, for the types of some atoms."""

    section: str
    atoms: Atoms
    value: tuple[Any, ...]  # numbers, or cosines


def write_frcmod(forcefield: Tables, path: str | Path, types: Sequence[str] | None = None) -> tuple[str, ...]:
    """See `ForceField.to_frcmod`."""
    given = tuple(forcefield.types if types is None else types)
    if len(given) != len(forcefield.atomic_numbers) or not all(0 < len(kind) <= 2 for kind in given):
        raise InputError(
            f"{len(given)} types such as {max(given, key=len, default='')!r} were given",
            expected=f"the GAFF types of {len(forcefield.atomic_numbers)} atoms, of one or two characters",
            hint="give types=gs.atom_types, or read the System with them",
        )
    tables = classical(forcefield)
    if tables.morse:
        raise MismatchError(
            "AMBER has no Morse bonds",
            expected="harmonic bonds",
            hint="write an OpenMM file with to_ffxml, or edit(bonds='harmonic') and fit again",
        )
    lines = list(_lines(forcefield, tables))
    new = _split(forcefield, given, lines)
    text = "\n".join(_text(forcefield, tables, new, lines)) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="ascii", errors="replace")
    return new


def _lines(forcefield: Tables, tables: Classical) -> Iterator[_Line]:
    """All terms of the molecule, including those of zero energy, where LEaP would otherwise use GAFF's own."""
    for atom in range(len(forcefield.atomic_numbers)):
        yield _Line("atom", (atom,), (float(tables.sigmas[atom]), float(tables.epsilons[atom])))
    for i, j in sorted(tuple(sorted(bond)) for bond in forcefield.bonds.tolist()):
        yield _Line("bond", (i, j), _present(tables.bonds.get((i, j)), (i, j)))
    for atoms in every_angle(forcefield.bonds):
        yield _Line("angle", atoms, _present(tables.angles.get(atoms), atoms))
    for atoms in chains(forcefield.bonds):
        yield _Line("proper", atoms, tables.propers.get(atoms, ()))
    seen = set()
    bonded = neighbours(forcefield.bonds)
    for atoms, cosines in tables.impropers.items():
        if not set(atoms) - {atoms[2]} <= set(bonded[atoms[2]]):
            raise MismatchError(
                f"the improper of atoms {'-'.join(map(str, atoms))} has its central atom first, as in OpenFF",
                expected="GAFF's impropers: AMBER has one for each centre, OpenFF three",
                hint="write OpenMM's XML instead (to_ffxml)",
            )
        seen.add(frozenset(atoms))
        yield _Line("improper", atoms, cosines)
    for centre, around in bonded.items():
        for a, b, d in combinations(around, 3):
            if len(around) == 3 and frozenset((centre, a, b, d)) not in seen:
                yield _Line("improper", (a, b, centre, d), ())


def _present(value: tuple[float, ...] | None, atoms: Atoms) -> tuple[float, ...]:
    if value is None:
        raise MismatchError(
            f"atoms {'-'.join(map(str, atoms))} have no {'bond' if len(atoms) == 2 else 'angle'} term",
            expected="a harmonic term for every bond and angle of the molecule",
            hint="build the System with constraints=None",
        )
    return value


def _split(forcefield: Tables, given: Sequence[str], lines: Sequence[_Line]) -> tuple[str, ...]:
    """Types (n_atoms,) for which no two lines contradict each other."""
    classes = graph_classes(forcefield.atomic_numbers, forcefield.bonds)
    finer = [
        [kind, f"{kind}/{group}", f"{kind}/{atom}"]
        for atom, (kind, group) in enumerate(zip(given, classes, strict=True))
    ]
    level = [0] * len(given)
    while True:
        labels = [finer[atom][level[atom]] for atom in range(len(given))]
        wrong = _contradicting(lines, labels)
        if not wrong:
            return _named(given, labels)
        lowest = min(level[atom] for atom in wrong)
        if lowest == 2:
            raise MismatchError(
                f"the impropers of atoms {'-'.join(map(str, sorted(wrong)))} cannot be written",
                expected="one order of the atoms around each centre",
            )
        kinds = {given[atom] for atom in wrong if level[atom] == lowest}
        level = [depth + (kind in kinds and depth == lowest) for depth, kind in zip(level, given, strict=True)]


def _contradicting(lines: Sequence[_Line], labels: Sequence[str]) -> set[int]:
    """Atoms of lines with equal types and different values, or with an order of atoms that LEaP would change."""
    known: dict[Hashable, _Line] = {}  # the first line of each key
    wrong: set[int] = set()
    for line in lines:
        kinds = tuple(labels[atom] for atom in line.atoms)
        value = line.value
        if line.section == "improper":
            value = (*line.value, kinds) if line.value else ()
            outer = [(kind, atom) for kind, atom in zip(kinds, line.atoms, strict=True) if atom != line.atoms[2]]
            if line.value and any(p[0] == q[0] and p[1] > q[1] for p, q in combinations(outer, 2)):
                wrong.update(line.atoms)  # LEaP orders outer atoms of one type by index
        first = known.setdefault(_key(line.section, kinds), line._replace(value=value))
        if first.value != value:
            wrong.update(line.atoms, first.atoms)
    return wrong


def _key(section: str, kinds: tuple[str, ...]) -> Hashable:
    """LEaP's key of a line: types in either direction, or the centre of an improper and the types around it."""
    if section == "improper":
        a, b, centre, d = kinds
        return section, centre, *sorted((a, b, d))
    return section, *min(kinds, kinds[::-1])


def _named(given: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """The given type for the first label of each type, new ones for the others."""
    names: dict[str, str] = {}
    fresh = iter(name for name in _NEW if name not in given)
    for kind, label in zip(given, labels, strict=True):
        if label not in names:
            name = next(fresh, "") if kind in names.values() else kind
            if not name:
                raise InputError(f"there are more than {len(_NEW)} new types", expected="a smaller molecule")
            names[label] = name
    return tuple(names[label] for label in labels)


def _text(forcefield: Tables, tables: Classical, types: Sequence[str], lines: Sequence[_Line]) -> Iterator[str]:
    written = dict.fromkeys(types)
    yield f"{forcefield.name}, refitted; types {' '.join(types)}"
    yield "MASS"
    for kind in written:
        element = app.Element.getByAtomicNumber(int(forcefield.atomic_numbers[types.index(kind)]))
        yield f"{kind:<2} {element.mass.value_in_unit(unit.dalton):.4f}"
    scaling = f"  SCEE={tables.scee:g} SCNB={tables.scnb:g}"
    for section, title in _TITLES.items():
        yield ""
        yield title
        known: set[Hashable] = set()
        for line in lines:
            kinds = tuple(types[atom] for atom in line.atoms)
            if line.section == section and _key(section, kinds) not in known:
                known.add(_key(section, kinds))
                yield from _written(section, "-".join(f"{kind:<2}" for kind in kinds), line.value, scaling)
    yield ""


def _written(section: str, types: str, value: tuple[Any, ...], scaling: str) -> Iterator[str]:
    """The lines of one term."""
    if section in ("proper", "improper"):
        yield from _series(section == "proper", types, value, scaling)
        return
    first, second = value
    if section == "atom":
        yield f"  {types} {first * _HALF_RMIN:16.10f} {second:16.10f}"
    else:
        equilibrium = second if section == "bond" else second * DEGREE_PER_RADIAN
        yield f"{types} {0.5 * first:18.10f} {equilibrium:18.10f}"


def _series(proper: bool, types: str, cosines: tuple[Cosine, ...], scaling: str) -> Iterator[str]:
    """One line for each cosine, or a line without a barrier where there is no cosine."""
    series = cosines or (Cosine(2, math.pi, 0.0),)
    for count, (n, phase, k) in enumerate(series, 1):
        sign = "-" if proper and count < len(series) else ""  # another line of a proper's series follows
        text = f"{k:16.10f} {phase * DEGREE_PER_RADIAN:16.10f} {sign}{n}.0"
        yield f"{types}   1 {text}{scaling}" if proper else f"{types} {text}"
