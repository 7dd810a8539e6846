"""Integrators of the runs, and initial velocities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openmm
from numpy.typing import ArrayLike, NDArray
from openmm import unit

from openmm_hybrid.core.units import BOLTZMANN, KJ_PER_KCAL


def langevin(
    temperature: float, friction: float, timestep: float, respa: Sequence[tuple[int, int]] = ()
) -> openmm.Integrator:
    """Langevin dynamics at one temperature (K; friction in 1/ps, timestep in fs).

    LFMiddle (Zhang et al., J. Phys. Chem. A 123, 6056 (2019)), or OpenMM's BAOAB-RESPA if `respa` has pairs (force
    group, evaluations per step).
    """
    if respa:
        return openmm.MTSLangevinIntegrator(temperature, friction, 1e-3 * timestep, list(respa))
    return openmm.LangevinMiddleIntegrator(temperature, friction, 1e-3 * timestep)


def verlet(timestep: float, respa: Sequence[tuple[int, int]] = ()) -> openmm.Integrator:
    """Dynamics at constant energy: Verlet, or velocity Verlet with multiple time steps if `respa` has pairs."""
    return openmm.MTSIntegrator(1e-3 * timestep, list(respa)) if respa else openmm.VerletIntegrator(1e-3 * timestep)


def langevin_per_particle(temperatures: ArrayLike, friction: float, timestep: float) -> openmm.CustomIntegrator:
    """LFMiddle with one temperature per particle (n_particles,), K.

    The steps are those of OpenMM's LangevinMiddleIntegrator, but kT is a variable of each degree of freedom. Molecules
    that do not interact then have their own temperatures, with true masses and forces.
    """
    kt = KJ_PER_KCAL * BOLTZMANN * np.asarray(temperatures, dtype=np.float64)
    made = openmm.CustomIntegrator(1e-3 * timestep)
    made.addGlobalVariable("a", np.exp(-1e-3 * timestep * friction))
    made.addGlobalVariable("b", np.sqrt(-np.expm1(-2e-3 * timestep * friction)))
    made.addPerDofVariable("kT", 0.0)
    made.addPerDofVariable("x1", 0.0)
    made.addUpdateContextState()
    made.addComputePerDof("v", "v+dt*f/m")
    made.addConstrainVelocities()
    made.addComputePerDof("x", "x+0.5*dt*v")
    made.addComputePerDof("v", "a*v+b*sqrt(kT/m)*gaussian")
    made.addComputePerDof("x", "x+0.5*dt*v")
    made.addComputePerDof("x1", "x")
    made.addConstrainPositions()
    made.addComputePerDof("v", "v+(x-x1)/dt")
    made.setPerDofVariableByName("kT", [openmm.Vec3(value, value, value) for value in kt.tolist()])
    return made


def draw_velocities(context: openmm.Context, temperatures: NDArray[np.float64], seed: int) -> None:
    """Draw Maxwell-Boltzmann velocities at the temperature of each particle (n_particles,), K, within constraints."""
    base = float(temperatures[0])
    context.setVelocitiesToTemperature(base, seed)
    if (temperatures != base).any():
        # Velocities scale with √T. Constraints join particles of equal temperature, so that they stay fulfilled.
        velocities = context.getState(velocities=True).getVelocities(asNumpy=True)
        drawn = velocities.value_in_unit(unit.nanometer / unit.picosecond)
        context.setVelocities(drawn * np.sqrt(temperatures / base)[:, None])
