"""Coordinates along which ensembles of a molecule are compared: dihedrals and pairs of atoms, with their symmetries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from openmm_hybrid.analysis import Density, Wells, dihedral_density
from openmm_hybrid.core import geometry
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.studies.dihedral_choice import equivalences

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BINS = 48  # bins of a density along each dihedral
_BANDWIDTH = 0.15  # smoothing of a density, rad
_APART = 3  # least number of bonds between the atoms of a pair
_ROUND = 5.0  # degrees to which the name of a well is rounded

Chains = tuple[tuple[int, ...], ...]


@final
@dataclass(frozen=True, eq=False)
class EnsembleCoordinates:
    """Dihedrals and pairs of atoms of a molecule. Made by `of`.

    Parameters
    ----------
    images : tuple of (chains, sign)
        Atoms of the dihedrals, and of the dihedrals that take their place when equivalent atoms are exchanged. The sign
        is −1 if a mirror image belongs to the exchange. The identity comes first.
    pairs : dict of str to (n_pairs, 2)
        Pairs three bonds or more apart; equivalent ones share an entry, which has the name of its first pair.
    """

    images: tuple[tuple[Chains, float], ...]
    pairs: dict[str, Ints] = field(repr=False)

    @classmethod
    def of(cls, molecule: Molecule, positions: Floats, dihedrals: Chains) -> EnsembleCoordinates:
        """The coordinates of a molecule.

        Parameters
        ----------
        molecule : Molecule
        positions : (n_frames, n_atoms, 3), Å
            Geometries of one handedness.
        dihedrals : tuple of tuples of 4
            Atoms of up to two dihedrals.
        """
        symmetries = equivalences(molecule, positions)
        images: dict[tuple[Chains, float], None] = {}
        for perm, mirrored in symmetries:
            chains = tuple(_directed(perm[list(atoms)].tolist()) for atoms in dihedrals)
            images.setdefault((chains, -1.0 if mirrored else 1.0))
        return cls(tuple(images), _kinds_of_pairs(molecule, [perm for perm, _ in symmetries]))

    @property
    def n_dihedrals(self) -> int:
        """Number of dihedrals: 0, 1 or 2."""
        return len(self.images[0][0])

    def angles(self, positions: Floats) -> Floats:
        """Dihedrals (n_images, n_frames, n_dihedrals), rad, of frames (n_frames, n_atoms, 3) in all images."""
        found = [sign * geometry.dihedral(positions, list(chains)) for chains, sign in self.images]
        return np.array(found)

    def density(self, positions: Floats) -> Density:
        """Joint density of the dihedrals in frames (n_frames, n_atoms, 3); all images of a frame count equally."""
        images = [angles[:, 0] if self.n_dihedrals == 1 else angles for angles in self.angles(positions)]
        parts = [dihedral_density(angles, n_bins=_BINS, bandwidth=_BANDWIDTH) for angles in images]
        return Density(parts[0].grid, np.mean([part.values for part in parts], axis=0))


@final
@dataclass(frozen=True, eq=False)
class SharedWells:
    """Wells of a density of dihedrals, of which those that symmetries make equal are one. Made by `of`.

    Parameters
    ----------
    wells : Wells
    shared : (n_wells,)
        Index of the shared well of each well.
    names : tuple of str
        Dihedrals of one of the wells, degrees, such as "180/60".
    """

    wells: Wells = field(repr=False)
    shared: Ints = field(repr=False)
    names: tuple[str, ...]

    @classmethod
    def of(cls, wells: Wells, angles: Floats) -> SharedWells:
        """Join wells that images of frames connect.

        Parameters
        ----------
        wells : Wells
        angles : (n_images, n_frames, n_dihedrals), rad
            See `EnsembleCoordinates.angles`.
        """
        labels, n = wells.of(angles), len(wells.peaks)
        links = np.zeros((n, n), dtype=bool)
        for image in labels:
            counts = np.zeros((n, n), dtype=np.int64)
            np.add.at(counts, (labels[0], image), 1)
            links[np.arange(n), counts.argmax(axis=1)] |= counts.any(axis=1)
        _, found = connected_components(links, directed=False)
        _, first = np.unique(found, return_index=True)
        shared = np.argsort(np.argsort(first))[found]  # numbered like the wells
        names: list[str] = []
        for number in range(shared.max() + 1):
            members = np.flatnonzero(shared == number)
            every = [_degrees(angles[labels == member], wells.peaks[member]) for member in members]
            name = min(every, key=lambda degrees: (tuple(angle < 0.0 for angle in degrees), degrees))
            text = "/".join(f"{angle:.0f}" for angle in name)
            names.append(f"{text} ({number + 1})" if text in names else text)
        return cls(wells, shared, tuple(names))

    def labels(self, angles: Floats) -> Ints:
        """Shared well (…) of each point (…, n_dihedrals), rad."""
        return np.asarray(self.shared[self.wells.of(angles)])


def _degrees(angles: Floats, peak: Floats) -> tuple[float, ...]:
    """Mean of angles (n, n_dihedrals), rad, in rounded degrees above −180°; the peak of a well without frames."""
    mean = np.angle(np.exp(1j * angles).mean(axis=0)) if len(angles) else peak
    rounded = _ROUND * np.round(np.degrees(mean) / _ROUND)
    return tuple(np.where(rounded <= -180.0, 180.0, rounded + 0.0).tolist())


def _directed(atoms: Sequence[int]) -> tuple[int, ...]:
    """The atoms of a dihedral in one of the two directions, which have the same value."""
    return min(tuple(atoms), tuple(atoms[::-1]))


def _kinds_of_pairs(molecule: Molecule, perms: Sequence[Ints]) -> dict[str, Ints]:
    from rdkit import Chem

    between = Chem.GetDistanceMatrix(molecule.rdkit)
    kinds: dict[str, Ints] = {}
    seen: set[tuple[int, int]] = set()
    for i, j in np.argwhere(np.triu(between >= _APART, k=1)).tolist():
        if (i, j) not in seen:
            images = {(min(pair), max(pair)) for pair in (tuple(perm[[i, j]].tolist()) for perm in perms)}
            seen |= images
            kinds[f"{molecule.elements[i]}{i}···{molecule.elements[j]}{j}"] = np.array(sorted(images))
    return kinds
