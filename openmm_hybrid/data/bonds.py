"""Bonds of a molecule from its geometry, and whether a molecule and frames have the same order of atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import MismatchError

if TYPE_CHECKING:
    from openmm_hybrid.data.frames import Frames
    from openmm_hybrid.data.molecule import Molecule

_BOND_FACTOR = 1.25  # longest bond, relative to the sum of the covalent radii
_LONG = 1.4  # longest plausible median of a bond length, relative to its length in the molecule's first conformer


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


def check_order(molecule: Molecule, frames: Frames) -> None:
    """Refuse frames of other atoms than the molecule's, or with its elements in another order of atoms.

    Raises
    ------
    MismatchError
        The elements differ, or the median length of a bond in the frames is more than 1.4 times its length in the
        molecule's first conformer.
    """
    hint = "give the molecule in the frames' atom order (Molecule.reordered, or an SDF file), and lengths in Å"
    if not np.array_equal(molecule.atomic_numbers, frames.atomic_numbers):
        raise MismatchError(
            f"the atoms of the molecule {molecule.name} are not those of the frames of {frames.name!r}", hint=hint
        )
    if not len(molecule.bonds) or not len(frames):
        return
    i, j = molecule.bonds.T
    expected = np.linalg.norm(molecule.positions[i] - molecule.positions[j], axis=1)
    lengths = np.array(
        [np.median(np.linalg.norm(frames.positions[:, a] - frames.positions[:, b], axis=1)) for a, b in molecule.bonds]
    )
    worst = int(np.argmax(lengths / expected))
    if lengths[worst] > _LONG * expected[worst]:
        raise MismatchError(
            f"the bond {i[worst]}-{j[worst]} of the molecule {molecule.name} is {lengths[worst]:.2f} Å long in the "
            f"frames of {frames.name!r}",
            expected=f"about {expected[worst]:.2f} Å",
            hint=hint,
        )
