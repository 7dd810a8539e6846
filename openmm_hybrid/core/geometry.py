"""Distances, angles and dihedrals with their derivatives, finite at singular points.

Every function takes positions (n_frames, n_atoms, 3) in Å and an index array of atoms (n_terms, 2 | 3 | 4), and
returns values (n_frames, n_terms). The ``*_gradient`` functions return (values, derivatives) with derivatives
(n_frames, n_terms, 2 | 3 | 4, 3), the rows of Wilson's B-matrix (Wilson, Decius, Cross, *Molecular Vibrations*, 1955).
Where a derivative does not exist (coinciding atoms, a straight angle, a dihedral about a straight angle), its component
along the undefined direction is zero, never NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError

Array = NDArray[np.float64]

_TINY = 1e-12


def distance(positions: ArrayLike, pairs: ArrayLike) -> Array:
    """Distances |r_j − r_i| (n_frames, n_terms), Å, for pairs (n_terms, 2)."""
    r, index = _gather(positions, pairs, 2)
    return np.asarray(np.linalg.norm(r[:, index[:, 1]] - r[:, index[:, 0]], axis=-1))


def distance_gradient(positions: ArrayLike, pairs: ArrayLike) -> tuple[Array, Array]:
    """Distances (n_frames, n_terms) in Å and their derivatives (n_frames, n_terms, 2, 3)."""
    r, index = _gather(positions, pairs, 2)
    bond = r[:, index[:, 1]] - r[:, index[:, 0]]
    length = np.linalg.norm(bond, axis=-1)
    along = bond / _safe(length)
    return length, np.stack([-along, along], axis=2)


def angle(positions: ArrayLike, triples: ArrayLike) -> Array:
    """Angle i-j-k at j (n_frames, n_terms), rad in [0, π], as atan2(|u × v|, u·v): accurate at 0 and π too."""
    return angle_gradient(positions, triples)[0]


def angle_gradient(positions: ArrayLike, triples: ArrayLike) -> tuple[Array, Array]:
    """Angles (n_frames, n_terms) in rad and their derivatives (n_frames, n_terms, 3, 3), rad/Å.

    With u = r_i − r_j, v = r_k − r_j and the unit vector n along u × v (zero for a straight angle):
    ∂θ/∂r_i = u × n/|u|², ∂θ/∂r_k = n × v/|v|² and ∂θ/∂r_j = −∂θ/∂r_i − ∂θ/∂r_k.
    """
    r, index = _gather(positions, triples, 3)
    u = r[:, index[:, 0]] - r[:, index[:, 1]]
    v = r[:, index[:, 2]] - r[:, index[:, 1]]
    cross = np.cross(u, v)
    sine = np.linalg.norm(cross, axis=-1)
    value = np.arctan2(sine, (u * v).sum(-1))
    normal = cross / _safe(sine)
    first = np.cross(u, normal) / _safe((u * u).sum(-1))
    last = np.cross(normal, v) / _safe((v * v).sum(-1))
    return value, np.stack([first, -first - last, last], axis=2)


def dihedral(positions: ArrayLike, quadruples: ArrayLike) -> Array:
    """Dihedral i-j-k-l (n_frames, n_terms), rad in (−π, π], IUPAC sign: cis 0, trans π, clockwise positive."""
    return dihedral_gradient(positions, quadruples)[0]


def dihedral_gradient(positions: ArrayLike, quadruples: ArrayLike) -> tuple[Array, Array]:
    """Dihedrals (n_frames, n_terms) in rad and their derivatives (n_frames, n_terms, 4, 3), rad/Å.

    The derivatives follow Blondel and Karplus, J. Comput. Chem. 17, 1132 (1996), eq. 27. It has no
    division by sin φ, so φ = 0 and φ = π are regular points.
    """
    r, index = _gather(positions, quadruples, 4)
    f = r[:, index[:, 0]] - r[:, index[:, 1]]
    g = r[:, index[:, 1]] - r[:, index[:, 2]]
    h = r[:, index[:, 3]] - r[:, index[:, 2]]
    a, b = np.cross(f, g), np.cross(h, g)
    a2, b2 = (a * a).sum(-1), (b * b).sum(-1)
    length = np.linalg.norm(g, axis=-1)
    value = np.arctan2((np.cross(b, a) * g).sum(-1) / np.maximum(length, _TINY), (a * b).sum(-1))
    value = np.where(value <= -np.pi, np.pi, value)
    a_term, b_term = a / _safe(a2), b / _safe(b2)
    fg = ((f * g).sum(-1) / np.maximum(length, _TINY))[..., None] * a_term
    hg = ((h * g).sum(-1) / np.maximum(length, _TINY))[..., None] * b_term
    ends = length[..., None]
    gradient = np.stack([-ends * a_term, ends * a_term + fg - hg, hg - fg - ends * b_term, ends * b_term], axis=2)
    return value, gradient


def _gather(positions: ArrayLike, atoms: ArrayLike, width: int) -> tuple[Array, NDArray[np.int64]]:
    r = np.asarray(positions, dtype=np.float64)
    index = np.asarray(atoms, dtype=np.int64)
    if r.ndim != 3 or r.shape[-1] != 3:
        raise InputError(f"positions have shape {r.shape}", expected="(n_frames, n_atoms, 3)")
    if index.ndim != 2 or index.shape[1] != width:
        raise InputError(f"atom indices have shape {index.shape}", expected=f"(n_terms, {width})")
    if index.size and (index.min() < 0 or index.max() >= r.shape[1]):
        wrong = index.min() if index.min() < 0 else index.max()
        raise InputError(f"atom index {wrong} is out of range", expected=f"0 to {r.shape[1] - 1}")
    return r, index


def _safe(values: Array) -> Array:
    """Values as divisors of vectors, with one instead of zero."""
    return np.where(values > _TINY, values, 1.0)[..., None]
