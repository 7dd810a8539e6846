"""Energies and forces by OpenMM, and comparisons that name what differs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.core.units import FORCE_KJ_NM, KCAL_PER_KJ, NM_PER_ANGSTROM

Evaluated = tuple[float, NDArray[np.float64]]
"""Energy, kcal/mol, and forces (n_particles, 3), kcal/mol/Å."""


class Difference(Exception):
    """Two numbers that should be equal are not."""


@final
@dataclass(frozen=True)
class Comparison:
    """Compares numbers and keeps the largest relative deviation of each kind.

    Parameters
    ----------
    largest : dict of str to float
        Largest deviation over the tolerance.
    """

    largest: dict[str, float] = field(default_factory=dict)

    def check(
        self,
        name: str,
        found: Evaluated,
        expected: Evaluated,
        tolerance: float,
        tables: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Compare energies and forces.

        The tolerance of the energy is relative to 1 kcal/mol and to the energy, that of the force on an atom to
        1 kcal/mol/Å, to the root mean square of all forces and to this force. `tables` has the errors of the energy and
        of a force that tables of functions bring, and is added.

        Raises
        ------
        Difference
            A deviation is above the tolerance, or a number is not finite.
        """
        self._check(f"{name}: energy", abs(found[0] - expected[0]), tolerance * max(1.0, abs(expected[0])) + tables[0])
        sizes = np.linalg.norm(expected[1], axis=1)
        allowed = tolerance * (max(1.0, float(np.sqrt(np.mean(sizes**2)))) + sizes) + tables[1]
        deviations = np.linalg.norm(found[1] - expected[1], axis=1)
        worst = int(np.argmax(deviations / allowed))
        self._check(f"{name}: forces", float(deviations[worst]), float(allowed[worst]))

    def numbers(self, name: str, found: float, expected: float, tolerance: float) -> None:
        """Compare two numbers, with a tolerance relative to 1 and to the expected one."""
        self._check(name, abs(found - expected), tolerance * max(1.0, abs(expected)))

    def _check(self, name: str, deviation: float, allowed: float) -> None:
        ratio = deviation / allowed if allowed else (np.inf if deviation else 0.0)
        self.largest[name] = max(self.largest.get(name, 0.0), ratio)
        if not ratio <= 1.0:
            raise Difference(f"{name} differ by {deviation:.3g}, allowed are {allowed:.3g}")


class Evaluator:
    """A System on a platform.

    Parameters
    ----------
    system : openmm.System
    platform : str
    """

    def __init__(self, system: openmm.System, platform: str = "Reference") -> None:
        self._context = openmm.Context(
            system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName(platform)
        )

    def at(self, positions: NDArray[np.float64]) -> Evaluated:
        """Energy and forces at positions (n_particles, 3), Å."""
        self._context.setPositions(positions * NM_PER_ANGSTROM)
        state = self._context.getState(energy=True, forces=True)
        forces = state.getForces(asNumpy=True)._value
        return state.getPotentialEnergy()._value * KCAL_PER_KJ, np.asarray(forces) / FORCE_KJ_NM

    def constrained(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The positions on the constraints."""
        self._context.setPositions(positions * NM_PER_ANGSTROM)
        self._context.applyConstraints(1e-10)
        return np.asarray(self._context.getState(positions=True).getPositions(asNumpy=True)._value) / NM_PER_ANGSTROM

    def scaled(self, positions: NDArray[np.float64], name: str, value: float) -> tuple[Evaluated, float]:
        """Energy and forces at a value of a global parameter, and dE/dλ, kcal/mol."""
        self._context.setParameter(name, value)
        evaluated = self.at(positions)
        derivatives = self._context.getState(parameterDerivatives=True).getEnergyParameterDerivatives()
        return evaluated, derivatives[name] * KCAL_PER_KJ
