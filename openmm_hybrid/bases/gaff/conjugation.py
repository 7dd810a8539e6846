"""Correction of the paired types of conjugated atoms (cc and cd, ce and cf, …) to agree with the bond orders.

GAFF distinguishes single from double bonds between conjugated atoms by pairs of types: two types of the same kind
(cc-cc, cc-ce, nc-nc) make a single bond, two of different kinds (cc-cd, cc-cf, nc-nd) a double one. antechamber assigns
the types as it walks through the molecule. In some atom orders of thiophene, imidazoles, pyridazinones and porphins the
walk ends in a contradiction, and a double bond gets the parameters of a single bond.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from openmm_hybrid.data.molecule import Molecule

if TYPE_CHECKING:
    from rdkit import Chem

PARTNERS = {"cc": "cd", "ce": "cf", "nc": "nd", "ne": "nf", "pc": "pd", "pe": "pf"}
"""First type → second type of each pair."""
_SECOND = {second: first for first, second in PARTNERS.items()}
_FLIPPED = PARTNERS | _SECOND


def kekule(molecule: Molecule) -> Chem.Mol:
    """A Kekulé structure of the molecule, without conformers: aromatic bonds become single and double bonds.

    The choice among several structures does not depend on the order of the atoms.
    """
    from rdkit import Chem

    mol = Chem.Mol(molecule.rdkit)
    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=True))
    canonical = Chem.RenumberAtoms(mol, sorted(range(len(ranks)), key=ranks.__getitem__))
    Chem.Kekulize(canonical, clearAromaticFlags=True)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    for bond in mol.GetBonds():
        same = canonical.GetBondBetweenAtoms(ranks[bond.GetBeginAtomIdx()], ranks[bond.GetEndAtomIdx()])
        bond.SetBondType(same.GetBondType())
    return mol


def consistent_types(types: Sequence[str], structure: Chem.Mol) -> tuple[str, ...]:
    """antechamber's types, reassigned in each conjugated part whose types contradict the bond orders.

    The first atom of a part keeps its type. A part that no assignment fits (odd rings of delocalised bonds, as in
    azulene) keeps the types of antechamber.

    Parameters
    ----------
    types : (n_atoms,) str
    structure : rdkit.Chem.Mol
        Kekulé structure of the same atoms, from `kekule`.
    """
    from rdkit import Chem

    links: dict[int, list[tuple[int, bool]]] = {i: [] for i, kind in enumerate(types) if kind in _FLIPPED}
    for bond in structure.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if i in links and j in links:
            unlike = bond.GetBondType() == Chem.BondType.DOUBLE
            links[i].append((j, unlike))
            links[j].append((i, unlike))
    result = list(types)
    done: set[int] = set()
    for start in links:
        if start not in done:
            kinds = _spread(start, links, types[start] in _SECOND)
            done |= set(kinds)
            if all((kinds[i] != kinds[j]) == unlike for i in kinds for j, unlike in links[i]):
                for atom, second in kinds.items():
                    result[atom] = types[atom] if (types[atom] in _SECOND) == second else _FLIPPED[types[atom]]
    return tuple(result)


def _spread(start: int, links: dict[int, list[tuple[int, bool]]], second: bool) -> dict[int, bool]:
    """For each atom connected to `start`: whether it gets the second type of its pair."""
    kinds = {start: second}
    pending = [start]
    while pending:
        atom = pending.pop()
        for neighbour, unlike in links[atom]:
            if neighbour not in kinds:
                kinds[neighbour] = kinds[atom] != unlike
                pending.append(neighbour)
    return kinds
