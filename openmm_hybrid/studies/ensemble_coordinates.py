"""Coordinates along which ensembles of a molecule are compared: dihedrals and pairs of atoms, with their symmetries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from openmm_hybrid.analysis import Density, Wells, density_wells, dihedral_density
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
    """Wells of the dihedrals, of which those that symmetries make equal are one. Made by `of`.

    A well is a region of the first dihedral together with one of the second. The regions come from the density of each
    dihedral alone, which has far less noise than the joint density.

    Parameters
    ----------
    regions : tuple of Wells
        Regions of each dihedral.
    shared : (n_wells,)
        Index of the shared well of each well.
    names : tuple of str
        Mean dihedrals in one of the wells, degrees, such as "180/60"; the most populated shared well comes first.
    """

    regions: tuple[Wells, ...] = field(repr=False)
    shared: Ints = field(repr=False)
    names: tuple[str, ...]

    @classmethod
    def of(cls, density: Density, angles: Floats) -> SharedWells:
        """The wells of an ensemble, joined where images of its frames connect them.

        Parameters
        ----------
        density : Density
            Of one or two dihedrals.
        angles : (n_images, n_frames, n_dihedrals), rad
            See `EnsembleCoordinates.angles`.
        """
        n_dihedrals = density.values.ndim
        single = [density] if n_dihedrals == 1 else [density.marginal(axis) for axis in range(n_dihedrals)]
        regions = tuple(map(density_wells, single))
        labels, n = _joint(regions, angles), int(np.prod([len(one.peaks) for one in regions]))
        links = np.zeros((n, n), dtype=bool)
        for image in labels:
            counts = np.zeros((n, n), dtype=np.int64)
            np.add.at(counts, (labels[0], image), 1)
            links[np.arange(n), counts.argmax(axis=1)] |= counts.any(axis=1)
        number, found = connected_components(links, directed=False)
        frames = np.bincount(found[labels[0]], minlength=number)
        shared = np.argsort(np.argsort(-frames, kind="stable"))[found]
        names: list[str] = []
        peaks = np.array(list(product(*(one.peaks[:, 0] for one in regions))))
        for well in range(number):
            members = np.flatnonzero(shared == well)
            every = [_degrees(angles[labels == member], peaks[member]) for member in members]
            name = min(every, key=lambda degrees: (tuple(angle < 0.0 for angle in degrees), degrees))
            text = "/".join(f"{angle:.0f}" for angle in name)
            names.append(f"{text} ({well + 1})" if text in names else text)
        return cls(regions, shared, tuple(names))

    def labels(self, angles: Floats) -> Ints:
        """Shared well (…) of each point (…, n_dihedrals), rad."""
        return np.asarray(self.shared[_joint(self.regions, angles)])


def _joint(regions: Sequence[Wells], angles: Floats) -> Ints:
    """Well (…) of each point (…, n_dihedrals): the regions of the first dihedral times those of the second."""
    parts = [one.of(angles[..., [axis]]) for axis, one in enumerate(regions)]
    return np.asarray(np.ravel_multi_index(parts, [len(one.peaks) for one in regions]))


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
