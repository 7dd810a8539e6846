"""Pairs of dihedrals that tell a molecule's conformations apart, for the sampling study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis import Density, dihedral_density
from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.studies.dihedral_choice import dihedral_name, equivalences, measured_dihedrals

Floats = NDArray[np.float64]

_BINS = 48  # bins of a density along each dihedral
_BANDWIDTH = 0.15  # smoothing of a density, rad


@final
@dataclass(frozen=True)
class TorsionPair:
    """Two dihedrals of a molecule, and the atoms around them.

    Parameters
    ----------
    pattern : str
        SMARTS pattern; the indices below count within its first match. Empty if they count within the molecule.
    dihedrals : two tuples of 4
        Indices of the dihedrals' atoms.
    labels : (str, str)
        Names of the dihedrals for a reader.
    local : tuple of int
        Indices of the atoms of a local correction.
    folds : (int, int)
        Order of each dihedral's rotational symmetry: 3 for a methyl group.
    mirrored : bool
        Whether the mirror image of a conformation is a conformation of the same energy, as in achiral molecules.
    """

    pattern: str
    dihedrals: tuple[tuple[int, ...], tuple[int, ...]]
    labels: tuple[str, str]
    local: tuple[int, ...]
    folds: tuple[int, int] = (1, 1)
    mirrored: bool = True

    def dihedral_atoms(self, molecule: Molecule) -> tuple[tuple[int, ...], ...]:
        """Atoms of the two dihedrals in the molecule."""
        match = self._match(molecule)
        return tuple(tuple(match[index] for index in indices) for indices in self.dihedrals)

    def local_atoms(self, molecule: Molecule) -> list[int]:
        """Atoms of a local correction in the molecule."""
        match = self._match(molecule)
        return [match[index] for index in self.local]

    def _match(self, molecule: Molecule) -> Sequence[int]:
        return molecule.find(self.pattern)[0] if self.pattern else range(molecule.n_atoms)

    def folded(self, dihedrals: Floats) -> Floats:
        """Distances of (n, 2) dihedrals from zero, rad; symmetry copies and mirror images have the same distance."""
        folds = np.array(self.folds)
        return np.asarray(np.abs(np.angle(np.exp(1j * folds * dihedrals))) / folds)

    def features(self, dihedrals: Floats) -> Floats:
        """Numbers that tell conformations apart, from the two dihedrals (2,), rad.

        They are three if mirror images are the same conformation, and four otherwise.
        """
        first, second = dihedrals * np.array(self.folds)
        if self.mirrored:
            return np.array([np.cos(first), np.cos(second), np.sin(first) * np.sin(second)])
        return np.array([np.cos(first), np.cos(second), np.sin(first), np.sin(second)])


MOLECULES = {
    "aspirin": TorsionPair(
        "c(C(=O)[OH])c(-O-C(=O)C)cc",
        ((0, 4, 5, 6), (4, 0, 1, 2)),
        ("ester twist C–C–O–C", "acid C–C–C=O"),
        local=(0, 1, 2, 3, 4, 5, 6, 7, 8, 10),
    ),
    "ethanol": TorsionPair(
        "[H]CC([H])([H])O[H]",
        ((1, 2, 5, 6), (0, 1, 2, 5)),
        ("C–C–O–H", "H–C–C–O"),
        local=(0, 1, 2, 3, 4, 5, 6),
        folds=(1, 3),
    ),
    "malonaldehyde": TorsionPair(
        "O=CCC=O",
        ((0, 1, 2, 3), (4, 3, 2, 1)),
        ("O=C–C–C", "C–C–C=O"),
        local=(0, 1, 2, 3, 4),
    ),
}
"""Molecule → its pair of dihedrals. `chosen_pair` makes the pair of any other one."""


def torsion_pair(molecule: str) -> TorsionPair:
    """The pair of dihedrals of a known molecule.

    Raises
    ------
    InputError
        There is no known pair for this molecule.
    """
    if molecule not in MOLECULES:
        raise InputError(
            f"no dihedrals are known for the molecule {molecule!r}", expected=f"one of {', '.join(MOLECULES)}"
        )
    return MOLECULES[molecule]


def chosen_pair(
    molecule: Molecule, positions: Floats, dihedral: Sequence[str] = (), local: Sequence[int] = ()
) -> TorsionPair:
    """A pair of dihedrals of any molecule.

    Parameters
    ----------
    molecule : Molecule
    positions : (n_frames, n_atoms, 3), Å
        Geometries of one handedness.
    dihedral : sequence of str
        Two texts for `read_dihedral`, or none for those of `measured_dihedrals`.
    local : sequence of int
        Atoms of a local correction. By default those of both dihedrals and the atoms bonded to their middle atoms, but
        no further hydrogens on carbon: they are what turns about the bonds, and what the two groups see of each other.
        This is our choice.

    Raises
    ------
    InputError
        There are no two dihedrals, or an atom does not exist or is given twice.
    """
    found = measured_dihedrals(molecule, positions, dihedral)
    if len(found) != 2:
        raise InputError(
            f"{molecule.name} has {len(found)} dihedrals to compare", expected="two", hint="give --dihedral twice"
        )
    if len(set(local)) < len(local) or any(not 0 <= atom < molecule.n_atoms for atom in local):
        raise InputError(
            f"the local atoms are {', '.join(map(str, local))}",
            expected=f"atoms 0 to {molecule.n_atoms - 1}, each once",
        )
    first, second = found
    symmetries = equivalences(molecule, positions)
    turns = [perm for perm, mirrored in symmetries if not mirrored]
    return TorsionPair(
        "",
        (first, second),
        (dihedral_name(molecule, first), dihedral_name(molecule, second)),
        tuple(local) or _around(molecule, (first, second)),
        folds=(_fold(first, turns), _fold(second, turns)),
        mirrored=any(mirrored for _, mirrored in symmetries),
    )


def _around(molecule: Molecule, dihedrals: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """Atoms of dihedrals, and those bonded to their middle atoms without hydrogens on carbon."""
    chosen = {atom for atoms in dihedrals for atom in atoms}
    for middle in {atom for atoms in dihedrals for atom in atoms[1:3]}:
        for other in molecule.neighbours[middle]:
            if molecule.atomic_numbers[other] > 1 or molecule.atomic_numbers[middle] != 6:
                chosen.add(other)
    return tuple(sorted(chosen))


def _fold(atoms: tuple[int, ...], turns: Sequence[NDArray[np.int64]]) -> int:
    """Order of the rotational symmetry of a dihedral: the number of atoms that can take the place of either end."""
    orders = [
        len({int(perm[end]) for perm in turns if all(perm[atom] == atom for atom in atoms if atom != end)})
        for end in (atoms[0], atoms[3])
    ]
    return math.lcm(*orders)


def values(positions: Floats, atoms: tuple[tuple[int, ...], ...]) -> Floats:
    """Dihedrals (n_frames, 2) of frames (n_frames, n_atoms, 3), rad."""
    return geometry.dihedral(positions, list(atoms))


def density(dihedrals: Floats, weights: Floats | None = None, *, mirrored: bool = True) -> Density:
    """Joint density of (n_frames, 2) dihedrals.

    Parameters
    ----------
    dihedrals : (n_frames, 2), rad
    weights : (n_frames,), optional
        Weights of the frames, such as those of `analysis.boltzmann_weights`.
    mirrored : bool
        Whether every frame counts together with its mirror image.
    """
    both = np.concatenate([dihedrals, -dihedrals]) if mirrored else dihedrals
    doubled = np.tile(weights, 2) if weights is not None and mirrored else weights
    return dihedral_density(both, n_bins=_BINS, bandwidth=_BANDWIDTH, weights=doubled)
