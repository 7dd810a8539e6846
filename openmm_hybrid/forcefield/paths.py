"""Paths in a molecular graph: the atoms that can have a term."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray


def angles(bonds: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """All i-j-k with bonds i-j and j-k, i < k."""
    near = neighbours(bonds)
    return [(i, j, k) for j in sorted(near) for i, k in combinations(near[j], 2)]


def chains(bonds: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """All i-j-k-l along three bonds, j < k: the proper torsions."""
    near = neighbours(bonds)
    return [
        (i, j, k, last)
        for j, k in sorted(tuple(sorted(bond)) for bond in bonds.tolist())
        for i in near[j]
        for last in near[k]
        if i != k and last != j and i != last
    ]


def stars(bonds: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """All centres with three of their neighbours: (centre, i, j, k), i < j < k."""
    near = neighbours(bonds)
    return [(centre, *three) for centre in sorted(near) for three in combinations(near[centre], 3)]


def pentads(bonds: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """All i-j-k-l-m along four bonds, in one direction: pairs of neighbouring torsions."""
    near = neighbours(bonds)
    found = [
        (*chain, last)
        for forward in chains(bonds)
        for chain in (forward, forward[::-1])
        for last in near[chain[3]]
        if last not in chain
    ]
    return sorted({min(path, path[::-1]) for path in found})


def neighbours(bonds: NDArray[np.int64]) -> dict[int, list[int]]:
    """Neighbours of each bonded atom, in rising order."""
    near: dict[int, list[int]] = {}
    for i, j in bonds.tolist():
        near.setdefault(i, []).append(j)
        near.setdefault(j, []).append(i)
    return {atom: sorted(others) for atom, others in near.items()}


PATHS: Mapping[str, Callable[[NDArray[np.int64]], list[tuple[int, ...]]]] = {
    "bonds": lambda bonds: [tuple(bond) for bond in bonds.tolist()],
    "angles": angles,
    "chains": chains,
    "stars": stars,
    "pentads": pentads,
}
"""Function of the bonds (n_bonds, 2) for each kind of path."""
