"""Cause of a simulation that blew up, found by running again from the last good frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.sampling.minimize import periodic_box, positions_of
from openmm_hybrid.sampling.plausible import COARSE, stiffest_bond
from openmm_hybrid.sampling.structure import BARE, BETTER, Structure

TOO_NEAR = 0.9
"""Distance below which two atoms without a bond collide, Å; the shortest hydrogen bonds have 1.2 Å."""

_NEAR = 1.4  # distance below which a hydrogen without a Lennard-Jones term is suspected, Å
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
    suspect: tuple[int, int, float] | None = None
    try:
        context.loadCheckpoint(checkpoint)
        earlier = positions_of(context.getState(positions=True)).reshape(starts.shape)
        for _ in range(0, steps, stride):
            context.getIntegrator().step(stride)
            state = context.getState(positions=True)
            box = periodic_box(structure.system, state)
            copies = positions_of(state).reshape(starts.shape)
            if not np.isfinite(copies).all():
                break
            for k, (start, positions) in enumerate(zip(starts, copies, strict=True)):
                pair = structure.fused(positions, box, apart=_NEAR)
                if pair is not None and (structure.bare(pair[0]) or structure.bare(pair[1])):
                    suspect = pair
                if pair is not None and pair[2] < TOO_NEAR:
                    return structure.fused_text(pair)
                bond = structure.broken(start, positions)
                if bond is not None:
                    fastest = int(np.argmax(np.linalg.norm(positions - earlier[k], axis=1)))
                    return structure.fused_text(suspect) if suspect else _broken(structure, bond, fastest)
            earlier = copies
    except openmm.OpenMMException:  # the failure itself
        pass
    return None if suspect is None else structure.fused_text(suspect)


def _broken(structure: Structure, bond: tuple[int, int, float, float], fastest: int) -> Cause:
    i, j, before, after = bond
    text = (
        f"the bond of {structure.names[i]} and {structure.names[j]} broke: it was {before:.2f} Å long at the start, "
        f"then {after:.2f} Å"
    )
    bare = [atom for atom in (fastest, i, j) if structure.bare(atom)]
    if bare:
        return f"{text}; {structure.names[bare[0]]} {BARE}", BETTER
    return text, (
        "check the forces on these atoms: a model outside its training set (a gate prevents that), a wrong force "
        "constant, or a start far from a minimum"
    )


def timestep_hint(system: openmm.System, timestep: float, respa: Sequence[tuple[int, int]]) -> str:
    """The advice to take a shorter timestep, if one is long for the stiffest bond; otherwise an empty text."""
    stiffest = stiffest_bond(system, timestep, respa)
    if stiffest is None or stiffest[0] <= COARSE:
        return ""
    return f"use a timestep of {timestep / stiffest[0]:.1f} fs or less, as the stiffest bond needs, or constrain it"
