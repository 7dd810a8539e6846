"""Short Langevin dynamics in vacuum, to see whether a fitted molecule stays whole."""

from __future__ import annotations

import math

import numpy as np
import torch
from ase.data import atomic_masses
from numpy.typing import NDArray

from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.units import BOLTZMANN, KJ_PER_KCAL

_ACCELERATION = KJ_PER_KCAL * 1e-4  # (kcal/mol/Å)/amu in Å/fs²
_FRICTION = 0.01  # 1/fs
_TOO_LONG = 1.5


def longest_stretch(
    forcefield: ForceField,
    positions: NDArray[np.float64],
    temperature: float,
    steps: int,
    *,
    timestep: float = 0.5,
    seed: int = 0,
) -> float:
    """The largest ratio that any bond reached to its own start, infinite where the motion blew up.

    Langevin dynamics by the BAOAB splitting (Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34), all starts at
    once; ends at the first bond beyond 1.5 times its start.

    Parameters
    ----------
    forcefield : ForceField
    positions : (n_starts, n_atoms, 3), Å
    temperature : float, K
    steps : int
    timestep : float, fs
    seed : int
    """
    generator = torch.Generator().manual_seed(seed)
    module = forcefield.module()
    mass = torch.tensor(atomic_masses[forcefield.numbers])[:, None]
    thermal = torch.sqrt(BOLTZMANN * temperature * _ACCELERATION / mass)
    keep = math.exp(-_FRICTION * timestep)
    kick = math.sqrt(1.0 - keep * keep)
    first, second = torch.tensor(forcefield.bonds).t()

    def lengths(r: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(r[:, first] - r[:, second], dim=-1)

    def noise() -> torch.Tensor:
        return torch.randn(r.shape, generator=generator, dtype=r.dtype)

    with torch.inference_mode():
        r = torch.tensor(positions)
        start, longest = lengths(r), 1.0
        v = thermal * noise()
        pull = module(r)[1] * (0.5 * timestep * _ACCELERATION / mass)
        for _ in range(steps):
            v = v + pull
            r = r + 0.5 * timestep * v
            v = keep * v + kick * thermal * noise()
            r = r + 0.5 * timestep * v
            pull = module(r)[1] * (0.5 * timestep * _ACCELERATION / mass)
            v = v + pull
            stretch = float((lengths(r) / start).max())
            longest = max(longest, stretch) if math.isfinite(stretch) else math.inf
            if longest > _TOO_LONG:
                break
    return longest
