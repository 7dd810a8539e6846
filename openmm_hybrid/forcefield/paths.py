"""Angles, chains and stars of a molecular graph: where terms can be."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray


def angles(bonds: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Every i-j-k with bonds i-j and j-k, i < k."""
    near = neighbours(bonds)
    return [(i, j, k) for j in sorted(near) for i, k in combinations(near[j], 2)]


def chains(bonds: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Every i-j-k-l along three bonds, j < k: the proper torsions."""
    near = neighbours(bonds)
    return [
        (i, j, k, last)
        for j, k in sorted(tuple(sorted(bond)) for bond in bonds.tolist())
        for i in near[j]
        for last in near[k]
        if i != k and last != j and i != last
    ]


def stars(bonds: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Every centre with three of its neighbours: (centre, i, j, k), i < j < k."""
    near = neighbours(bonds)
    return [(centre, *three) for centre in sorted(near) for three in combinations(near[centre], 3)]


def pentads(bonds: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Every i-j-k-l-m along four bonds, each once: two neighbouring torsions."""
    near = neighbours(bonds)
    found = [
        (*chain, last)
        for one in chains(bonds)
        for chain in (one, one[::-1])
        for last in near[chain[3]]
        if last not in chain
    ]
    return sorted({min(each, each[::-1]) for each in found})


def neighbours(bonds: NDArray[np.int64]) -> dict[int, list[int]]:
    """Bonded atoms of each atom that has any, in rising order."""
    near: dict[int, list[int]] = {}
    for i, j in bonds.tolist():
        near.setdefault(i, []).append(j)
        near.setdefault(j, []).append(i)
    return {atom: sorted(others) for atom, others in near.items()}
