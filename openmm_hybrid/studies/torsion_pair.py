"""Pairs of dihedrals that tell a molecule's conformations apart, for the sampling study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis import Density, dihedral_density
from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.molecule import Molecule

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
        SMARTS pattern; the indices below count within its first match.
    dihedrals : two tuples of 4
        Indices of the dihedrals' atoms.
    labels : (str, str)
        Names of the dihedrals for a reader.
    local : tuple of int
        Indices of the atoms of a local correction.
    folds : (int, int)
        Order of each dihedral's rotational symmetry: 3 for a methyl group.
    """

    pattern: str
    dihedrals: tuple[tuple[int, ...], tuple[int, ...]]
    labels: tuple[str, str]
    local: tuple[int, ...]
    folds: tuple[int, int] = (1, 1)

    def dihedral_atoms(self, molecule: Molecule) -> tuple[tuple[int, ...], ...]:
        """Atoms of the two dihedrals in the molecule."""
        match = molecule.find(self.pattern)[0]
        return tuple(tuple(match[index] for index in indices) for indices in self.dihedrals)

    def local_atoms(self, molecule: Molecule) -> list[int]:
        """Atoms of a local correction in the molecule."""
        match = molecule.find(self.pattern)[0]
        return [match[index] for index in self.local]

    def folded(self, dihedrals: Floats) -> Floats:
        """Distances of (n, 2) dihedrals from zero, rad; symmetry copies and mirror images have the same distance."""
        folds = np.array(self.folds)
        return np.asarray(np.abs(np.angle(np.exp(1j * folds * dihedrals))) / folds)

    def features(self, dihedrals: Floats) -> Floats:
        """Three numbers that tell conformations apart, from the two dihedrals (2,), rad; mirror images agree."""
        first, second = dihedrals * np.array(self.folds)
        return np.array([np.cos(first), np.cos(second), np.sin(first) * np.sin(second)])


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
"""Molecule → its pair of dihedrals."""


def torsion_pair(molecule: str) -> TorsionPair:
    """The pair of dihedrals of a molecule.

    Raises
    ------
    InputError
        The study has no pair for this molecule.
    """
    if molecule not in MOLECULES:
        raise InputError(
            f"the sampling study does not know the molecule {molecule!r}", expected=f"one of {', '.join(MOLECULES)}"
        )
    return MOLECULES[molecule]


def values(positions: Floats, atoms: tuple[tuple[int, ...], ...]) -> Floats:
    """Dihedrals (n_frames, 2) of frames (n_frames, n_atoms, 3), rad."""
    return geometry.dihedral(positions, list(atoms))


def density(dihedrals: Floats, weights: Floats | None = None) -> Density:
    """Joint density of (n_frames, 2) dihedrals; every frame counts together with its mirror image.

    Parameters
    ----------
    dihedrals : (n_frames, 2), rad
    weights : (n_frames,), optional
        Weights of the frames, such as those of `analysis.boltzmann_weights`.
    """
    both = np.concatenate([dihedrals, -dihedrals])
    doubled = None if weights is None else np.tile(weights, 2)
    return dihedral_density(both, n_bins=_BINS, bandwidth=_BANDWIDTH, weights=doubled)
