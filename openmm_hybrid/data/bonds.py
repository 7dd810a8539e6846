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
_CLEARLY_BONDED, _CLEARLY_APART = 1.2, 1.35  # limits of distances, relative to the sum of the covalent radii
_LONG = 1.4  # longest plausible median of a bond length, relative to the expected length
_HINT = "bring both to one atom order (Molecule.reordered, or an SDF file in the frames' order), and lengths to Å"


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


def clear_bonds(
    atomic_numbers: NDArray[np.int64], pairs: NDArray[np.int64], distances: NDArray[np.float64]
) -> NDArray[np.int64] | None:
    """Bonds (n_bonds, 2), i < j, from the mean distances of all pairs; None if a distance is no clear answer.

    A pair is bonded below 1.2 and not bonded above 1.35 times the sum of its covalent radii (ASE's). Atoms in several
    parts, as chosen from a larger molecule, give None too.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    pairs : (n_pairs, 2)
        All pairs of atoms.
    distances : (n_pairs,), Å
    """
    from ase.data import covalent_radii
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    i, j = np.sort(pairs, axis=1).T
    ratio = distances / (covalent_radii[atomic_numbers[i]] + covalent_radii[atomic_numbers[j]])
    bonded = ratio < _CLEARLY_BONDED
    graph = coo_array((np.ones(int(bonded.sum())), (i[bonded], j[bonded])), shape=2 * (len(atomic_numbers),))
    doubtful = bool(((ratio >= _CLEARLY_BONDED) & (ratio <= _CLEARLY_APART)).any())
    if doubtful or connected_components(graph, directed=False)[0] > 1:
        return None
    return np.array(sorted(zip(i[bonded].tolist(), j[bonded].tolist(), strict=True)), dtype=np.int64).reshape(-1, 2)


def check_order(molecule: Molecule, frames: Frames) -> None:
    """Refuse frames of other atoms than the molecule's, or with its elements in another order of atoms.

    Raises
    ------
    MismatchError
        The elements differ, or the median length of a bond in the frames is more than 1.4 times its length in the
        molecule's first conformer.
    """
    if not np.array_equal(molecule.atomic_numbers, frames.atomic_numbers):
        raise MismatchError(
            f"the atoms of the molecule {molecule.name} are not those of the frames of {frames.name!r}", hint=_HINT
        )
    i, j = molecule.bonds.T
    expected = np.linalg.norm(molecule.positions[i] - molecule.positions[j], axis=1)
    check_bonds(f"the molecule {molecule.name}", molecule.bonds, expected, frames)


def check_bonds(what: str, bonds: NDArray[np.int64], expected: NDArray[np.float64] | None, frames: Frames) -> None:
    """Refuse frames in which a bond is far too long, as in another order of atoms or in other units.

    Parameters
    ----------
    what : str
        Noun for the message, with an article: "the force field".
    bonds : (n_bonds, 2)
    expected : (n_bonds,), Å, or None
        Lengths of the bonds; None for the sums of the covalent radii (ASE's).
    frames : Frames

    Raises
    ------
    MismatchError
        The median length of a bond in the frames is more than 1.4 times the expected one.
    """
    from ase.data import covalent_radii

    if not len(bonds) or not len(frames):
        return
    if expected is None:
        expected = covalent_radii[frames.atomic_numbers[bonds]].sum(axis=1)
    lengths = np.array(
        [np.median(np.linalg.norm(frames.positions[:, a] - frames.positions[:, b], axis=1)) for a, b in bonds]
    )
    worst = int(np.argmax(lengths / expected))
    if lengths[worst] > _LONG * expected[worst]:
        i, j = bonds[worst]
        raise MismatchError(
            f"the bond {i}-{j} of {what} is {lengths[worst]:.2f} Å long in the frames of {frames.name!r}",
            expected=f"about {expected[worst]:.2f} Å",
            hint=_HINT,
        )
