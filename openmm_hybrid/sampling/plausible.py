"""Plausibility of numbers without a unit, and of the timestep for the bonds of a System."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import openmm
from openmm import unit

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import ANGSTROM_PER_NM, KJ_PER_KCAL, strip
from openmm_hybrid.forcefield.read_system import is_morse, morse_bonds
from openmm_hybrid.models.openmm_forces import terms_of
from openmm_hybrid.sampling.input_checks import real, temperature_per_start
from openmm_hybrid.sampling.structure import Structure

SHORTEST, LONGEST = 0.05, 10.0
"""Range of a timestep without a unit, fs; molecular dynamics of atoms uses 0.1 to 5 fs."""

UNSTABLE = 2.0
"""Timestep times angular frequency of a bond at which leapfrog integrators, LFMiddle too, become unstable."""

COARSE = 1.5
"""The same product above which `sample` warns: 4 fs with heavy hydrogens and constrained bonds reaches 1.4."""

_COLD, _HOT = 100.0, 5000.0  # temperatures without a unit outside which `sample` warns, K
_WEAK, _STRONG = 0.01, 1000.0  # frictions without a unit outside which `sample` warns, 1/ps
_LONG = 1e6  # duration without a unit above which `sample` warns, ps


def timestep_fs(value: Any) -> float:
    """A timestep in fs from a number in fs or a Quantity.

    Raises
    ------
    InputError
        It is not a positive number, or a number without a unit that is likely to be in other units.
    """
    fs = real("timestep", strip(value, "time"), above=0.0)
    if _has_unit(value) or SHORTEST <= fs <= LONGEST:
        return fs
    if fs < SHORTEST:
        meant = f"{fs:g} ps is {1e3 * fs:g} fs: give {1e3 * fs:g}, or a Quantity for a timestep as short as {fs:g} fs"
    else:
        meant = f"give a Quantity for a timestep as long as {fs:g} fs"
    raise InputError(
        f"the timestep is {fs:g} fs (a number without a unit is in fs)",
        expected=f"{SHORTEST:g} to {LONGEST:g} fs, usually 0.5 to 2 fs",
        hint=meant,
    )


def duration_ps(value: Any) -> Any:
    """A duration, unchanged; warns of a number without a unit that is likely to be in fs.

    Warns
    -----
    UserWarning
        The number, in ps, is above a microsecond.
    """
    if value is not None and not _has_unit(value) and real("duration", value, above=0.0) > _LONG:
        _warn(f"the duration is {float(value):g} ps (a number without a unit is in ps), which is above a microsecond")
    return value


def temperatures_kelvin(value: Any, n_starts: int) -> tuple[float, ...]:
    """Temperature of each start, K, as `temperature_per_start`; warns of numbers that are likely to be in °C or kT.

    Warns
    -----
    UserWarning
        A number without a unit is below 100 K or above 5000 K.
    """
    found = temperature_per_start(value, n_starts)
    odd = [kelvin for kelvin in found if not _COLD <= kelvin <= _HOT]
    if odd and not _has_unit(value):
        celsius = f"; {odd[0]:g} °C is {odd[0] + 273.15:g} K" if odd[0] < _COLD else ""
        _warn(f"the temperature is {odd[0]:g} K (a number without a unit is in K){celsius}")
    return found


def friction_rate(value: Any) -> float:
    """A friction in 1/ps from a number in 1/ps or a Quantity; warns of a number that is likely to be in 1/fs or 1/s.

    Warns
    -----
    UserWarning
        A number without a unit is below 0.01/ps or above 1000/ps.
    """
    found = real("friction", strip(value, "rate"), above=0.0)
    if not _has_unit(value) and not _WEAK <= found <= _STRONG:
        other = f"{found:g}/fs is {1e3 * found:g}/ps" if found < _WEAK else f"{found:g}/s is {1e-12 * found:g}/ps"
        _warn(f"the friction is {found:g}/ps (a number without a unit is in 1/ps); {other}")
    return found


def stiffest_bond(
    system: openmm.System, timestep: float, respa: Sequence[tuple[int, int]] = ()
) -> tuple[float, int, int] | None:
    """Timestep (fs) times angular frequency of the fastest bond without a constraint, and its atoms.

    The frequency of a harmonic bond with force constant k and reduced mass μ is √(k/μ); for a Morse bond k = 2Da². With
    multiple time steps the timestep is that of the bond's force group. None if the system has no such bond.
    """
    inner = dict(respa)
    found = [
        (1e-3 * timestep / inner.get(group, 1) * float(np.sqrt(k * (1.0 / masses[0] + 1.0 / masses[1]))), i, j)
        for group, i, j, k, masses in _bonds(system)
    ]
    return max(found, default=None)


def check_timestep(
    system: openmm.System, structure: Structure, timestep: float, respa: Sequence[tuple[int, int]] = ()
) -> None:
    """Compare a timestep (fs) with the vibrations of harmonic and Morse bonds that no constraint holds.

    Raises
    ------
    InputError
        The integration of a bond is unstable: ω Δt ≥ 2.

    Warns
    -----
    UserWarning
        ω Δt > 1.5.
    """
    stiffest = stiffest_bond(system, timestep, respa)
    if stiffest is None or stiffest[0] <= COARSE:
        return
    product, i, j = stiffest
    problem = (
        f"the timestep of {timestep:g} fs is too long for the bond of {structure.names[i]} and {structure.names[j]}, "
        f"whose vibration takes {2.0 * np.pi * timestep / product:.3g} fs"
    )
    limit = (
        f"{timestep / product:.1f} fs or less; longer steps need rigid bonds and heavy hydrogens "
        '(constraints="HBonds" and hydrogen_mass=3 in `build`, then `replace`)'
    )
    if product >= UNSTABLE:
        raise InputError(problem, expected=limit)
    _warn(f"{problem}; use {limit}")


def _bonds(system: openmm.System) -> Iterator[tuple[int, int, int, float, tuple[float, float]]]:
    """Force group, atoms, force constant (kJ/mol/nm²) and masses (amu) of bonds that are not constrained."""
    masses = [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())]
    fixed = {frozenset(system.getConstraintParameters(k)[:2]) for k in range(system.getNumConstraints())}
    for force in system.getForces():
        for i, j, k in _stiffnesses(force):
            if masses[i] > 0 and masses[j] > 0 and frozenset((i, j)) not in fixed:
                yield force.getForceGroup(), i, j, k, (masses[i], masses[j])


def _stiffnesses(force: openmm.Force) -> Iterator[tuple[int, int, float]]:
    """Atoms and force constant (kJ/mol/nm²) of each bond of a force; none for forces that are no bonds."""
    if isinstance(force, openmm.HarmonicBondForce):
        for (i, j), (_, k) in terms_of(force):
            yield i, j, k
    elif isinstance(force, openmm.CustomBondForce) and is_morse(force):
        for i, j, (depth, a, _) in morse_bonds(force):
            yield i, j, 2.0 * depth * a**2 * KJ_PER_KCAL * ANGSTROM_PER_NM**2


def _has_unit(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_has_unit, value))
    return hasattr(value, "value_in_unit")


def _warn(text: str) -> None:
    warnings.warn(f"{text}.", stacklevel=4)
