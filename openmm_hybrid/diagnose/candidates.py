"""Internal coordinates of a molecule, from its bonds."""

from __future__ import annotations

from collections import deque
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.forcefield.paths import angles, chains, neighbours


def candidates(
    numbers: NDArray[np.int64], bonds: NDArray[np.int64], hydrogens: bool
) -> list[tuple[str, tuple[int, ...]]]:
    """Kind and atoms of the internal coordinates of a molecule that may be missed or differ.

    Every pair three bonds apart or more, every angle and every torsion.

    Parameters
    ----------
    numbers : (n_atoms,)
    bonds : (n_bonds, 2)
    hydrogens : bool
        Pairs of hydrogens too. Torsions and angles with hydrogens are always there.

    Returns
    -------
    list of ("distance" | "angle" | "dihedral", atoms)
    """
    near = neighbours(bonds)
    pairs = [
        (i, j)
        for i, j in combinations(range(len(numbers)), 2)
        if _bonds_between(near, i, j) >= 3 and (hydrogens or 1 not in (numbers[i], numbers[j]))
    ]
    found: list[tuple[str, tuple[int, ...]]] = [("distance", pair) for pair in pairs]
    found += [("angle", each) for each in angles(bonds)]
    return found + [("dihedral", each) for each in chains(bonds)]


def _bonds_between(near: dict[int, list[int]], start: int, end: int) -> float:
    """Number of bonds on the shortest way from one atom to another."""
    seen, ahead = {start}, deque([(start, 0)])
    while ahead:
        atom, steps = ahead.popleft()
        if atom == end:
            return steps
        new = [other for other in near.get(atom, []) if other not in seen]
        seen |= set(new)
        ahead.extend((other, steps + 1) for other in new)
    return float("inf")
