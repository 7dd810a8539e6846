"""The periodic box of a System against the cutoff of its forces."""

from __future__ import annotations

import warnings

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import ANGSTROM_PER_NM

MARGIN = 0.05
"""Margin of a box over twice the cutoff below which a barostat may shrink it too far.

Modeller leaves gaps around the solute, so that the edge of a new box contracts by some percent. The thermal fluctuation
of the edge, from the compressibility of water, is 0.3 % for 1000 molecules and 0.8 % for 100.
"""

THIN = 0.5
"""Density below which a box holds a void or a gas, g/mL (the lightest usual solvent, pentane, has 0.63 g/mL)."""

_SKEWED = 1e-6  # Å
_GRAMS_PER_ML = 1.66053906660  # one amu per Å³


def cutoff_of(system: openmm.System) -> float:
    """Largest cutoff of the periodic forces of a system, Å; 0 without one."""
    cutoffs = [
        force.getCutoffDistance().value_in_unit(unit.angstrom)
        for force in system.getForces()
        if hasattr(force, "getCutoffDistance") and force.usesPeriodicBoundaryConditions()
    ]
    return max(cutoffs, default=0.0)


def default_box(system: openmm.System) -> NDArray[np.float64]:
    """Default periodic box vectors (3, 3) of a system, Å."""
    vectors = system.getDefaultPeriodicBoxVectors()
    return np.array([list(vector.value_in_unit(unit.nanometer)) for vector in vectors]) * ANGSTROM_PER_NM


def check_box(system: openmm.System, box: NDArray[np.float64] | None = None, *, run: bool = False) -> None:
    """Refuse a periodic box (3, 3), Å, that is too small for the cutoff.

    Parameters
    ----------
    system : openmm.System
    box : (3, 3), Å, optional
        By default the box of the system.
    run : bool
        A simulation follows: warn of a box that a barostat may shrink too far.

    Raises
    ------
    InputError
        An edge of the box, in its reduced form, is shorter than twice the cutoff.

    Warns
    -----
    UserWarning
        The system has a barostat, and the box is at most 5 % longer than twice the cutoff.
    """
    cutoff = cutoff_of(system)
    vectors = default_box(system) if box is None else box
    edge = float(np.diag(vectors).min())
    if cutoff and edge < 2.0 * cutoff:
        raise InputError(
            f"the periodic box is {edge:.4g} Å wide at its narrowest, and the cutoff is {cutoff:.4g} Å",
            expected=f"a box of at least twice the cutoff, {2.0 * cutoff:.4g} Å",
            hint=_LARGER,
        )
    barostat = next((force for force in system.getForces() if _is_barostat(force)), None)
    if run and cutoff and barostat is not None and edge < 2.0 * cutoff * (1.0 + MARGIN):
        warnings.warn(
            f"the periodic box is {edge:.4g} Å wide, and OpenMM stops once the {type(barostat).__name__} has shrunk it "
            f"below twice the cutoff, {2.0 * cutoff:.4g} Å; {_LARGER}.",
            stacklevel=3,
        )


def warn_of_missed_pairs(system: openmm.System) -> None:
    """Warn of forces on OpenMM's CPU platform in a box that is not rectangular.

    Its list of neighbours leaves out pairs within the cutoff, most often in boxes that are hardly wider than twice the
    cutoff (issue 5382 of OpenMM; 8.4 to 8.6.1 have the fault).

    Warns
    -----
    UserWarning
        The box of the system is not rectangular, and a force has a cutoff.
    """
    vectors = default_box(system)
    if cutoff_of(system) and np.abs(vectors - np.diag(np.diag(vectors))).max() > _SKEWED:
        warnings.warn(
            "the periodic box is not rectangular, and OpenMM's CPU platform may miss pairs of atoms in such a box, so "
            "that forces are wrong (issue 5382 of OpenMM, in 8.6.1 and before); take a rectangular box, a GPU or the "
            "Reference platform",
            stacklevel=4,
        )


def shrunk(system: openmm.System, box: NDArray[np.float64]) -> tuple[str, str]:
    """Sentence about a box (3, 3), Å, that a barostat shrinks below twice the cutoff, and a hint."""
    cutoff, edge = cutoff_of(system), float(np.diag(box).min())
    first = float(np.diag(default_box(system)).min())
    text = (
        f"the barostat has shrunk the periodic box below twice the cutoff: it began with a width of {first:.4g} Å, was "
        f"{edge:.4g} Å wide in the last good frame, and the cutoff is {cutoff:.4g} Å (twice: {2.0 * cutoff:.4g} Å)"
    )
    n_atoms = system.getNumParticles()
    mass = sum(system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(n_atoms))
    density = _GRAMS_PER_ML * mass / abs(float(np.linalg.det(default_box(system))))
    if density < THIN:
        return text, (
            f"the box holds only {density:.2g} g/mL at the start, so that the barostat collapses it; fill it with "
            "solvent, or run at constant volume"
        )
    return text, _LARGER


_LARGER = "solvate with more padding, or lower the cutoff"


def _is_barostat(force: openmm.Force) -> bool:
    return type(force).__name__.endswith("Barostat")
