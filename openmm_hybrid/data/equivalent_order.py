"""One labelling of equivalent branches (hydrogens of CH2, methyls of isopropyl, oxygens of NO2) in all conformers.

Exchanging the labels of two such atoms changes no energy, but a model that was trained with one labelling does not know
the other one. An embedding chooses the labels at random, so we fix them here by the indices of the atoms alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rdkit import Chem

_SIDE = 0.1  # smallest difference between the cosines of two dihedral angles that tells cis from trans
_WITH_HAND = (3, 4)  # numbers of neighbours of an atom that has a hand
_PASSES = 3  # a neighbour across a bond may be exchanged after the bond was looked at


@dataclass(frozen=True)
class _Centre:
    """An atom with two exchangeable branches.

    Parameters
    ----------
    corners : tuple of four int
        Atoms whose tetrahedron has the hand, in their fixed order; empty for a planar atom.
    axis : tuple of three int
        For a planar atom, itself, the end of its bond or chain, and the neighbour there that decides; else empty.
    first, second : tuple of int
        Atoms of the branches, each one beside its counterpart. The roots come first.
    """

    corners: tuple[int, ...]
    axis: tuple[int, ...]
    first: tuple[int, ...]
    second: tuple[int, ...]

    def is_fixed(self, r: NDArray[np.float64]) -> bool:
        """Whether the positions (n_atoms, 3) have the fixed labelling."""
        if self.corners:
            a, b, c, d = r[list(self.corners)]
            return bool((b - a) @ np.cross(c - a, d - a) > 0.0)
        root, end, other = self.axis
        along = (r[end] - r[root]) / np.linalg.norm(r[end] - r[root])
        vectors = r[[self.first[0], self.second[0], other]] - r[[root, root, end]]
        vectors -= np.outer(vectors @ along, along)
        cis = vectors[:2] @ vectors[2] / np.linalg.norm(vectors[:2], axis=1) / np.linalg.norm(vectors[2])
        if abs(cis[0] - cis[1]) > _SIDE:
            return bool(cis[0] > cis[1])
        return bool(np.cross(vectors[0], vectors[2]) @ along > 0.0)


def with_fixed_labels(mol: Chem.Mol, conformers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Conformers (n, n_atoms, 3) with one labelling of the equivalent branches of each atom; only labels change.

    The neighbours a < b < c < d of a tetrahedral atom with equivalent branches get a positive (b-a)·((c-a)×(d-a)), as
    in the data set of ethanol of Chmiela et al., Nat. Commun. 9, 3887 (2018). Where the atom has three neighbours, it
    is a itself. At a planar atom the branch of the lower index is cis to a neighbour of the atom across the bond, the
    first one that is not exchangeable itself, or else the first. Where neither is cis, the sign of the dihedral angle
    decides. Branches that share a ring, or whose order the molecule's stated configuration fixes, keep their labels.
    """
    centres = _centres(mol)
    labelled = np.array(conformers, dtype=np.float64)
    for r in labelled:
        for centre in centres * _PASSES:
            if not centre.is_fixed(r):
                r[[*centre.first, *centre.second]] = r[[*centre.second, *centre.first]]
    return labelled


def _centres(mol: Chem.Mol) -> list[_Centre]:
    """All atoms with two equivalent branches: large branches first, then tetrahedral atoms before planar ones."""
    from rdkit import Chem

    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    around = [sorted(n.GetIdx() for n in atom.GetNeighbors()) for atom in mol.GetAtoms()]
    roots = {}
    for atom in mol.GetAtoms():
        centre = atom.GetIdx()
        if len(around[centre]) not in _WITH_HAND or atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED:
            continue
        found = [_branches(mol, ranks, around, centre, i, j) for i, j in combinations(around[centre], 2)]
        if any(found):
            roots[centre] = min(filter(None, found), key=lambda branches: (len(branches[0]), branches))
    exchangeable = {index for branches in roots.values() for index in (branches[0][0], branches[1][0])}
    centres = []
    for centre, (first, second) in roots.items():
        corners = tuple(around[centre])
        axis: tuple[int, ...] = ()
        if len(corners) == min(_WITH_HAND):
            corners = (centre, *corners)
            if mol.GetAtomWithIdx(centre).GetHybridization() == Chem.HybridizationType.SP2:
                axis = _axis(mol, around, centre, {first[0], second[0]}, exchangeable)
                if not axis:
                    continue  # a rotation exchanges the branches, as in formaldehyde
        centres.append(_Centre(() if axis else corners, axis, first, second))
    return sorted(centres, key=lambda centre: (-len(centre.first), bool(centre.axis)))


def _branches(
    mol: Chem.Mol, ranks: Sequence[int], around: Sequence[Sequence[int]], centre: int, i: int, j: int
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Atoms beyond the neighbours i and j of an atom, each beside its counterpart; None if they are not equivalent."""
    if len(around[i]) == len(around[j]) == 1:
        # Resonance makes the oxygens of a nitro group equivalent, whatever their bonds and charges.
        kinds = {(atom.GetAtomicNum(), atom.GetIsotope()) for atom in map(mol.GetAtomWithIdx, (i, j))}
        return ((i,), (j,)) if len(kinds) == 1 else None
    if ranks[i] != ranks[j]:
        return None
    pairs, reached, queue = {i: j}, {centre, i, j}, [i]
    for atom in queue:
        ahead = [sorted((ranks[n], n) for n in around[k] if n not in reached) for k in (atom, pairs[atom])]
        if len(ahead[0]) != len(ahead[1]) or set(ahead[0]) & set(ahead[1]):
            return None
        for (_, a), (_, b) in zip(*ahead, strict=True):
            pairs[a] = b
            reached |= {a, b}
            queue.append(a)
    same_bonds = all(sorted(pairs.get(n, n) for n in around[a]) == list(around[b]) for a, b in pairs.items())
    same_ranks = all(ranks[a] == ranks[b] for a, b in pairs.items())
    return (tuple(pairs), tuple(pairs.values())) if same_bonds and same_ranks else None


def _axis(
    mol: Chem.Mol, around: Sequence[Sequence[int]], centre: int, roots: set[int], exchangeable: set[int]
) -> tuple[int, ...]:
    """The axis of a planar atom with two branches; empty if nothing across its third bond is to one side."""
    from rdkit import Chem

    before, (end,) = centre, set(around[centre]) - roots
    while len(around[end]) == 2 and mol.GetAtomWithIdx(end).GetHybridization() == Chem.HybridizationType.SP:
        before, end = end, next(n for n in around[end] if n != before)
    if mol.GetAtomWithIdx(end).GetHybridization() == Chem.HybridizationType.SP:
        return ()
    others = sorted((n in exchangeable, n) for n in around[end] if n != before)
    return (centre, end, others[0][1]) if others else ()
