"""Langevin dynamics in vacuum, for models that no OpenMM System holds yet.

The BAOAB splitting: Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34.
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
        v = keep * v + np.sqrt(1.0 - keep**2) * self.velocities(v.shape)
        r = r + half * v
        f = forces(r)
        return r, v + half * self.inverse_masses * f, f
