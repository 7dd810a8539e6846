"""Dynamics in vacuum at constant temperature or energy, for models that no OpenMM System holds yet.

The BAOAB splitting: Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34. Without friction it is velocity Verlet
(Swope, Andersen, Berens and Wilson, J. Chem. Phys. 76, 637 (1982)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.units import BOLTZMANN, KJ_PER_KCAL

Floats = NDArray[np.float64]
Forces = Callable[[Floats], Floats]
"""Positions (n_replicas, n_atoms, 3) in Å → forces of this shape in kcal/mol/Å."""

ACCELERATION = KJ_PER_KCAL * 1e-4
"""Å/fs² of 1 kcal/mol/Å on 1 amu."""


@final
@dataclass(frozen=True, eq=False)
class Langevin:
    """An integrator of replicas that do not interact.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
        Masses are those of the elements (ASE's table).
    temperature : float, K
    timestep : float, fs
    friction : float, 1/fs
        Zero for constant energy.
    rng : numpy.random.Generator
    """

    atomic_numbers: NDArray[np.int64]
    temperature: float
    timestep: float
    friction: float
    rng: np.random.Generator

    @cached_property
    def inverse_masses(self) -> Floats:
        """Å/fs² per kcal/mol/Å, (n_atoms, 1)."""
        from ase.data import atomic_masses

        return np.asarray(ACCELERATION / atomic_masses[self.atomic_numbers])[:, None]

    def velocities(self, shape: tuple[int, ...]) -> Floats:
        """Velocities of the Maxwell-Boltzmann distribution, Å/fs; `shape` is (n_replicas, n_atoms, 3)."""
        return np.sqrt(BOLTZMANN * self.temperature * self.inverse_masses) * self.rng.normal(size=shape)

    def step(self, forces: Forces, r: Floats, v: Floats, f: Floats) -> tuple[Floats, Floats, Floats]:
        """One step from positions, velocities and the forces at the positions; returns the same three after it."""
        half, keep = 0.5 * self.timestep, np.exp(-self.friction * self.timestep)
        v = v + half * self.inverse_masses * f
        r = r + half * v
        if self.friction:
            v = keep * v + np.sqrt(1.0 - keep**2) * self.velocities(v.shape)
        r = r + half * v
        f = forces(r)
        return r, v + half * self.inverse_masses * f, f


def without_rigid_motion(positions: Floats, velocities: Floats, masses: Floats, *, linear: bool = False) -> Floats:
    """Velocities (n_replicas, n_atoms, 3) without the translation and rotation of each replica.

    The mass-weighted least-squares fit of a rigid motion v + ω × r is subtracted, so that the total momentum and the
    total angular momentum about the centre of mass are zero, also for linear geometries.

    Parameters
    ----------
    positions : (n_replicas, n_atoms, 3), Å
    velocities : (n_replicas, n_atoms, 3), Å/fs
    masses : (n_atoms,), amu
    linear : bool
        Whether the minimum is linear. A motion about the axis of the smallest inertia is then a vibration, however bent
        a geometry is, and stays.
    """
    shares = masses / masses.sum()
    centred = positions - np.einsum("a,nai->ni", shares, positions)[:, None]
    internal = velocities - np.einsum("a,nai->ni", shares, velocities)[:, None]
    momentum = np.einsum("a,nai->ni", masses, np.cross(centred, internal))
    squares = np.einsum("a,nai,nai->n", masses, centred, centred)
    inertia = squares[:, None, None] * np.eye(3) - np.einsum("a,nai,naj->nij", masses, centred, centred)
    if linear:
        moments, axes = np.linalg.eigh(inertia)
        inverse = np.einsum("nik,nk,njk->nij", axes[:, :, 1:], 1.0 / moments[:, 1:], axes[:, :, 1:])
    else:  # the inverse ignores the axis of a straight geometry, about which nothing rotates
        inverse = np.linalg.pinv(inertia, rcond=1e-8, hermitian=True)
    rotation = np.einsum("nij,nj->ni", inverse, momentum)
    return np.asarray(internal - np.cross(rotation[:, None], centred))
