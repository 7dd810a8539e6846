"""Local energy minimisation of an OpenMM System."""

from __future__ import annotations

from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.core.units import FORCE_KJ_NM, KCAL_PER_KJ, NM_PER_ANGSTROM, positions_to_angstrom
from openmm_hybrid.sampling.box import check_box
from openmm_hybrid.sampling.platform import choose_platform
from openmm_hybrid.sampling.structure import Structure, box_of

ABSURD = 1000.0
"""Change of the potential energy above which a calculation has blown up, kcal/mol per atom."""

FIRST_CHUNK = 500
"""Iterations before the first check of energy and forces; their number doubles every time."""

_PROBE = 25  # iterations that show whether a minimisation has converged
_LONGEST = 1_000_000  # largest number of iterations without a limit by the user
_PRECISION = 1e-7  # relative error of an energy in float32
_SOFTNESS = 0.15  # energy left per atom at a root mean square force of 1 kcal/mol/Å: 3/2k with k = 10 kcal/mol/Å²


def minimize(
    system: openmm.System,
    positions: Any,
    *,
    tolerance: float = 0.01,
    max_iterations: int = 0,
    platform: str = "Reference",
) -> tuple[NDArray[np.float64], float]:
    """Find the nearest local energy minimum with OpenMM's L-BFGS.

    Energy and forces are checked before the first iteration and then at growing intervals, first after 500. The
    minimisation also ends where a few more iterations hardly lower the energy.

    Parameters
    ----------
    system : openmm.System
    positions : (n_atoms, 3), Å, or a Quantity
    tolerance : float
        Root mean square force component at which to stop, kcal/mol/Å.
    max_iterations : int
        Largest number of iterations; 0 means until convergence.
    platform : str
        Name of the platform ("Reference" computes in double precision), or "auto".

    Returns
    -------
    positions : (n_atoms, 3), Å
    energy : float, kcal/mol

    Raises
    ------
    InputError
        The energy or a force is not finite at `positions`, or the periodic box is too small for the cutoff. The message
        names the atoms and the cause.
    MismatchError
        The number of positions is not the number of particles of the system.
    NumericalError
        An energy or force on the way is not finite, atoms have fused, or the energy falls without end.
    """
    start = positions_to_angstrom(positions)
    if start.shape != (system.getNumParticles(), 3):
        raise MismatchError(f"positions have shape {start.shape}", expected=f"({system.getNumParticles()}, 3)")
    check_box(system)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), *choose_platform(system, platform))
    set_positions(context, start)
    minimize_context(context, tolerance=tolerance, max_iterations=max_iterations)
    state = context.getState(positions=True, energy=True)
    found = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    return np.array(found, dtype=np.float64), potential_energy(state)


def set_positions(context: openmm.Context, positions: NDArray[np.float64]) -> None:
    """Set the positions (n_atoms, 3) in Å of a context, then apply constraints and compute virtual sites."""
    context.setPositions(positions * NM_PER_ANGSTROM)
    if context.getSystem().getNumConstraints():
        context.applyConstraints(context.getIntegrator().getConstraintTolerance())
    context.computeVirtualSites()


def minimize_context(
    context: openmm.Context,
    *,
    tolerance: float = 0.1,
    max_iterations: int = 0,
    topology: app.Topology | None = None,
) -> None:
    """Minimise the energy of a context in place.

    Parameters
    ----------
    context : openmm.Context
    tolerance, max_iterations
        As for `minimize`.
    topology : openmm.app.Topology, optional
        Names and bonds of the atoms for messages.

    Raises
    ------
    InputError, NumericalError
        As for `minimize`.
    """
    structure = Structure.of(context.getSystem(), topology)
    energy = potential_energy(check_forces(context, structure, ""))
    floor = min(energy, 0.0) - ABSURD * len(structure.names)
    enough = _SOFTNESS * tolerance**2 * len(structure.names)
    left, chunk, probe, quiet = max_iterations or _LONGEST, FIRST_CHUNK, False, 0
    while left > 0:
        iterations = min(_PROBE if probe else chunk, left)
        state = _chunk(context, structure, tolerance, iterations)
        before, energy = energy, potential_energy(state)
        if energy < floor:
            raise NumericalError(
                f"the energy falls without end in the minimisation: it has reached {energy:.3g} kcal/mol",
                hint="a force of the system has no lower bound; check its parameters",
            )
        # With constraints the forces do not vanish at the minimum, and in float32 they may not reach the tolerance.
        # A few more iterations then show whether the energy still falls: twice, since OpenMM's search may give up at
        # its first step in water, which looks the same.
        falls = before - energy > max(enough, _PRECISION * abs(energy))
        quiet = 0 if falls else quiet + 1
        if root_mean_square(state) <= tolerance or (probe and quiet >= 2):
            return
        left -= iterations
        chunk, probe = (2 * chunk, False) if probe and falls else (chunk, True)


def _chunk(context: openmm.Context, structure: Structure, tolerance: float, iterations: int) -> openmm.State:
    """State after some iterations; it is finite, and no atoms have fused."""
    began = positions_of(context.getState(positions=True))
    state = _minimized(context, tolerance, iterations)
    positions, box = positions_of(state), periodic_box(structure.system, state)
    pair = structure.fused(positions, box)
    if pair is not None:
        problem, hint = structure.fused_text(pair)
        raise NumericalError(f"the minimisation led to an impossible geometry: {problem}", hint=hint)
    if not _finite(state):
        positions, forces = _first_not_finite(context, began, tolerance, iterations)
        problem, hint = structure.why_not_finite(positions, forces, box)
        raise NumericalError(f"the minimisation met forces that are not finite: {problem}", hint=hint)
    return state


def _first_not_finite(
    context: openmm.Context, began: NDArray[np.float64], tolerance: float, iterations: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions (Å) and forces after the fewest iterations that end without finite forces, by bisection.

    The positions are those of one iteration before if they are not finite either.
    """
    good, bad = 0, iterations
    while bad - good > 1:
        middle = (good + bad) // 2
        set_positions(context, began)
        good, bad = (middle, bad) if _finite(_minimized(context, tolerance, middle)) else (good, middle)
    found = []
    for count in (good, bad):
        set_positions(context, began)
        if count:
            _minimized(context, tolerance, count)
        state = context.getState(positions=True, forces=True)
        found.append((positions_of(state), forces_of(state)))
    (before, _), (positions, forces) = found
    return (positions if np.isfinite(positions).all() else before), forces


def _minimized(context: openmm.Context, tolerance: float, iterations: int) -> openmm.State:
    # Chunks rather than a MinimizationReporter: OpenMM keeps Python's lock with a reporter, and TorchForce then fails.
    try:
        openmm.LocalEnergyMinimizer.minimize(context, tolerance * FORCE_KJ_NM, iterations)
        return context.getState(positions=True, energy=True, forces=True)
    except openmm.OpenMMException as error:
        raise NumericalError(
            f"the energy minimisation failed: {error}", hint="check the start geometry and the forces of the system"
        ) from error


def check_forces(context: openmm.Context, structure: Structure, name: str) -> openmm.State:
    """State of a context with positions, energy and forces, which are all finite.

    Raises
    ------
    InputError
        They are not; the message begins with `name` and names the atoms and the cause.
    """
    state = context.getState(positions=True, energy=True, forces=True)
    energy, forces = potential_energy(state), forces_of(state)
    if not _finite(state):
        problem, hint = structure.why_not_finite(positions_of(state), forces, periodic_box(structure.system, state))
        raise InputError(f"{name}{problem} (the energy is {energy:.3g} kcal/mol)", hint=hint)
    return state


def _finite(state: openmm.State) -> bool:
    return bool(np.isfinite(potential_energy(state)) and np.isfinite(forces_of(state)).all())


def potential_energy(state: openmm.State) -> float:
    """Potential energy of a state, kcal/mol."""
    return float(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)) * KCAL_PER_KJ


def positions_of(state: openmm.State) -> NDArray[np.float64]:
    """Positions (n_atoms, 3) of a state, Å."""
    return np.array(state.getPositions(asNumpy=True).value_in_unit(unit.angstrom), dtype=np.float64)


def forces_of(state: openmm.State) -> NDArray[np.float64]:
    """Forces (n_atoms, 3) of a state, kJ/mol/nm."""
    return np.array(state.getForces(asNumpy=True)._value, dtype=np.float64)


def root_mean_square(state: openmm.State) -> float:
    """Root mean square force component of a state, kcal/mol/Å."""
    return float(np.sqrt(np.mean(forces_of(state) ** 2))) / FORCE_KJ_NM


def periodic_box(system: openmm.System, state: openmm.State) -> NDArray[np.float64] | None:
    """Box vectors (3, 3) of a state, Å; None if no force of the system is periodic."""
    return box_of(state) if system.usesPeriodicBoundaryConditions() else None
