"""Harmonic frequencies from forces at displaced geometries."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from ase.data import atomic_masses
from numpy.typing import ArrayLike, NDArray
from scipy import constants
from scipy.linalg import null_space

from openmm_hybrid.core.units import KJ_PER_KCAL

Floats = NDArray[np.float64]

STEP: Final = 0.005
"""Displacement of a coordinate, Å: small enough for the harmonic part, large beside the noise of the forces."""

_SMALL = 1e-3  # singular value, relative to the largest, of a rotation about the axis of a linear molecule: its minimum
# is bent by what is left of the forces, by up to 1e-4, while bent molecules such as isocyanic acid have 0.1
_PER_WAVENUMBER = (
    math.sqrt(1e3 * KJ_PER_KCAL / constants.N_A / constants.angstrom**2 / constants.atomic_mass)
    / (2.0 * math.pi * constants.speed_of_light)
    / 100.0
)  # cm⁻¹ of (1 kcal/mol/Å²/Da)^½


def displaced(positions: ArrayLike) -> Floats:
    """Geometries (6 n_atoms, n_atoms, 3), Å: each coordinate of (n_atoms, 3) moved by `STEP` forward, then backward."""
    start = np.asarray(positions, dtype=np.float64)
    moves = STEP * np.eye(start.size).reshape(-1, *start.shape)
    return np.concatenate([start + moves, start - moves])


def hessian(forces: ArrayLike) -> Floats:
    """Second derivatives (3 n_atoms, 3 n_atoms), kcal/mol/Å², from forces at the geometries of `displaced`.

    Central differences, made symmetric.

    Parameters
    ----------
    forces : (6 n_atoms, n_atoms, 3), kcal/mol/Å
    """
    forward, backward = np.split(np.asarray(forces, dtype=np.float64), 2)
    slopes = (backward - forward).reshape(len(forward), -1) / (2.0 * STEP)
    return np.asarray((slopes + slopes.T) / 2.0)


def frequencies(hessian: Floats, atomic_numbers: ArrayLike, positions: ArrayLike) -> Floats:
    """Harmonic wavenumbers (3 n_atoms − 6,), cm⁻¹, ascending; negative for imaginary ones.

    A linear molecule has one more.

    Eigenvalues of the mass-weighted second derivatives without translations and rotations (Wilson, Decius and Cross,
    Molecular Vibrations, 1955). Masses are the standard atomic weights.

    Parameters
    ----------
    hessian : (3 n_atoms, 3 n_atoms), kcal/mol/Å²
    atomic_numbers : (n_atoms,)
    positions : (n_atoms, 3), Å
    """
    masses, places = atomic_masses[np.asarray(atomic_numbers)], np.asarray(positions, dtype=np.float64)
    roots = np.sqrt(np.repeat(masses, 3))
    centred = places - np.average(places, axis=0, weights=masses)
    turns = np.cross(np.eye(3)[:, None], centred).reshape(3, -1)
    rigid = np.concatenate([np.tile(np.eye(3), len(masses)), turns]) * roots
    inner = null_space(rigid, rcond=_SMALL)
    weighted = hessian / np.outer(roots, roots)
    values = np.linalg.eigvalsh(inner.T @ weighted @ inner)
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)) * _PER_WAVENUMBER)
