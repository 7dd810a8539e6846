"""The paired types of conjugated atoms (cc and cd, ce and cf, …), made to agree with the bond orders.

GAFF tells single from double bonds between conjugated atoms by pairs of types: like cc-cc, cc-ce, nc-nc are single,
unlike cc-cd, cc-cf, nc-nd double. antechamber deals the pairs out while it walks through the molecule, and in some
atom orders it loses the thread (thiophene, imidazoles, pyridazinones, porphins): a double bond then gets a single
bond's parameters, which moved metronidazole's angles by 15 kcal/mol.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from openmm_hybrid.data.molecule import Molecule

if TYPE_CHECKING:
    from rdkit import Chem

PARTNERS = {"cc": "cd", "ce": "cf", "nc": "nd", "ne": "nf", "pc": "pd", "pe": "pf"}
"""First kind → second kind of each pair."""
_SECOND = {second: first for first, second in PARTNERS.items()}
_FLIPPED = PARTNERS | _SECOND


def kekule(molecule: Molecule) -> Chem.Mol:
    """A copy of the molecule, without conformers, whose aromatic bonds are single and double.

    Which of the Kekulé structures it is does not depend on the order of the atoms.
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
    """antechamber's types with the pairs dealt out anew in each conjugated part where they contradict the bond orders.

    A part keeps the type of its first atom. One that no assignment fits (odd rings of delocalised bonds, as in
    azulene) stays as antechamber typed it.

    Parameters
    ----------
    types : (n_atoms,) str
    structure : rdkit.Chem.Mol
        Of the same atoms, from `kekule`.
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
    """Atoms joined to `start` → whether they get the second type of their pair, bond after bond."""
    kinds = {start: second}
    pending = [start]
    while pending:
        atom = pending.pop()
        for neighbour, unlike in links[atom]:
            if neighbour not in kinds:
                kinds[neighbour] = kinds[atom] != unlike
                pending.append(neighbour)
    return kinds
