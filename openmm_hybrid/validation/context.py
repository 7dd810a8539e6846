"""Contexts of a System without thermostat and barostat forces, and what is read from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.units import FORCE_KJ_NM, KCAL_PER_KJ, NM_PER_ANGSTROM
from openmm_hybrid.sampling.minimize import set_positions
from openmm_hybrid.sampling.platform import platform_properties, printed_to_stderr

_CHANGING = (
    openmm.AndersenThermostat,
    openmm.CMMotionRemover,
    openmm.MonteCarloAnisotropicBarostat,
    openmm.MonteCarloBarostat,
    openmm.MonteCarloFlexibleBarostat,
    openmm.MonteCarloMembraneBarostat,
)
TOLERANCES = {"Reference": 1e-9}
"""Relative tolerance of constraints by platform; 1e-6 on the others, near the rounding of single precision."""


@final
class BlowUpError(NumericalError):
    """Dynamics whose energies are not finite."""

    def __init__(self, what: str, timestep: float) -> None:
        super().__init__(
            f"{what} blew up at a time step of {timestep:g} fs",
            hint="use a shorter time step (timestep, --timestep), or check the forces",
        )


@final
@dataclass(frozen=True, eq=False)
class Subject:
    """A System that is checked, at one geometry.

    Parameters
    ----------
    system : openmm.System
        It keeps its volume and has no thermostat of its own.
    positions : (n_particles, 3), Å
    left_out : tuple of str
        Kinds of the forces that were left out.
    """

    system: openmm.System
    positions: NDArray[np.float64]
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, system: openmm.System, positions: NDArray[np.float64]) -> Subject:
        """A copy of the System without thermostats, barostats and motion removal."""
        copied = openmm.XmlSerializer.clone(system)
        left_out = []
        for index in reversed(range(copied.getNumForces())):
            if isinstance(copied.getForce(index), _CHANGING):
                left_out.append(type(copied.getForce(index)).__name__)
                copied.removeForce(index)
        return cls(copied, positions, tuple(left_out))

    def context(self, integrator: openmm.Integrator, platform: str) -> openmm.Context:
        """A context at the positions."""
        integrator.setConstraintTolerance(TOLERANCES.get(platform, 1e-6))
        chosen = openmm.Platform.getPlatformByName(platform)
        with printed_to_stderr():
            context = openmm.Context(self.system, integrator, chosen, platform_properties(platform))
        set_positions(context, self.positions)
        return context

    def at(self, positions: NDArray[np.float64]) -> Subject:
        """The same System at other positions (n_particles, 3), Å."""
        return Subject(self.system, positions, self.left_out)


def energies(context: openmm.Context) -> tuple[float, float]:
    """Potential and kinetic energy, kcal/mol."""
    state = context.getState(energy=True)
    return state.getPotentialEnergy()._value * KCAL_PER_KJ, state.getKineticEnergy()._value * KCAL_PER_KJ


def forces(context: openmm.Context, groups: set[int] | None = None) -> NDArray[np.float64]:
    """Forces (n_particles, 3) of some force groups, or of all, kcal/mol/Å."""
    state = context.getState(forces=True) if groups is None else context.getState(forces=True, groups=groups)
    return np.asarray(state.getForces(asNumpy=True)._value, dtype=np.float64) / FORCE_KJ_NM


def positions_of(context: openmm.Context) -> NDArray[np.float64]:
    """Positions (n_particles, 3), Å."""
    found = context.getState(positions=True).getPositions(asNumpy=True)._value
    return np.asarray(found, dtype=np.float64) / NM_PER_ANGSTROM
