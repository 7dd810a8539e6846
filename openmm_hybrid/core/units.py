"""Internal units and all conversion factors.

The package computes in Å, kcal/mol, kcal/mol/Å, e, rad, amu, fs and K; nm and kJ/mol appear only next to OpenMM.
Factors: CODATA 2018; the thermochemical calorie (4.184 J) is exact.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError

KJ_PER_KCAL = 4.184
KCAL_PER_KJ = 1.0 / KJ_PER_KCAL
ANGSTROM_PER_NM = 10.0
NM_PER_ANGSTROM = 0.1
ANGSTROM_PER_BOHR = 0.529177210903
KCAL_PER_HARTREE = 627.5094740631
KCAL_PER_EV = 23.060547830619
DEGREE_PER_RADIAN = 180.0 / math.pi
BOLTZMANN = 0.001987204258640832
"""Boltzmann's constant in kcal/mol/K."""

COULOMB = 138.93545764438198 * ANGSTROM_PER_NM / KJ_PER_KCAL
"""e²/(4πε₀) in kcal/mol·Å, from OpenMM's own constant, so that Coulomb energies are the same."""

FORCE_KJ_NM = KJ_PER_KCAL * ANGSTROM_PER_NM
"""Factor from kcal/mol/Å to kJ/mol/nm."""

ENERGY_UNITS: dict[str, float] = {
    "kcal/mol": 1.0,
    "kj/mol": KCAL_PER_KJ,
    "ev": KCAL_PER_EV,
    "hartree": KCAL_PER_HARTREE,
    "ha": KCAL_PER_HARTREE,
}
"""Name in lower case → one unit in kcal/mol."""

LENGTH_UNITS: dict[str, float] = {
    "ang": 1.0,
    "angstrom": 1.0,
    "å": 1.0,
    "nm": ANGSTROM_PER_NM,
    "nanometer": ANGSTROM_PER_NM,
    "bohr": ANGSTROM_PER_BOHR,
    "a0": ANGSTROM_PER_BOHR,
}
"""Name in lower case → one unit in Å."""


def energy_factor(name: str) -> float:
    """One unit of energy called `name`, in kcal/mol ("kcal/mol", "kJ/mol", "eV", "Hartree")."""
    return _factor(name, ENERGY_UNITS, "energy")


def length_factor(name: str) -> float:
    """One unit of length called `name`, in Å ("Ang", "nm", "bohr")."""
    return _factor(name, LENGTH_UNITS, "length")


def _factor(name: str, table: dict[str, float], kind: str) -> float:
    try:
        return table[name.strip().lower()]
    except KeyError:
        raise InputError(
            f"unknown unit of {kind} {name!r}", expected=f"one of {', '.join(table)}", hint="name one of these"
        ) from None


_INTERNAL = {
    "length": "angstrom",
    "energy": "kilocalorie_per_mole",
    "temperature": "kelvin",
    "time": "femtosecond",
    "mass": "dalton",
    "charge": "elementary_charge",
    "angle": "radian",
    "pressure": "bar",
}

_OF_PINT = _INTERNAL | {
    "energy": "kilocalorie / mole",
    "force": "kilocalorie / mole / angstrom",
    "rate": "1 / picosecond",
}
"""The internal units by the names of pint."""


def strip(value: Any, kind: str) -> Any:
    """A plain number or array in internal units, from a Quantity or from plain numbers in these units.

    Parameters
    ----------
    value : number, array, Quantity of openmm.unit or of pint (`openff.units`), or a sequence of Quantities
    kind : {"length", "energy", "force", "temperature", "time", "mass", "charge", "angle", "rate", "pressure"}
        "rate" is 1/ps (friction) and "pressure" is bar; for the others see the module.

    Raises
    ------
    InputError
        The quantity has another dimension.
    """
    if isinstance(value, list | tuple) and value and (hasattr(value[0], "value_in_unit") or _is_pint(value[0])):
        return [strip(item, kind) for item in value]
    if _is_pint(value):
        return _from_pint(value, kind)
    if not hasattr(value, "value_in_unit"):
        return value
    from openmm import unit

    composed = {"rate": unit.picosecond**-1, "force": unit.kilocalorie_per_mole / unit.angstrom}
    target = composed[kind] if kind in composed else getattr(unit, _INTERNAL[kind])
    try:
        return value.value_in_unit(target)
    except TypeError:
        raise _other_dimension(value.unit, kind) from None


def _is_pint(value: Any) -> bool:
    """Whether this is a quantity of pint, which NumPy would take for a number without its unit."""
    return hasattr(value, "to") and hasattr(value, "magnitude")


def _from_pint(value: Any, kind: str) -> Any:
    try:
        return value.to(_OF_PINT[kind]).magnitude
    except (TypeError, AttributeError):  # pint's errors of another dimension and of an unknown unit
        raise _other_dimension(value.units, kind) from None


def _other_dimension(unit: Any, kind: str) -> InputError:
    return InputError(f"a quantity in {unit} was given where a {kind} is needed", expected=f"a unit of {kind}")


def positions_to_angstrom(positions: Any) -> NDArray[np.float64]:
    """Positions (…, n_atoms, 3) in Å from an array in Å, an `openmm.unit` Quantity (of Vec3 too) or a list of them.

    Raises
    ------
    InputError
        The quantity has another dimension, or this is no array of numbers.
    """
    plain: ArrayLike = strip(positions, "length")
    try:
        return np.asarray(plain, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"positions are given as {type(positions).__name__}, which is no array of numbers",
            expected="numbers (…, n_atoms, 3) in Å, or an openmm.unit Quantity",
            hint="those of Frames are frames.positions",
        ) from None


def kelvin(temperature: Any) -> float:
    """A temperature in K, above zero, from a number in K or a Quantity.

    Raises
    ------
    InputError
        It is no temperature, or not above zero.
    """
    value = strip(temperature, "temperature")
    try:
        plain = float(value)
    except (TypeError, ValueError):
        plain = float("nan")
    if isinstance(value, bool) or not 0.0 < plain < math.inf:
        raise InputError(f"temperature is {temperature!r}", expected="a number greater than 0, in K")
    return plain
