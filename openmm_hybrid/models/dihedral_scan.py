"""Relaxed scans over two dihedrals, in rounds in which every grid point passes its geometry on to its neighbours.

Each round relaxes a list of geometries at their grid points. Where the energy falls, the geometry is proposed to the
four neighbours and to the symmetry images of the point. The scan ends when no energy falls any further. All geometries
of a round come from the round before, so that the result does not depend on an order of the points. The idea is that of
torsiondrive (Qiu et al., J. Chem. Phys. 152, 244116 (2020)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core import geometry
from openmm_hybrid.models.elastic_network import torsions
from openmm_hybrid.models.held_dihedrals import HeldDihedral, Relaxed, keeps_bonds, turned

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Relax = Callable[[int, Floats, Floats], Relaxed]
"""Relaxes geometries (n, n_atoms, 3), Å, at dihedrals (n, 2), rad; the first argument is the number of the round."""

_FALL = 1e-3  # least fall of an energy that is passed on, kcal/mol
_STEEP = 10.0  # largest rise of the energy between neighbours against which a geometry is passed on, kcal/mol
_SAME = np.radians(30.0)  # largest difference of the other dihedrals of geometries that relax to the same one
_STRAIGHT = np.radians(165.0)  # angle from which on dihedrals through it mean nothing
_UNRELAXED = 0.1  # largest remaining force of a geometry that counts, kcal/mol/Å
_MOST_ROUNDS = 500


@final
@dataclass(frozen=True, eq=False)
class Image:
    """A symmetry of the energy as a function of two dihedrals.

    Parameters
    ----------
    permutation : (n_atoms,)
        Order of the atoms in the image.
    mirrored : bool
        Whether the image is a mirror image; both dihedrals then change their sign.
    swapped : bool
        Whether the two dihedrals change places.
    """

    permutation: Ints = field(repr=False)
    mirrored: bool
    swapped: bool

    def geometries(self, positions: Floats) -> Floats:
        """Images of geometries (n_frames, n_atoms, 3)."""
        return positions[:, self.permutation] * (-1.0 if self.mirrored else 1.0)

    def points(self, n_angles: int) -> Ints:
        """Image (n_angles²,) of each grid point; see `grid`."""
        first, second = np.divmod(np.arange(n_angles**2), n_angles)
        if self.mirrored:
            first, second = -first % n_angles, -second % n_angles
        return np.asarray(second * n_angles + first if self.swapped else first * n_angles + second)


@final
@dataclass(frozen=True, eq=False)
class Scan:
    """A relaxed scan over two dihedrals on a periodic grid.

    Parameters
    ----------
    positions : (n_angles, n_angles, n_atoms, 3), Å
    energies : (n_angles, n_angles), kcal/mol
        NaN where no geometry was found.
    forces : (n_angles, n_angles), kcal/mol/Å
        Largest remaining force component; NaN where no geometry was found.
    n_rounds : int
    """

    positions: Floats = field(repr=False)
    energies: Floats
    forces: Floats
    n_rounds: int


def grid(n_angles: int) -> Floats:
    """Dihedrals (n_angles², 2), rad, of all grid points; both begin at −π, and the second one runs fastest."""
    angles = np.linspace(-np.pi, np.pi, n_angles, endpoint=False)
    return np.stack(np.meshgrid(angles, angles, indexing="ij"), axis=-1).reshape(-1, 2)


def relaxed_scan(
    atomic_numbers: Ints,
    bonds: Ints,
    held: Sequence[HeldDihedral],
    n_angles: int,
    starts: Floats,
    relax: Relax,
    *,
    images: Sequence[Image] = (),
) -> Scan:
    """Scan two dihedrals from a set of minima.

    In the first round every grid point has the start whose dihedrals are nearest, turned rigidly, and every start is
    relaxed at its nearest grid point. Of starts that are equally near the first one counts. Of points that are images
    of each other one is searched, and the others are relaxed from its images.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    bonds : (n_bonds, 2)
    held : two HeldDihedrals
        About different bonds.
    n_angles : int
        Number of angles of each dihedral.
    starts : (n_starts, n_atoms, 3), Å
        Minima of the model, the lowest one first.
    relax : function
        See `Relax`.
    images : sequence of Image
        Symmetries of the surface, with their products.
    """
    shapes = _Shapes.of(atomic_numbers, bonds, starts)
    wave = _Wave(held, n_angles, shapes, images)
    every = np.concatenate([starts, *(image.geometries(starts) for image in images)])
    points, geometries = wave.first(every)
    for number in count():
        if not len(points) or number == _MOST_ROUNDS:
            break
        found = relax(number, geometries, wave.angles[points])
        points, geometries = wave.proposals(wave.merged(points, found))
    shape = (n_angles, n_angles)
    known = np.isfinite(wave.energies)
    energies, forces = (np.where(known, part, np.nan).reshape(shape) for part in (wave.energies, wave.forces))
    return Scan(wave.positions.reshape(*shape, *starts.shape[1:]), energies, forces, number)


class _Wave:
    """The best geometry of every grid point so far."""

    def __init__(self, held: Sequence[HeldDihedral], n_angles: int, shapes: _Shapes, images: Sequence[Image]) -> None:
        self._held, self._n, self._shapes, self._images = tuple(held), n_angles, shapes, tuple(images)
        self._image_points = [image.points(n_angles) for image in images]
        self.angles = grid(n_angles)
        self.energies = np.full(n_angles**2, np.inf)
        self.forces = np.full(n_angles**2, np.inf)
        self.positions = np.zeros((n_angles**2, shapes.n_atoms, 3))

    def first(self, starts: Floats) -> tuple[Ints, Floats]:
        """Points and geometries of the first round."""
        began = geometry.dihedral(starts, [dihedral.atoms for dihedral in self._held])
        away = np.abs(_wrapped(self.angles[:, None] - began[None])).max(axis=2)
        # A start that is nearer by rounding alone must not replace a lower one.
        nearest = np.argmin(np.round(away, 6), axis=1)
        points = np.argmin(away, axis=0)
        other = nearest[points] != np.arange(len(starts))
        everywhere = np.arange(len(self.angles))
        # The images of a relaxed geometry are relaxed already: one of them is searched, and the others follow.
        searched = everywhere[np.min([everywhere, *self._image_points], axis=0) == everywhere]
        points = np.concatenate([searched, points[other]])
        geometries = np.concatenate([starts[nearest[searched]], starts[other]])
        return points, turned(geometries, self._held, self.angles[points])

    def merged(self, points: Ints, found: Relaxed) -> Ints:
        """Take the geometries that are lower, and return the points whose energies fell."""
        good = (
            np.isfinite(found.energies)
            & (found.forces < _UNRELAXED)
            & keeps_bonds(found.positions, self._shapes.bonds, self._shapes.lengths)
        )
        energies = np.where(good, found.energies, np.inf)
        before = self.energies.copy()
        for index in np.argsort(energies, kind="stable").tolist():
            point = int(points[index])
            if energies[index] < self.energies[point]:
                self.energies[point], self.forces[point] = energies[index], found.forces[index]
                self.positions[point] = found.positions[index]
        return np.flatnonzero(self.energies < before - _FALL)

    def proposals(self, fallen: Ints) -> tuple[Ints, Floats]:
        """Points and geometries of the next round: those of neighbours and images that may be lower."""
        order = fallen[np.argsort(self.energies[fallen], kind="stable")]
        i, j = np.divmod(order, self._n)
        targets, geometries, sources, is_image = [], [], [], []
        for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            target = (i + di) % self._n * self._n + (j + dj) % self._n
            wanted = self.energies[order] < self.energies[target] + _STEEP
            targets.append(target[wanted])
            sources.append(order[wanted])
            geometries.append(self.positions[order[wanted]])
            is_image.append(np.zeros(len(sources[-1]), dtype=bool))
        for image, image_points in zip(self._images, self._image_points, strict=True):
            target = image_points[order]
            wanted = self.energies[order] < self.energies[target] - _FALL
            targets.append(target[wanted])
            sources.append(order[wanted])
            geometries.append(image.geometries(self.positions[order[wanted]]))
            is_image.append(np.ones(len(sources[-1]), dtype=bool))
        points = np.concatenate(targets)
        candidates = turned(np.concatenate(geometries), self._held, self.angles[points])
        ranked = np.lexsort((self.energies[np.concatenate(sources)], ~np.concatenate(is_image)))
        return self._new(points[ranked], candidates[ranked])

    def _new(self, points: Ints, candidates: Floats) -> tuple[Ints, Floats]:
        """The candidates of other shapes than their point's geometry and than the candidates before them."""
        shapes, present = self._shapes.of_each(candidates), self._shapes.of_each(self.positions)
        seen: dict[int, list[Floats]] = {}
        kept = []
        for index, point in enumerate(points.tolist()):
            known = seen.setdefault(point, [present[point]] if np.isfinite(self.energies[point]) else [])
            if not any(_apart(shapes[index], other) < _SAME for other in known):
                known.append(shapes[index])
                kept.append(index)
        return points[kept], candidates[kept]


@final
@dataclass(frozen=True, eq=False)
class _Shapes:
    """What tells the shapes of a molecule apart, and a molecule from the products of its reactions."""

    n_atoms: int
    bonds: Ints
    lengths: Floats
    chains: list[tuple[int, int, int, int]]

    @classmethod
    def of(cls, atomic_numbers: Ints, bonds: Ints, starts: Floats) -> _Shapes:
        chains = shape_dihedrals(atomic_numbers, bonds, starts)
        return cls(len(atomic_numbers), bonds, geometry.distance(starts[:1], bonds)[0], chains)

    def of_each(self, positions: Floats) -> Floats:
        """Dihedrals (n_frames, n_chains) of each geometry."""
        return geometry.dihedral(positions, np.array(self.chains, dtype=np.int64).reshape(-1, 4))


def shape_atoms(atomic_numbers: Ints, bonds: Ints) -> list[int]:
    """Indices of the heavy atoms and of the hydrogens on other atoms than carbon.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    bonds : (n_bonds, 2)
    """
    on_carbon = set()
    for i, j in [*bonds.tolist(), *bonds[:, ::-1].tolist()]:
        if atomic_numbers[i] == 1 and atomic_numbers[j] == 6:
            on_carbon.add(i)
    return [atom for atom in range(len(atomic_numbers)) if atom not in on_carbon]


def shape_dihedrals(atomic_numbers: Ints, bonds: Ints, positions: Floats) -> list[tuple[int, int, int, int]]:
    """Dihedrals that tell the shapes of a molecule apart: between heavy atoms and hydrogens on other atoms than carbon.

    Chains with an angle of more than 165° in one of the geometries are left out.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    bonds : (n_bonds, 2)
    positions : (n_frames, n_atoms, 3), Å
    """
    ends = set(shape_atoms(atomic_numbers, bonds))
    chains = [chain for chain in torsions(bonds) if chain[0] in ends and chain[3] in ends]
    if not chains:
        return []
    indices = np.array(chains)
    widest = [geometry.angle(positions, indices[:, part]).max(axis=0) for part in ([0, 1, 2], [1, 2, 3])]
    bent = np.maximum(*widest) < _STRAIGHT
    return [chain for chain, is_bent in zip(chains, bent.tolist(), strict=True) if is_bent]


def _apart(first: Floats, second: Floats) -> float:
    return float(np.abs(_wrapped(first - second)).max(initial=0.0))


def _wrapped(angles: Floats) -> Floats:
    """Angles in [−π, π), rad."""
    return np.asarray((angles + np.pi) % (2.0 * np.pi) - np.pi)
