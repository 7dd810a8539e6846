"""Bonds of a molecule that is known by its geometry alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BOND_FACTOR = 1.25  # of the sum of covalent radii


def bonds_from_geometry(atomic_numbers: ArrayLike, positions: ArrayLike) -> NDArray[np.int64]:
    """Bonds (n_bonds, 2) between atoms whose mean distance is below 1.25 times the sum of covalent radii (ASE's)."""
    from ase.data import covalent_radii

    numbers = np.asarray(atomic_numbers, dtype=np.int64)
    frames = np.asarray(positions, dtype=np.float64).reshape(-1, len(numbers), 3)
    i, j = np.triu_indices(len(numbers), 1)
    # Pair by pair: all at once takes gigabytes for a long trajectory.
    mean = np.array([np.linalg.norm(frames[:, a] - frames[:, b], axis=1).mean() for a, b in zip(i, j, strict=True)])
    bonded = mean < _BOND_FACTOR * (covalent_radii[numbers[i]] + covalent_radii[numbers[j]])
    return np.stack([i[bonded], j[bonded]], axis=1).astype(np.int64)
