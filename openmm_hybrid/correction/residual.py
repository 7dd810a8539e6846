"""The residual: reference labels minus what a force field says of the same geometries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from openmm_hybrid.errors import MismatchError
from openmm_hybrid.frames import Frames
from openmm_hybrid.models.base import EnergyModel


def residual(force_field: EnergyModel, frames: Frames) -> Frames:
    """ΔE = E_ref − E_ff and ΔF = F_ref − F_ff of each frame.

    Energies of different methods have different zeros, so the mean of ΔE is arbitrary; it is kept, as the constant
    of a model trained on the residual then brings the sum to the reference's own zero.

    Parameters
    ----------
    force_field : EnergyModel
        Of the same atoms in the same order.
    frames : Frames
        With energies and forces of the reference.

    Returns
    -------
    Frames
        The same geometries labelled with ΔE (n_frames,) kcal/mol and ΔF (n_frames, n_atoms, 3) kcal/mol/Å.

    Raises
    ------
    MismatchError
        The force field and the frames have other atoms or another order.
    InputError
        The frames lack energies or forces.
    """
    energies, forces = frames.labels()
    expected, given = force_field.atomic_numbers, frames.atomic_numbers
    if len(expected) != len(given):
        raise MismatchError(
            f"the frames of {frames.name!r} have {len(given)} atoms", expected=f"the {len(expected)} of the force field"
        )
    if (expected != given).any():
        k = int(np.argmax(expected != given))
        raise MismatchError(
            f"atom {k} of the frames of {frames.name!r} has the atomic number {given[k]}",
            expected=f"{expected[k]} as in the force field",
            mend="build the force field in the frames' atom order (Molecule.reordered)",
        )
    ff_energies, ff_forces = force_field.predict(frames.positions)
    return replace(
        frames,
        energies=energies - ff_energies,
        forces=forces - ff_forces,
        theory=f"{frames.theory} minus force field",
    )
