"""An elastic network of bonds, angles and torsions: a first Hessian for searches for minima."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core import geometry

Floats = NDArray[np.float64]
Gradient = Callable[[Floats, Sequence[tuple[int, ...]]], tuple[Floats, Floats]]
"""Function of positions and atoms with values and derivatives of internal coordinates, as in `core.geometry`."""

_STIFF = (700.0, 130.0, 4.0)  # of bonds, angles and torsions, kcal/mol/Å² and kcal/mol/rad²
_SOFT = 4.0  # of every other motion, kcal/mol/Å²
_STEEPEST = 3.0  # largest derivative of a coordinate, rad/Å: that of a torsion grows without bound at straight angles


@final
@dataclass(frozen=True)
class ElasticNetwork:
    """Bonds, angles and torsions of an elastic network, with force constants of our choice.

    Parameters
    ----------
    bonds, angles, torsions : list of tuples of 2, 3 and 4 atoms
    """

    bonds: list[tuple[int, ...]]
    angles: list[tuple[int, ...]]
    torsions: list[tuple[int, ...]]

    @classmethod
    def of(cls, bonds: ArrayLike) -> ElasticNetwork:
        """The network of a molecule with bonds (n_bonds, 2)."""
        pairs = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
        angles = [(i, j, k) for j, others in neighbours(pairs).items() for i, k in combinations(others, 2)]
        return cls([tuple(pair) for pair in pairs.tolist()], list(angles), list(torsions(pairs)))

    def inverse_hessian(self, positions: Floats) -> Floats:
        """Inverse Hessians (n_frames, 3 n_atoms, 3 n_atoms), Å²·mol/kcal."""
        n = 3 * positions.shape[1]
        hessian = np.tile(_SOFT * np.eye(n), (len(positions), 1, 1))
        kinds = (
            (self.bonds, geometry.distance_gradient),
            (self.angles, geometry.angle_gradient),
            (self.torsions, geometry.dihedral_gradient),
        )
        for stiffness, (atoms, gradient) in zip(_STIFF, kinds, strict=True):
            rows = derivatives(positions, atoms, gradient)
            rows *= np.minimum(1.0, _STEEPEST / np.maximum(np.linalg.norm(rows, axis=2, keepdims=True), 1e-12))
            hessian += stiffness * rows.transpose(0, 2, 1) @ rows
        return np.asarray(np.linalg.inv(hessian))


def torsions(bonds: ArrayLike) -> list[tuple[int, int, int, int]]:
    """Every chain of three bonds (n_bonds, 2), each once."""
    pairs = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    near = neighbours(pairs)
    return [(a, i, j, b) for i, j in pairs.tolist() for a in near[i] for b in near[j] if a != j and b not in (i, a)]


def derivatives(positions: Floats, atoms: Sequence[tuple[int, ...]], gradient: Gradient) -> Floats:
    """Derivatives (n_frames, n_terms, 3 n_atoms) of internal coordinates."""
    rows = np.zeros((len(positions), len(atoms), positions.shape[1], 3))
    if atoms:
        _, parts = gradient(positions, atoms)
        for corner, indices in enumerate(np.array(atoms).T):
            rows[:, np.arange(len(atoms)), indices] = parts[:, :, corner]
    return rows.reshape(len(positions), len(atoms), 3 * positions.shape[1])


def neighbours(bonds: NDArray[np.int64]) -> dict[int, list[int]]:
    """Atom → the atoms to which bonds (n_bonds, 2) connect it, in ascending order."""
    near: dict[int, list[int]] = {}
    for i, j in bonds.tolist():
        near.setdefault(i, []).append(j)
        near.setdefault(j, []).append(i)
    return {atom: sorted(others) for atom, others in near.items()}
