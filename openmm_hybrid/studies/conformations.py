"""What the sampling study looks at in each molecule: dihedrals, and the atoms of a local correction."""

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

_BINS, _BANDWIDTH = 48, 0.15  # of densities; the bandwidth in rad


@final
@dataclass(frozen=True)
class Conformations:
    """Two dihedrals of a molecule, and the atoms around them.

    Parameters
    ----------
    pattern : str
        SMARTS whose first match the places count in.
    dihedrals : two tuples of 4
        Places of their atoms in the match.
    labels : (str, str)
        Of the dihedrals, for a reader.
    local : tuple of int
        Places of the atoms of a local correction.
    folds : (int, int)
        After how many parts of a turn symmetry brings each dihedral back: 3 for a methyl group's.
    """

    pattern: str
    dihedrals: tuple[tuple[int, ...], tuple[int, ...]]
    labels: tuple[str, str]
    local: tuple[int, ...]
    folds: tuple[int, int] = (1, 1)

    def dihedral_atoms(self, molecule: Molecule) -> tuple[tuple[int, ...], ...]:
        """Atoms of the two dihedrals in the molecule."""
        match = molecule.find(self.pattern)[0]
        return tuple(tuple(match[place] for place in places) for places in self.dihedrals)

    def local_atoms(self, molecule: Molecule) -> list[int]:
        """Atoms of a local correction in the molecule."""
        match = molecule.find(self.pattern)[0]
        return [match[place] for place in self.local]

    def folded(self, dihedrals: Floats) -> Floats:
        """How far (n, 2) dihedrals of (n, 2) are from zero, where symmetry and mirror images count as the same, rad."""
        folds = np.array(self.folds)
        return np.asarray(np.abs(np.angle(np.exp(1j * folds * dihedrals))) / folds)

    def features(self, dihedrals: Floats) -> Floats:
        """What tells conformations apart, mirror images being one: (3,) of the two dihedrals, rad."""
        first, second = dihedrals * np.array(self.folds)
        return np.array([np.cos(first), np.cos(second), np.sin(first) * np.sin(second)])


CASES = {
    "aspirin": Conformations(
        "c(C(=O)[OH])c(-O-C(=O)C)cc",
        ((0, 4, 5, 6), (4, 0, 1, 2)),
        ("ester twist C–C–O–C", "acid C–C–C=O"),
        local=(0, 1, 2, 3, 4, 5, 6, 7, 8, 10),
    ),
    "ethanol": Conformations(
        "[H]CC([H])([H])O[H]",
        ((1, 2, 5, 6), (0, 1, 2, 5)),
        ("C–C–O–H", "H–C–C–O"),
        local=(0, 1, 2, 3, 4, 5, 6),
        folds=(1, 3),
    ),
    "malonaldehyde": Conformations(
        "O=CCC=O",
        ((0, 1, 2, 3), (4, 3, 2, 1)),
        ("O=C–C–C", "C–C–C=O"),
        local=(0, 1, 2, 3, 4),
    ),
}
"""Molecules that the study knows."""


def case_of(name: str) -> Conformations:
    """The case of a molecule.

    Raises
    ------
    InputError
        Unknown molecule.
    """
    if name not in CASES:
        raise InputError(f"the sampling study does not know {name!r}", expected=f"one of {', '.join(CASES)}")
    return CASES[name]


def values(positions: Floats, atoms: tuple[tuple[int, ...], ...]) -> Floats:
    """Dihedrals (n_frames, 2) of frames, rad."""
    return geometry.dihedral(positions, list(atoms))


def density(dihedrals: Floats) -> Density:
    """Joint density of (n_frames, 2) dihedrals; each frame counts with its mirror image: no handedness."""
    return dihedral_density(np.concatenate([dihedrals, -dihedrals]), n_bins=_BINS, bandwidth=_BANDWIDTH)
