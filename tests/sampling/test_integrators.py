"""Integrators with several time steps, against OpenMM's own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray

from openmm_hybrid.sampling.integrators import RunIntegrator, langevin, langevin_per_particle
from tests.helpers.oscillators import water

STEPS = 40
VELOCITIES = np.array([[0.0, 0.5, 0.0], [0.0, -1.0, 1.0], [1.0, 0.0, 0.0]])


def _in_groups(groups: Sequence[int]) -> tuple[openmm.System, NDArray[np.float64]]:
    """Water whose forces appear once in each of the groups; positions in nm."""
    system, _, start = water()
    forces = [copy.deepcopy(force) for force in system.getForces()]
    for group in groups[1:]:
        for force in forces:
            twin = copy.deepcopy(force)
            twin.setForceGroup(group)
            system.addForce(twin)
    for index in range(len(forces)):
        system.getForce(index).setForceGroup(groups[0])
    return system, start / 10


def _context(system: openmm.System, integrator: openmm.Integrator, start: NDArray[np.float64]) -> openmm.Context:
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(start)
    return context


def _end(context: openmm.Context) -> Any:
    return context.getState(positions=True).getPositions(asNumpy=True)._value


@pytest.mark.parametrize(
    "respa",
    [
        [(0, 4), (1, 1)],
        [(1, 1), (0, 3)],
        [(0, 8), (1, 4), (5, 1)],
        [(0, 4), (1, 4), (2, 2), (3, 1), (4, 1)],
        [(0, 1), (1, 1)],
    ],
)
@pytest.mark.parametrize("per_particle", [False, True])
def test_positions_are_those_of_velocity_verlet(respa: list[tuple[int, int]], per_particle: bool) -> None:
    """Without noise and friction.

    Impulses at the start of a step are velocity Verlet's two halves in a row, if the first step starts half an impulse
    later: openmm.MTSIntegrator (Tuckerman, Berne and Martyna 1992), whose velocities are those in the middle of an
    impulse.
    """
    system, start = _in_groups([group for group, _ in respa])
    peer = _context(system, openmm.MTSIntegrator(1e-3, respa), start)
    peer.setVelocities(VELOCITIES)
    shortest = 1.0 / max(evaluations for _, evaluations in respa)
    fast = langevin_per_particle(np.zeros(3), 0.0, shortest) if per_particle else langevin(0.0, 0.0, shortest)
    ours = _context(system, RunIntegrator(fast, 1.0, respa), start)
    halves = np.zeros((3, 3))
    for group, evaluations in respa:
        forces = peer.getState(forces=True, groups={group}).getForces(asNumpy=True)._value
        halves += 0.5e-3 / evaluations * forces
    masses = np.array([system.getParticleMass(k)._value for k in range(3)])
    ours.setVelocities(VELOCITIES - halves / masses[:, None])
    for context in (peer, ours):
        context.getIntegrator().step(STEPS)
    np.testing.assert_allclose(_end(ours), _end(peer), rtol=0, atol=1e-11)
    assert np.abs(_end(ours) - start).max() > 1e-3
    assert ours.getState().getTime()._value == pytest.approx(1e-3 * STEPS)


@pytest.mark.parametrize("platform", ["Reference", "CPU", "OpenCL"])
def test_with_friction_and_constraints_it_is_the_custom_integrator(platform: str) -> None:
    """Every operation of an outer step written out in one CustomIntegrator, on each platform that is here."""
    names = [openmm.Platform.getPlatform(k).getName() for k in range(openmm.Platform.getNumPlatforms())]
    if platform not in names:
        pytest.skip(f"there is no OpenMM platform {platform}")
    friction, inner, steps = 50.0, 5e-4, 4
    system, start = _in_groups([0, 1])
    system.addConstraint(0, 1, 0.096)
    peer = openmm.CustomIntegrator(steps * inner)
    peer.addGlobalVariable("h", inner)
    peer.addGlobalVariable("a", np.exp(-friction * inner))
    peer.addPerDofVariable("x1", 0)
    peer.addComputePerDof("v", "v+dt*f1/m")
    for _ in range(steps):
        peer.addComputePerDof("v", "v+h*f0/m")
        peer.addConstrainVelocities()
        peer.addComputePerDof("x", "x+0.5*h*v")
        peer.addComputePerDof("v", "a*v")
        peer.addComputePerDof("x", "x+0.5*h*v")
        peer.addComputePerDof("x1", "x")
        peer.addConstrainPositions()
        peer.addComputePerDof("v", "v+(x-x1)/h")
    ours = RunIntegrator(langevin(0.0, friction, 0.5), 2.0, [(0, 4), (1, 1)])
    ends = []
    for integrator in (peer, ours):
        context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
        context.setPositions(start)
        context.setVelocities(VELOCITIES)
        context.applyVelocityConstraints(1e-6)
        integrator.step(25)
        ends.append(_end(context))
    np.testing.assert_allclose(ends[0], ends[1], rtol=0, atol=1e-10 if platform == "Reference" else 1e-5)
    assert np.abs(ends[0] - start).max() > 1e-3
