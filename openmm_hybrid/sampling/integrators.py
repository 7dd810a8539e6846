"""Integrators of the runs, and initial velocities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import openmm
from numpy.typing import ArrayLike, NDArray
from openmm import unit

from openmm_hybrid.core.units import BOLTZMANN, KJ_PER_KCAL


@final
class RunIntegrator(openmm.CompoundIntegrator):
    """Multiple time steps, and dynamics at constant energy after an equilibration with a thermostat.

    With multiple time steps, an outer step of length Δt starts with impulses of the slow forces, v ← v + Δt F_slow / m.
    The thermostat, with the fast forces, then takes n steps of Δt/n. Slow forces with m evaluations per outer step give
    m impulses of Δt/m (r-RESPA: Tuckerman, Berne and Martyna, J. Chem. Phys. 97, 1990 (1992)). LFMiddle starts with the
    full kick of its forces, so that this takes n evaluations of the fast forces; OpenMM's MTSLangevinIntegrator, which
    splits symmetrically, takes n + 1. On OpenMM's CPU platform a CustomIntegrator runs on one thread. Here only the
    impulses do, and the steps in between have the speed of OpenMM's own integrators.

    `step` counts outer steps. OpenMM's step count includes the impulses, so that the reporters of an
    `openmm.app.Simulation` would act at other steps.

    Parameters
    ----------
    thermostat : openmm.Integrator
        Integrator with the timestep of the fast forces, with its seed set.
    timestep : float, fs
        Length of the outer step.
    respa : sequence of (force group, evaluations per step)
        The groups with the most evaluations are the fast ones. Empty without multiple time steps.
    constant_energy : bool
        Add an integrator at constant energy, Verlet or OpenMM's MTSIntegrator.
    """

    def __init__(
        self,
        thermostat: openmm.Integrator,
        timestep: float,
        respa: Sequence[tuple[int, int]] = (),
        *,
        constant_energy: bool = False,
    ) -> None:
        super().__init__()
        # On the Reference platform all integrators share one generator, which the last one seeds.
        seed = thermostat.getRandomNumberSeed()
        self.addIntegrator(thermostat)
        most = max((evaluations for _, evaluations in respa), default=1)
        slow = [(group, evaluations) for group, evaluations in respa if evaluations < most]
        if respa:
            thermostat.setIntegrationForceGroups({group for group, evaluations in respa if evaluations == most})
        for group, evaluations in slow:
            self.addIntegrator(_impulse(group, 1e-3 * timestep / evaluations, seed))
        self._plan: list[tuple[int, int]] = []  # index of an integrator, and its number of steps
        for step in range(most):
            impulses = [k for k, (_, evaluations) in enumerate(slow, 1) if step % (most // evaluations) == 0]
            if impulses or not self._plan:
                self._plan += [*((k, 1) for k in impulses), (0, 1)]
            else:
                self._plan[-1] = (0, self._plan[-1][1] + 1)
        self._thermostat_plan = self._plan
        if constant_energy:
            self.addIntegrator(_verlet(1e-3 * timestep, respa, seed))

    def step(self, steps: int) -> None:
        """Take outer steps."""
        for _ in range(steps):
            for index, count in self._plan:
                self.setCurrentIntegrator(index)
                super().step(count)

    def keep_energy(self, constant: bool) -> None:
        """Choose between the integrator at constant energy and the thermostat."""
        self._plan = [(self.getNumIntegrators() - 1, 1)] if constant else self._thermostat_plan
        self.setCurrentIntegrator(self._plan[-1][0])


def _impulse(group: int, picoseconds: float, seed: int) -> openmm.CustomIntegrator:
    made = openmm.CustomIntegrator(0.0)  # the time does not advance
    made.addGlobalVariable("impulse", picoseconds)
    made.addComputePerDof("v", f"v+impulse*f{group}/m")
    made.setRandomNumberSeed(seed)
    return made


def _verlet(picoseconds: float, respa: Sequence[tuple[int, int]], seed: int) -> openmm.Integrator:
    if not respa:
        return openmm.VerletIntegrator(picoseconds)
    made = openmm.MTSIntegrator(picoseconds, list(respa))
    made.setRandomNumberSeed(seed)
    return made


def langevin(temperature: float, friction: float, timestep: float) -> openmm.Integrator:
    """Langevin dynamics at one temperature (K; friction in 1/ps, timestep in fs).

    LFMiddle: Zhang et al., J. Phys. Chem. A 123, 6056 (2019).
    """
    return openmm.LangevinMiddleIntegrator(temperature, friction, 1e-3 * timestep)


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
