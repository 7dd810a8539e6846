"""Which minima of several models are the same conformation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core import geometry
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.dihedral_scan import shape_dihedrals
from openmm_hybrid.models.minima import Minimum
from openmm_hybrid.studies.dihedral_choice import equivalences

Floats = NDArray[np.float64]

_SAME = 45.0  # largest difference of a dihedral of the same conformation in two models, degrees; our choice


@final
@dataclass(frozen=True, eq=False)
class Conformation:
    """A conformation that one or more models have.

    Parameters
    ----------
    positions : (n_atoms, 3), Å
        Geometry in the first model that has it.
    minima : mapping of str to int
        Name of the model → index of its minimum.
    """

    positions: Floats = field(repr=False)
    minima: dict[str, int]


@final
class Conformations:
    """Compares geometries of a molecule by dihedrals.

    Two geometries are the same conformation if no dihedral between heavy atoms, or hydrogens on other atoms than
    carbon, differs by 45° or more, after the best exchange of equivalent atoms and, for an achiral molecule,
    reflection. Bond lengths and angles of force fields differ, and displacements add up along a chain, so that
    dihedrals tell conformations apart more reliably than distances of aligned atoms. Rotations of methyl groups do not
    count.

    Parameters
    ----------
    molecule : Molecule
    positions : (n_frames, n_atoms, 3), Å
        Geometries that tell which angles are straight.
    """

    def __init__(self, molecule: Molecule, positions: Floats) -> None:
        self._chains = np.array(
            shape_dihedrals(molecule.atomic_numbers, molecule.bonds, positions), dtype=np.int64
        ).reshape(-1, 4)
        used = np.unique(self._chains)
        kept: dict[tuple[bool, bytes], tuple[NDArray[np.int64], float]] = {}
        for perm, mirrored in equivalences(molecule, positions):
            kept.setdefault((mirrored, perm[used].tobytes()), (perm, -1.0 if mirrored else 1.0))
        self._images = list(kept.values())

    def difference(self, first: Floats, second: Floats) -> float:
        """Largest difference of a dihedral between two geometries (n_atoms, 3), degrees."""
        angles = self._dihedrals(first)
        turns = (angles - sign * self._dihedrals(second[perm]) for perm, sign in self._images)
        return min(float(np.degrees(np.abs(np.angle(np.exp(1j * turn)))).max(initial=0.0)) for turn in turns)

    def nearest(self, positions: Floats, known: Sequence[Conformation]) -> int | None:
        """Index of the conformation that a geometry (n_atoms, 3) has; None if it is none of the known ones."""
        away = [self.difference(conformation.positions, positions) for conformation in known]
        return int(np.argmin(away)) if away and min(away) < _SAME else None

    def matched(self, minima: Mapping[str, Sequence[Minimum]]) -> list[Conformation]:
        """The conformations of all models.

        Those of the first model come first. The minima of each further model are assigned to known conformations, the
        closest pairs first; a minimum without a partner is a new conformation.

        Parameters
        ----------
        minima : mapping of str to sequence of Minimum
            Name of the model → its distinct minima.
        """
        known: list[Conformation] = []
        for name, found in minima.items():
            pairs = [
                (self.difference(conformation.positions, minimum.positions), number, index)
                for number, conformation in enumerate(known)
                for index, minimum in enumerate(found)
            ]
            partners: dict[int, int] = {}
            for away, number, index in sorted(pairs):
                if away < _SAME and number not in partners.values() and index not in partners:
                    partners[index] = number
            for index, minimum in enumerate(found):
                if index in partners:
                    known[partners[index]].minima[name] = index
                else:
                    known.append(Conformation(minimum.positions, {name: index}))
        return known

    def _dihedrals(self, positions: Floats) -> Floats:
        return geometry.dihedral(positions[None], self._chains)[0]
