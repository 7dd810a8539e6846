"""Local energy minimisation of an OpenMM System."""

from __future__ import annotations

from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_hybrid.core.errors import MismatchError, NumericalError
from openmm_hybrid.core.units import FORCE_KJ_NM, KCAL_PER_KJ, NM_PER_ANGSTROM, positions_to_angstrom
from openmm_hybrid.sampling.platform import choose_platform


def minimize(
    system: openmm.System,
    positions: Any,
    *,
    tolerance: float = 0.01,
    max_iterations: int = 0,
    platform: str = "Reference",
) -> tuple[NDArray[np.float64], float]:
    """Find the nearest local energy minimum with OpenMM's L-BFGS.

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
    MismatchError
        The number of positions is not the number of particles of the system.
    NumericalError
        The energy or a position is not finite afterwards.
    """
    start = positions_to_angstrom(positions)
    if start.shape != (system.getNumParticles(), 3):
        raise MismatchError(f"positions have shape {start.shape}", expected=f"({system.getNumParticles()}, 3)")
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


def minimize_context(context: openmm.Context, *, tolerance: float = 0.1, max_iterations: int = 0) -> None:
    """Minimise the energy of a context in place; `tolerance` is a root mean square force in kcal/mol/Å."""
    try:
        openmm.LocalEnergyMinimizer.minimize(context, tolerance * FORCE_KJ_NM, max_iterations)
        state = context.getState(positions=True, energy=True)
    except openmm.OpenMMException as error:
        raise NumericalError(f"the energy minimisation failed: {error}", hint=_HINT) from error
    if not np.isfinite(potential_energy(state)):
        raise NumericalError("the energy is not finite after minimisation", hint=_HINT)


_HINT = "check the start geometry and the forces of the system"


def potential_energy(state: openmm.State) -> float:
    """Potential energy of a state, kcal/mol."""
    return float(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)) * KCAL_PER_KJ
