"""Reading a force field from an OpenMM System of one molecule."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import openmm
from openmm import app, unit

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.units import ANGSTROM_PER_NM, KCAL_PER_KJ
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.inner_pairs import Pair, Row, add_inner, pairs_by_bonds
from openmm_hybrid.forcefield.tables import Outer, Tables
from openmm_hybrid.forms.fourier import Fourier
from openmm_hybrid.forms.harmonic import Harmonic
from openmm_hybrid.forms.morse import Morse
from openmm_hybrid.forms.nonbonded import Coulomb, LennardJones
from openmm_hybrid.models.openmm_forces import terms_of

_PER_AREA = KCAL_PER_KJ / ANGSTROM_PER_NM**2
_ROUNDING = 1e-6  # of scales, which are quotients of stored products
_MORSE = re.compile(r"(\w+)\*\(1-exp\(-(\w+)\*\(r-(\w+)\)\)\)\^2")
#: Forces without an energy.
_IGNORED = (openmm.CMMotionRemover, openmm.AndersenThermostat)


def read_system(
    system: openmm.System, topology: app.Topology, *, types: Sequence[str] | None = None, name: str = "molecule"
) -> Tables:
    """See `ForceField.from_system`."""
    _check(system, topology)
    raw = _collect(system)
    elements = np.array([atom.element.atomic_number if atom.element else 0 for atom in topology.atoms()])
    # Bonds of the topology take precedence: CHARMM's Urey-Bradley terms are harmonic bonds across an angle.
    bonds: set[tuple[int, ...]]
    bonds = {_sorted(first.index, second.index) for first, second in topology.bonds()} or raw.graph
    builder = Builder(elements, sorted(bonds), types=types, name=name)
    builder.add("bonds", Harmonic("distance"), raw.bonds)
    builder.add("bonds.morse", Morse(), raw.morse)
    builder.add("angles", Harmonic("angle"), raw.angles)
    propers, impropers = _torsions(raw.torsions, bonds)
    for group, series in (("propers", propers), ("impropers", impropers)):
        order = max((n for cosines in series.values() for n, _, _ in cosines), default=0)
        if order:
            sine = any(abs(np.sin(phase)) > 1e-4 for cosines in series.values() for _, phase, _ in cosines)
            rows = {atoms: _series(cosines, order, sine) for atoms, cosines in series.items()}
            builder.add(group, Fourier(order, sine=sine), rows)
    if raw.nonbonded is not None:
        _add_pairs(builder, raw.nonbonded)
    return builder.finish()


@dataclass(frozen=True)
class _Raw:
    """Terms of the forces in Å, rad and kcal/mol, with atoms in the order of the force."""

    bonds: dict[tuple[int, ...], tuple[float, ...]]  # k, r0
    morse: dict[tuple[int, ...], tuple[float, ...]]  # D, a, r0
    angles: dict[tuple[int, ...], tuple[float, ...]]  # k, theta0
    torsions: dict[tuple[int, ...], list[tuple[int, float, float]]]  # n, phase, k
    graph: set[tuple[int, ...]]
    nonbonded: openmm.NonbondedForce | None


def _check(system: openmm.System, topology: app.Topology) -> None:
    if system.getNumParticles() != topology.getNumAtoms():
        raise MismatchError(
            f"the System has {system.getNumParticles()} particles, the topology {topology.getNumAtoms()} atoms",
            expected="the topology that the System was made from",
        )
    if system.usesPeriodicBoundaryConditions():
        raise MismatchError(
            "the System is periodic",
            expected="one molecule in vacuum without a cutoff",
            hint="read the molecule alone, and put the result into the box with oh.replace",
        )
    if system.getNumConstraints():
        warnings.warn(
            f"the System has {system.getNumConstraints()} constraints: these bonds are flexible in the force field, "
            "and those without a harmonic term are missing from it; build the System with constraints=None",
            stacklevel=4,
        )


def _collect(system: openmm.System) -> _Raw:
    raw = _Raw(bonds={}, morse={}, angles={}, torsions={}, graph=set(), nonbonded=None)
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            for (i, j), (r0, k) in terms_of(force):
                raw.graph.add(_sorted(i, j))
                if k != 0.0:  # k = 0 only marks a bond, so that OpenMM finds the molecule
                    _put(raw.bonds, (i, j), (k * _PER_AREA, r0 * ANGSTROM_PER_NM), force)
        elif isinstance(force, openmm.HarmonicAngleForce):
            for atoms, (theta0, k) in terms_of(force):
                _put(raw.angles, atoms, (k * KCAL_PER_KJ, theta0), force)
        elif isinstance(force, openmm.PeriodicTorsionForce):
            for atoms, (n, phase, k) in terms_of(force):
                raw.torsions.setdefault(min(atoms, atoms[::-1]), []).append((n, phase, k * KCAL_PER_KJ))
        elif isinstance(force, openmm.CustomBondForce):
            for i, j, row in morse_bonds(force):
                raw.graph.add(_sorted(i, j))
                _put(raw.morse, (i, j), row, force)
        elif isinstance(force, openmm.NonbondedForce):
            if raw.nonbonded is not None:
                raise _unreadable(force, "it is the second one")
            raw = _Raw(raw.bonds, raw.morse, raw.angles, raw.torsions, raw.graph, force)
        elif not isinstance(force, _IGNORED):
            raise _unreadable(force, "this kind of force cannot be read")
    return raw


def _parameters(force: openmm.Force, count: int, get: object) -> Iterator[tuple]:
    for index in range(count):
        yield tuple(item._value if unit.is_quantity(item) else item for item in get(index))  # type: ignore[operator]


def _put(
    terms: dict[tuple[int, ...], tuple[float, ...]], atoms: tuple[int, ...], row: tuple[float, ...], force: openmm.Force
) -> None:
    if atoms in terms or atoms[::-1] in terms:
        raise _unreadable(force, f"atoms {'-'.join(map(str, atoms))} have two terms")
    terms[atoms] = row


def is_morse(force: openmm.CustomBondForce) -> bool:
    """Whether a force's expression is D*(1-exp(-a*(r-r0)))^2, with any names."""
    return _MORSE.fullmatch(force.getEnergyFunction().replace(" ", "")) is not None


def morse_bonds(force: openmm.CustomBondForce) -> Iterator[tuple[int, int, tuple[float, ...]]]:
    """Atoms of each bond of a force for which `is_morse` is true, with D (kcal/mol), a (1/Å) and r₀ (Å)."""
    match = _MORSE.fullmatch(force.getEnergyFunction().replace(" ", ""))
    if match is None:
        raise _unreadable(force, f"its energy {force.getEnergyFunction()!r} is not D*(1-exp(-a*(r-r0)))^2")
    columns = [force.getPerBondParameterName(k) for k in range(force.getNumPerBondParameters())]
    common = {
        force.getGlobalParameterName(k): force.getGlobalParameterDefaultValue(k)
        for k in range(force.getNumGlobalParameters())
    }
    for (i, j), (row,) in terms_of(force):
        known = {**common, **dict(zip(columns, row, strict=True))}
        depth, a, r0 = (known[name] for name in match.groups())
        yield i, j, (depth * KCAL_PER_KJ, a / ANGSTROM_PER_NM, r0 * ANGSTROM_PER_NM)


def _torsions(
    torsions: dict[tuple[int, ...], list[tuple[int, float, float]]], bonds: set[tuple[int, ...]]
) -> tuple[dict, dict]:
    """Propers, whose atoms are a chain of bonds, and impropers, which are all others."""
    propers = {
        atoms: cosines
        for atoms, cosines in torsions.items()
        if all(_sorted(*pair) in bonds for pair in pairwise(atoms))
    }
    return propers, {atoms: cosines for atoms, cosines in torsions.items() if atoms not in propers}


def _series(cosines: Sequence[tuple[int, float, float]], order: int, sine: bool) -> tuple[float, ...]:
    """c₀, c₁ …, s₁ … of Σ k (1 + cos(nφ − δ))."""
    row = np.zeros(1 + 2 * order)
    for n, phase, k in cosines:
        row[0] += k
        if sine:
            row[n] += k * np.cos(phase)
            row[order + n] += k * np.sin(phase)
        else:
            row[n] += k * np.sign(np.cos(phase))
    return tuple(row if sine else row[: order + 1])


def _add_pairs(builder: Builder, force: openmm.NonbondedForce) -> None:
    if force.getNonbondedMethod() != openmm.NonbondedForce.NoCutoff:
        raise _unreadable(force, "it has a cutoff")
    if force.getNumParticleParameterOffsets() or force.getNumExceptionParameterOffsets():
        raise _unreadable(force, "it has parameter offsets")
    particles = np.array(
        list(_parameters(force, force.getNumParticles(), force.getParticleParameters)), dtype=np.float64
    )
    outer = Outer(particles[:, 0], particles[:, 1] * ANGSTROM_PER_NM, particles[:, 2] * KCAL_PER_KJ)
    special: dict[Pair, Row] = {}
    for i, j, product, sigma, epsilon in _parameters(force, force.getNumExceptions(), force.getExceptionParameters):
        special[_sorted(i, j)] = product, sigma * ANGSTROM_PER_NM, epsilon * KCAL_PER_KJ
    by_atoms = {pair: _by_atoms(outer, pair) for pair in combinations(range(len(particles)), 2)}
    excluded, near = pairs_by_bonds(builder.bonds)
    if _are_inner(special, by_atoms, excluded | near):
        rows = {pair: special.get(pair, usual) for pair, usual in by_atoms.items()}
        # A pair of atoms without charges and wells has no interaction either, but it is not excluded.
        add_inner(
            builder,
            outer,
            {
                pair: row
                for pair, row in rows.items()
                if _interacts(row) or not (pair in excluded or _interacts(by_atoms[pair]))
            },
        )
        return
    scales: dict[Pair, tuple[float | None, float | None]]
    scales = dict.fromkeys(by_atoms, (1.0, 1.0))
    for pair, (product, _, epsilon) in special.items():
        # Without a charge or a well the scale is unknown here, but it matters once a fit gives the atoms one.
        usual, _, well = by_atoms[pair]
        scales[pair] = product / usual if usual else None, epsilon / well if well else None
    found = _settled(scales)
    builder.add_charges(Coulomb(), outer.charges, {pair: scale for pair, (scale, _) in found.items()})
    roots = np.sqrt(outer.epsilons)
    builder.add_wells(LennardJones(), outer.sigmas, roots, {pair: scale for pair, (_, scale) in found.items()})


def _by_atoms(outer: Outer, pair: Pair) -> Row:
    """Charge product, σ and ε of a pair without an exception."""
    i, j = pair
    sigma, epsilon = 0.5 * (outer.sigmas[i] + outer.sigmas[j]), np.sqrt(outer.epsilons[i]) * np.sqrt(outer.epsilons[j])
    return float(outer.charges[i] * outer.charges[j]), float(sigma), float(epsilon)


def _are_inner(special: dict[Pair, Row], by_atoms: dict[Pair, Row], close: frozenset[Pair]) -> bool:
    """Whether the exceptions are pairs with parameters of their own rather than scaled ones of their atoms.

    Then some pair more than three bonds apart has an exception that is no exclusion, or the exception of a pair has a σ
    of its own, an interaction that its atoms do not have, or a scale that is not between 0 and 1. `close` are the pairs
    up to three bonds apart.
    """
    for pair, (product, sigma, epsilon) in special.items():
        usual, mean, well = by_atoms[pair]
        if _interacts(special[pair]) and pair not in close:
            return True
        if epsilon and not np.isclose(sigma, mean, rtol=1e-9):
            return True
        if not (_is_scaled(product, usual) and _is_scaled(epsilon, well)):
            return True
    return False


def _interacts(row: Row) -> bool:
    return row[0] != 0.0 or row[2] != 0.0


def _is_scaled(value: float, usual: float) -> bool:
    """Whether a value is the usual one with a scale between 0 and 1."""
    return -_ROUNDING <= value / usual <= 1.0 + _ROUNDING if usual else not value


def _settled(
    scales: dict[tuple[int, int], tuple[float | None, float | None]],
) -> dict[tuple[int, int], tuple[float, float]]:
    """Pairs that are not excluded, with both scales.

    A scale that is None becomes 0 where the other scale is 0, and otherwise the scale of the other scaled pairs. An
    atom with excluded pairs only (the carbon of methanol) keeps one pair with the scale 0, so that its charge and well
    stay in the force field.
    """
    partial = [scale for scale in scales.values() if scale != (1.0, 1.0) and any(scale)]
    usual = [next((scale[k] for scale in partial if scale[k]), 1.0) for k in (0, 1)]
    known = {}
    for pair, scale in scales.items():
        excluded = not any(scale)
        filled = [usual[k] if scale[k] is None else scale[k] for k in (0, 1)]
        known[pair] = (0.0, 0.0) if excluded else (filled[0] or 0.0, filled[1] or 0.0)
    kept = {pair: scale for pair, scale in known.items() if any(scale)}
    seen = {atom for pair in kept for atom in pair}
    for pair in known:
        if not seen.issuperset(pair):
            kept[pair] = known[pair]
            seen.update(pair)
    return {pair: kept[pair] for pair in known if pair in kept}


def _sorted(i: int, j: int) -> tuple[int, int]:
    return (i, j) if i < j else (j, i)


def _unreadable(force: openmm.Force, why: str) -> MismatchError:
    label = force.getName()
    kind = type(force).__name__
    return MismatchError(
        f"{kind}{'' if label == kind else f' {label!r}'} cannot be read: {why}",
        expected="harmonic bonds and angles, Morse bonds, periodic torsions, Coulomb and Lennard-Jones with no cutoff",
        hint="remove this force from the System, and attach it again after the fit",
    )
