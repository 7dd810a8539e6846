"""Errors of forces for molecules with rigid bonds: without the components that stretch constrained bonds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.analysis.error_table import ErrorTable, error_table
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.forcefield import ForceField

Floats = NDArray[np.float64]


def tangent_forces(positions: ArrayLike, forces: ArrayLike, bonds: ArrayLike) -> Floats:
    """Forces without their components along the gradients of bond lengths, by orthogonal projection.

    F − Jᵀ (J Jᵀ)⁻¹ J F, with the rows of J the derivatives of the bond lengths by the positions. What is left are the
    forces along directions in which no bond length changes, the tangent space of the constraints. In a simulation with
    these constraints, the removed components have no effect. The projection does not depend on the masses.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3), Å
    forces : (n_frames, n_atoms, 3)
    bonds : (n_bonds, 2)
        Constrained pairs of atoms.

    Returns
    -------
    forces : (n_frames, n_atoms, 3)

    Raises
    ------
    InputError
        Two bonded atoms coincide, or there are more constraints than the geometry can fulfil independently.
    """
    r, f = np.asarray(positions, dtype=np.float64), np.asarray(forces, dtype=np.float64)
    first, second = np.asarray(bonds, dtype=np.int64).reshape(-1, 2).T
    apart = r[:, second] - r[:, first]
    with np.errstate(invalid="ignore"):
        along = apart / np.linalg.norm(apart, axis=-1, keepdims=True)
    n_frames, n_atoms = r.shape[:2]
    jacobian = np.zeros((n_frames, len(first), n_atoms, 3))
    bond = np.arange(len(first))
    jacobian[:, bond, first] = -along
    jacobian[:, bond, second] = along
    rows = jacobian.reshape(n_frames, len(first), 3 * n_atoms)
    stretch = np.einsum("fbx,fx->fb", rows, f.reshape(n_frames, 3 * n_atoms))
    try:
        multipliers = np.linalg.solve(rows @ rows.swapaxes(1, 2), stretch[..., None])[..., 0]
    except np.linalg.LinAlgError:
        multipliers = np.full_like(stretch, np.nan)
    left = f - np.einsum("fb,fbax->fax", multipliers, jacobian)
    if not np.isfinite(left).all():
        raise InputError(
            "the lengths of the bonds cannot all be constrained", expected="atoms apart, and independent bonds"
        )
    return left


def rigid_errors(forcefield: ForceField, frames: Frames) -> ErrorTable | None:
    """Errors of a force field's `tangent_forces` with all bonds to hydrogen constrained; None without such bonds.

    We take the forces at the geometries of the frames, where the labels are, and not at constrained ones. The errors
    are over all 3 n_atoms components, as those of the whole forces. Energy errors are NaN, since the energies of the
    frames contain the stretched bonds.

    Raises
    ------
    InputError
        The frames have no forces.
    """
    is_hydrogen = forcefield.atomic_numbers == 1
    bonds = forcefield.bonds[is_hydrogen[forcefield.bonds].any(axis=1)]
    if not len(bonds):
        return None
    if frames.forces is None:
        raise InputError(f"the frames of {frames.name!r} have no forces", hint="label them with a reference engine")
    energies, predicted = forcefield.predict(frames.positions)
    table = error_table(
        (energies, tangent_forces(frames.positions, frames.forces, bonds)),
        (energies, tangent_forces(frames.positions, predicted, bonds)),
    )
    return replace(table, energy_offset=math.nan, energy_mae=math.nan, energy_rmse=math.nan, energy_max=math.nan)
