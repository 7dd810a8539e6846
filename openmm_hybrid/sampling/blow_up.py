"""Cause of a simulation that blew up, found by running again from the last good frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.sampling.minimize import periodic_box, positions_of
from openmm_hybrid.sampling.plausible import stiffest_bond
from openmm_hybrid.sampling.structure import Structure

TOO_NEAR = 0.9
"""Distance below which two atoms without a bond collide, Å; the shortest hydrogen bonds have 1.2 Å."""

_LOOKS = 500  # largest number of geometries to look at

Cause = tuple[str, str]
"""A sentence, and a hint."""


def find_cause(
    context: openmm.Context,
    checkpoint: bytes,
    steps: int,
    structure: Structure,
    starts: NDArray[np.float64],
) -> Cause | None:
    """Step again from a checkpoint, and return the first fault that a geometry has; None if none has one.

    Parameters
    ----------
    context : openmm.Context
        Context of the run; its state is lost.
    checkpoint : bytes
        OpenMM's checkpoint of the last good frame.
    steps : int
        Steps from there to the failure.
    structure : Structure
        Structure of one start.
    starts : (n_starts, n_atoms, 3), Å
        Geometries with intact bonds.
    """
    stride = max(1, steps // _LOOKS)
    try:
        context.loadCheckpoint(checkpoint)
        for _ in range(0, steps, stride):
            context.getIntegrator().step(stride)
            state = context.getState(positions=True)
            copies = positions_of(state).reshape(starts.shape)
            for start, positions in zip(starts, copies, strict=True):
                found = _fault(structure, start, positions, periodic_box(structure.system, state))
                if found is not None:
                    return found
            if not np.isfinite(copies).all():
                return None
    except openmm.OpenMMException:  # the failure itself
        return None
    return None


def _fault(
    structure: Structure, start: NDArray[np.float64], positions: NDArray[np.float64], box: NDArray[np.float64] | None
) -> Cause | None:
    pair = structure.fused(positions, box, apart=TOO_NEAR)
    if pair is not None:
        return structure.fused_text(pair)
    bond = structure.broken(start, positions)
    if bond is None:
        return None
    i, j, before, after = bond
    return (
        f"the bond of {structure.names[i]} and {structure.names[j]} broke: it was {before:.2f} Å long at the start, "
        f"then {after:.2f} Å",
        "check the forces on these atoms: a model outside its training set (a gate prevents that), a wrong force "
        "constant, or a start far from a minimum",
    )


def timestep_hint(system: openmm.System, timestep: float, respa: Sequence[tuple[int, int]]) -> str:
    """The advice to take a shorter timestep, with a number if a bond asks for one."""
    stiffest = stiffest_bond(system, timestep, respa)
    if stiffest is None or stiffest[0] <= 1.0:
        return "use a shorter timestep, minimise first, or check the forces at this geometry"
    return f"use a timestep of {timestep / stiffest[0]:.1f} fs or less, as the stiffest bond needs, or constrain it"
