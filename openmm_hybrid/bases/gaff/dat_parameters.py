"""GAFF's parameter tables in AMBER's text formats: the published gaff-*.dat files and parmchk2's frcmod.

Energies as in AMBER, without the factor 1/2: bonds k (r − r₀)², angles k (θ − θ₀)², torsions k (1 + cos(nφ − δ)).
Units: Å, rad, kcal/mol. J. Wang et al., J. Comput. Chem. 25, 1157 (2004).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import permutations
from typing import NamedTuple

from openmm_hybrid.core.errors import InputError, MissingDependencyError

VERSIONS = ("2.2.20", "2.11", "1.81", "1.4", "1.7", "1.8", "2.1")
"""GAFF versions whose tables openmmforcefields contains, the current ones first."""

WILDCARD = "X"


class Harmonic(NamedTuple):
    """Force constant in kcal/mol/Å² or kcal/mol/rad² and equilibrium value in Å or rad."""

    k: float
    equilibrium: float


class Cosine(NamedTuple):
    """One term of a torsion's series: half of the barrier in kcal/mol, periodicity, phase in rad."""

    k: float
    periodicity: int
    phase: float


class LennardJones(NamedTuple):
    """Half of the distance at the minimum in Å, and the well depth in kcal/mol."""

    rmin_half: float
    epsilon: float


class ImproperRule(NamedTuple):
    """An improper as written in the file; its third type belongs to the central atom."""

    types: tuple[str, str, str, str]
    term: Cosine


@dataclass(frozen=True)
class Parameters:
    """Tables of one file. A key is the same for both directions of a term (see the `_key` functions)."""

    masses: dict[str, float]
    lennard_jones: dict[str, LennardJones]
    bonds: dict[tuple[str, ...], Harmonic]
    angles: dict[tuple[str, ...], Harmonic]
    propers: dict[tuple[str, ...], tuple[Cosine, ...]]
    impropers: dict[tuple[str, ...], ImproperRule]
    guesses: tuple[str, ...] = ()
    """Types of angles that parmchk2 made up by a formula, such as "ca-s6-f", since no similar angle is known."""

    def with_extra(self, extra: Parameters) -> Parameters:
        """These tables, overridden and completed by those of `extra`."""
        return Parameters(
            masses=self.masses | extra.masses,
            lennard_jones=self.lennard_jones | extra.lennard_jones,
            bonds=self.bonds | extra.bonds,
            angles=self.angles | extra.angles,
            propers=self.propers | extra.propers,
            impropers=self.impropers | extra.impropers,
            guesses=self.guesses + extra.guesses,
        )

    def bond(self, types: Iterable[str]) -> Harmonic | None:
        """Bond between two types."""
        return self.bonds.get(_chain_key(types))

    def angle(self, types: Iterable[str]) -> Harmonic | None:
        """Angle of three types, with the apex in the middle."""
        return self.angles.get(_chain_key(types))

    def proper(self, types: Iterable[str]) -> tuple[Cosine, ...] | None:
        """Torsion series along four types; an exact match takes precedence over X-j-k-X."""
        i, j, k, m = types
        return self.propers.get(_chain_key((i, j, k, m))) or self.propers.get(_chain_key((WILDCARD, j, k, WILDCARD)))

    def improper(self, centre: str, outer: Iterable[str]) -> ImproperRule | None:
        """Improper around `centre`; the match with the fewest wildcards takes precedence."""
        a, b, c = outer
        choices = [[(a, b, c)], [(WILDCARD, *pair) for pair in ((a, b), (a, c), (b, c))]]
        choices.append([(WILDCARD, WILDCARD, single) for single in (a, b, c)])
        for keys in choices:
            for key in keys:
                rule = self.impropers.get(_improper_key(centre, key))
                if rule:
                    return rule
        return None


def order_improper(rule: ImproperRule, centre: int, outer: Iterable[int], types: tuple[str, ...]) -> tuple[int, ...]:
    """The four atoms of an improper in the order that LEaP uses for its dihedral angle.

    The central atom is third. The others are ordered as their types in the line of the parameter file. Atoms that match
    the same types are sorted by the names of their types, then by index. (Derived from LEaP's prmtop files, and tested
    on them.)
    """
    first, second, _, fourth = rule.types
    fits = [
        atoms
        for atoms in permutations(outer)
        if all(want in (WILDCARD, types[atom]) for want, atom in zip((first, second, fourth), atoms, strict=True))
    ]
    a, b, d = min(fits, key=lambda atoms: [(types[atom], atom) for atom in atoms])
    return (a, b, centre, d)


@cache
def load_gaff(version: str) -> Parameters:
    """Tables of a GAFF version, from the copy of AMBER's gaff-<version>.dat in openmmforcefields.

    Raises
    ------
    InputError
        There is no GAFF of this version.
    MissingDependencyError
        openmmforcefields is not installed.
    """
    return read_dat(gaff_dat(version))


def gaff_dat(version: str) -> str:
    """Text of gaff-<version>.dat. Errors are those of `load_gaff`."""
    if version not in VERSIONS:
        raise InputError(f"unknown GAFF version {version!r}", expected=f"one of {', '.join(map(repr, VERSIONS))}")
    try:
        package = files("openmmforcefields")
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "openmmforcefields is not installed", hint="pip install openmmforcefields"
        ) from None
    return (package / "ffxml" / "amber" / "gaff" / "dat" / f"gaff-{version}.dat").read_text(encoding="utf-8")


def read_dat(text: str) -> Parameters:
    """Tables of an AMBER parm.dat file, which has a title and then sections that end with a blank line."""
    lines = [line.rstrip() for line in text.splitlines()[1:]]
    masses, rest = _until_blank(lines)
    bonds, rest = _until_blank(rest[1:])  # the line before the bonds lists hydrophilic types
    angles, rest = _until_blank(rest)
    propers, rest = _until_blank(rest)
    impropers, rest = _until_blank(rest)
    start = next(i for i, line in enumerate(rest) if line.startswith("MOD4"))
    nonbonded, _ = _until_blank(rest[start + 1 :])
    return _tables(masses, bonds, angles, propers, impropers, nonbonded)


def read_frcmod(text: str) -> Parameters:
    """Tables of an frcmod file, which has a title and then named sections."""
    sections: dict[str, list[str]] = {name: [] for name in ("MASS", "BOND", "ANGL", "DIHE", "IMPR", "NONB")}
    current: list[str] = []
    for line in text.splitlines()[1:]:
        if line[:4] in sections:
            current = sections[line[:4]]
        elif line.strip():
            current.append(line.rstrip())
    made_up = [line for line in text.splitlines() if "empirical approach" in line]
    guesses = tuple("-".join(_fields(line, 3, 0)[0]) for line in made_up)
    return replace(_tables(*sections.values()), guesses=guesses)


def _until_blank(lines: list[str]) -> tuple[list[str], list[str]]:
    end = next((i for i, line in enumerate(lines) if not line.strip()), len(lines))
    return lines[:end], lines[end + 1 :]


def _tables(
    masses: list[str],
    bonds: list[str],
    angles: list[str],
    propers: list[str],
    impropers: list[str],
    nonbonded: list[str],
) -> Parameters:
    harmonic_bonds = {}
    for line in bonds:
        types, (k, length) = _fields(line, 2, 2)
        harmonic_bonds[_chain_key(types)] = Harmonic(k, length)
    harmonic_angles = {}
    for line in angles:
        types, (k, degrees) = _fields(line, 3, 2)
        harmonic_angles[_chain_key(types)] = Harmonic(k, math.radians(degrees))
    rules = {}
    for line in impropers:
        types, (k, degrees, periodicity) = _fields(line, 4, 3)
        rule = ImproperRule((types[0], types[1], types[2], types[3]), _cosine(k, degrees, periodicity))
        rules[_improper_key(types[2], (types[0], types[1], types[3]))] = rule
    pairs = {line.split()[0]: [float(word) for word in line.split()[1:3]] for line in nonbonded}
    return Parameters(
        masses={line.split()[0]: float(line.split()[1]) for line in masses},
        lennard_jones={name: LennardJones(rmin_half, epsilon) for name, (rmin_half, epsilon) in pairs.items()},
        bonds=harmonic_bonds,
        angles=harmonic_angles,
        propers=_series(propers),
        impropers=rules,
    )


def _series(lines: list[str]) -> dict[tuple[str, ...], tuple[Cosine, ...]]:
    """Torsion series from lines with one term each; of two terms with equal types and periodicity the first is used.

    That is LEaP's rule. GAFF 2 defines a few torsions twice; the XML files of openmmforcefields keep the last series.
    """
    table: dict[tuple[str, ...], dict[int, Cosine]] = {}
    for line in lines:
        types, (divisor, barrier, degrees, periodicity) = _fields(line, 4, 4)
        term = _cosine(barrier / divisor, degrees, periodicity)
        table.setdefault(_chain_key(types), {}).setdefault(term.periodicity, term)
    return {key: tuple(series.values()) for key, series in table.items()}


def _cosine(k: float, degrees: float, periodicity: float) -> Cosine:
    return Cosine(k, abs(round(periodicity)), math.radians(degrees))


def _fields(line: str, n_types: int, n_numbers: int) -> tuple[tuple[str, ...], list[float]]:
    """Types (columns of two letters, separated by hyphens) and the numbers that follow them."""
    width = 3 * n_types - 1
    types = tuple(line[3 * i : 3 * i + 2].strip() for i in range(n_types))
    numbers = re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)", line[width:])  # a comment may follow without a space
    return types, [float(word) for word in numbers[:n_numbers]]


def _chain_key(types: Iterable[str]) -> tuple[str, ...]:
    forward = tuple(types)
    return min(forward, forward[::-1])


def _improper_key(centre: str, outer: Iterable[str]) -> tuple[str, ...]:
    return (centre, *sorted(outer))
