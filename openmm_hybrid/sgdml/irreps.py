"""Irreducible representations of a permutation group on the pairs of atoms, which make permuted queries cheap.

A permutation s acts on descriptors as an orthogonal matrix, (P_s x)_p = x_{s(p)}. An orthogonal basis in which all P_s
are block diagonal, T P_s Tᵀ = ⊕_ρ D_ρ(s) ⊗ 1, turns the products of all permuted queries with one training point into

    (P_s x)·y = Σ_ρ Σ_kl D_ρ(s)_lk Σ_i x_ki y_li,

with components k, l of dimension d and copies i of the representation ρ: d² products over the copies in place of one
over all pairs for every permutation (J.-P. Serre, Linear Representations of Finite Groups, 1977, sections 1 and 2).

The basis is found numerically: the eigenspaces of a random symmetric matrix that commutes with all P_s are irreducible,
and a second random matrix of this kind maps equivalent eigenspaces onto each other. Only one orbit of each kind is
analysed, so that the matrices are small; the other orbits of that kind have the same basis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

_MATRICES = 20  # random matrices; the one with the best separated eigenvalues is used
_SAME = 1e-6  # eigenvalues that differ by less belong to one eigenspace, and overlaps below this are zero

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Irrep:
    """An irreducible representation of a group of S elements that acts on D pairs.

    Parameters
    ----------
    matrices : (S, d, d)
        D_ρ(s), orthogonal.
    basis : (D, d, n_copies)
        Orthonormal columns, with P_s basis[:, k] = Σ_l basis[:, l] D_ρ(s)_lk.
    """

    matrices: Floats
    basis: Floats

    @property
    def is_trivial(self) -> bool:
        """Whether every element is represented by 1."""
        return self.matrices.shape[1] == 1 and bool((self.matrices > 0.0).all())


@final
@dataclass(frozen=True, eq=False)
class _Kind:
    """Orbits with the same action of the group: images (S, size) within an orbit, orbits (n_orbits, size)."""

    images: Ints
    orbits: Ints


def irreps(moves: Ints) -> list[Irrep]:
    """The irreducible representations of a group in its action on pairs, the trivial one first.

    Parameters
    ----------
    moves : (S, D)
        Group of permutations of the pairs (see `descriptor.pair_permutations`).
    """
    kinds = _kinds(moves)
    if not kinds:
        return []
    sizes = [kind.images.shape[1] for kind in kinds]
    owner = np.repeat(np.arange(len(kinds)), sizes)
    matrices = _matrices(kinds, sizes)
    random = np.random.default_rng(0)
    found: list[list[tuple[int, Floats]]] = []
    link = _commuting(matrices, random)
    for kind, space in _eigenspaces(matrices, owner, random):
        for copies in found:
            overlap = _overlap(copies[0][1], link, space)
            size = np.sqrt((overlap**2).sum() / len(overlap)) if overlap.size else 0.0
            if size > _SAME:
                copies.append((kind, space @ overlap.T / size))
                break
        else:
            found.append([(kind, space)])
    result = []
    for copies in found:
        first = copies[0][1]
        columns = []
        for kind, space in copies:
            for orbit in kinds[kind].orbits:
                column = np.zeros((moves.shape[1], space.shape[1]))
                column[orbit] = space[owner == kind]
                columns.append(column)
        result.append(Irrep(first.T @ matrices @ first, np.stack(columns, axis=2)))
    return sorted(result, key=lambda irrep: not irrep.is_trivial)


def _kinds(moves: Ints) -> list[_Kind]:
    """The orbits, grouped by the stabiliser of their first pair."""
    orbits: dict[tuple[int, ...], list[Ints]] = {}
    seen = np.zeros(moves.shape[1], dtype=bool)
    for pair in range(moves.shape[1]):
        if seen[pair]:
            continue
        members = np.unique(moves[:, pair])
        seen[members] = True
        # Stabilisers of the pairs of an orbit are conjugate: the smallest one is the same for orbits of one kind.
        stabiliser, start = min((tuple(np.flatnonzero(moves[:, p] == p).tolist()), int(p)) for p in members)
        _, first = np.unique(moves[:, start], return_index=True)
        orbits.setdefault(stabiliser, []).append(moves[np.sort(first), start])
    kinds = []
    for alike in orbits.values():
        index = np.zeros(moves.shape[1], dtype=np.int64)
        index[alike[0]] = np.arange(len(alike[0]))
        kinds.append(_Kind(index[moves[:, alike[0]]], np.array(alike)))
    return kinds


def _matrices(kinds: list[_Kind], sizes: list[int]) -> Floats:
    """P_s on one orbit of each kind, (S, Σ sizes, Σ sizes)."""
    images = np.concatenate([kind.images + sum(sizes[:k]) for k, kind in enumerate(kinds)], axis=1)
    return np.eye(images.shape[1])[images]


def _commuting(matrices: Floats, random: np.random.Generator) -> Floats:
    """A random symmetric matrix that commutes with all of the matrices."""
    matrix = random.normal(size=matrices.shape[1:])
    return np.mean(matrices @ (matrix + matrix.T) @ matrices.transpose(0, 2, 1), axis=0)


def _eigenspaces(matrices: Floats, owner: Ints, random: np.random.Generator) -> list[tuple[int, Floats]]:
    """Irreducible subspaces: the kind of orbit and an orthonormal basis (Σ sizes, d) of each."""
    best: list[tuple[int, Floats]] = []
    widest = -1.0
    for _ in range(_MATRICES):
        matrix = _commuting(matrices, random)
        spaces, gap = [], np.inf
        for kind in range(owner[-1] + 1):
            members = np.flatnonzero(owner == kind)
            values, vectors = np.linalg.eigh(matrix[np.ix_(members, members)])
            steps = np.diff(values)
            cuts = np.flatnonzero(steps > _SAME)
            gap = min(gap, *steps[cuts]) if cuts.size else gap
            for columns in np.split(np.arange(len(members)), cuts + 1):
                space = np.zeros((len(owner), len(columns)))
                space[members] = vectors[:, columns]
                spaces.append((kind, space))
        if gap > widest:
            best, widest = spaces, gap
    return best


def _overlap(first: Floats, link: Floats, second: Floats) -> Floats:
    """Block of a commuting matrix between two irreducible subspaces: a multiple of an orthogonal matrix, or zero."""
    if first.shape != second.shape:
        return np.zeros((0, 0))
    return first.T @ link @ second
