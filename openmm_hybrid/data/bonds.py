"""Bonds of a molecule from its geometry alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BOND_FACTOR = 1.25  # longest bond, relative to the sum of the covalent radii


def bonds_from_geometry(atomic_numbers: ArrayLike, positions: ArrayLike) -> NDArray[np.int64]:
    """Bonds (n_bonds, 2): atoms whose mean distance is below 1.25 times the sum of their covalent radii.

    The radii are ASE's. `positions` (n_frames, n_atoms, 3) or (n_atoms, 3) are in Å.
    """
    from ase.data import covalent_radii

    elements = np.asarray(atomic_numbers, dtype=np.int64)
    frames = np.asarray(positions, dtype=np.float64).reshape(-1, len(elements), 3)
    i, j = np.triu_indices(len(elements), 1)
    # One pair at a time: all pairs of a long trajectory would take gigabytes.
    mean = np.array([np.linalg.norm(frames[:, a] - frames[:, b], axis=1).mean() for a, b in zip(i, j, strict=True)])
    bonded = mean < _BOND_FACTOR * (covalent_radii[elements[i]] + covalent_radii[elements[j]])
    return np.stack([i[bonded], j[bonded]], axis=1).astype(np.int64)
