"""Planned changes of a NonbondedForce, and the errors of force fields that do not match it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.units import ANGSTROM_PER_NM, KCAL_PER_KJ

_EQUAL = 1e-6  # largest difference of equal parameters: e for charges, relative for σ and ε


@final
@dataclass(frozen=True)
class Changes:
    """Calls that write new parameters into a NonbondedForce, made by `plan_pairs`."""

    force: openmm.NonbondedForce | None = None
    calls: list[Callable[[], object]] = field(default_factory=list)

    def add(self, method: Callable[..., object], *arguments: float) -> None:
        """Plan a call with plain numbers as arguments."""
        plain = [argument if isinstance(argument, int) else float(argument) for argument in arguments]
        self.calls.append(lambda: method(*plain))

    def apply(self) -> list[openmm.Force]:
        """Make the calls; returns the changed force, if any, in a list."""
        for call in self.calls:
            call()
        return [self.force] if self.calls and self.force is not None else []


@final
@dataclass(frozen=True)
class ExceptionEntry:
    """Index and parameters of an exception in a NonbondedForce, in e², nm and kJ/mol."""

    index: int
    product: float
    sigma: float
    epsilon: float


def exceptions_of(force: openmm.NonbondedForce) -> dict[tuple[int, int], ExceptionEntry]:
    """All exceptions by their particles in rising order."""
    found = {}
    for index in range(force.getNumExceptions()):
        i, j, product, sigma, epsilon = force.getExceptionParameters(index)
        found[min(i, j), max(i, j)] = ExceptionEntry(index, product._value, sigma._value, epsilon._value)
    return found


def particles_of(force: openmm.NonbondedForce, atoms: Sequence[int]) -> NDArray[np.float64]:
    """Charge, σ and ε (n_atoms, 3) of particles, in OpenMM's units."""
    return np.array([[item._value for item in force.getParticleParameters(atom)] for atom in atoms])


def first_difference(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> tuple[int, str] | None:
    """The first atom with another charge or well, and a sentence on it; None if all are equal.

    Parameters
    ----------
    wanted, found : (n_atoms, 3)
        Charge, σ and ε of the force field and of the System, in OpenMM's units. Atoms without a well may have any σ.
        NaN is equal to everything.
    """
    tolerance = _EQUAL * np.array([1.0, 0.0, 0.0]) + _EQUAL * np.abs(found) * np.array([0.0, 1.0, 1.0])
    differs = np.abs(wanted - found) > tolerance
    differs[:, 1] &= (wanted[:, 2] != 0.0) | (found[:, 2] != 0.0)
    if not differs.any():
        return None
    atom, column = (int(index) for index in np.argwhere(differs)[0])
    noun, unit, factor = (("charge", "e", 1.0), ("σ", "Å", ANGSTROM_PER_NM), ("ε", "kcal/mol", KCAL_PER_KJ))[column]
    ours, theirs = factor * wanted[atom, column], factor * found[atom, column]
    return atom, f"has the {noun} {ours:.6g} {unit} in the force field, and {theirs:.6g} {unit} in the System"


def disagree(one: int, two: int, ours: str, theirs: str) -> MismatchError:
    """Error for a pair of particles that the force field and the NonbondedForce treat differently."""
    return MismatchError(
        f"atoms {one} and {two} are {ours} in the force field (Coulomb, Lennard-Jones), and {theirs} in the "
        "NonbondedForce",
        expected="the exclusions and 1-4 scales that the force field was read with",
        hint="compare the order of the atoms (atoms=), or read the force field from this System's molecule alone",
    )
