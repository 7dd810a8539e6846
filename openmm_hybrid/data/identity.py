"""Whether two things are of one molecule in one order of atoms, and the order that makes them so.

Elements and bonds identify a molecule here. Bond orders, formal charges and stereochemistry do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import MismatchError

if TYPE_CHECKING:
    from rdkit import Chem


@final
@dataclass(frozen=True, eq=False)
class Identity:
    """Elements and bonds of a molecule in a fixed order of atoms.

    Parameters
    ----------
    what : str
        Noun for messages, with an article: "the model", "the topology".
    atomic_numbers : (n_atoms,)
    bonds : frozenset of pairs (i, j) with i < j
    """

    what: str
    atomic_numbers: NDArray[np.int64]
    bonds: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, what: str, atomic_numbers: ArrayLike, bonds: Iterable[Iterable[int]]) -> Identity:
        """The identity of these atoms; each bond is a pair of indices in any order."""
        pairs = frozenset((min(pair), max(pair)) for pair in (tuple(map(int, bond)) for bond in bonds))
        return cls(what, np.asarray(atomic_numbers, dtype=np.int64), pairs)

    def equals(self, other: Identity) -> bool:
        """Whether elements and bonds are the same, atom by atom."""
        return np.array_equal(self.atomic_numbers, other.atomic_numbers) and self.bonds == other.bonds

    def order_in(self, other: Identity) -> NDArray[np.int64]:
        """Indices (n_atoms,) of this molecule's atoms in `other`, which has them in another order.

        Equivalent atoms may be exchanged: the graph does not tell them apart. Where the given order fits, it is kept.

        Raises
        ------
        MismatchError
            The graphs of elements and bonds differ; the message names the first atom or bond that does not fit.
        """
        if self.equals(other):
            return np.arange(len(self.atomic_numbers))
        found = self._match(other)
        if len(found) != len(self.atomic_numbers):
            raise MismatchError(
                f"{other.what} is not the molecule of {self.what}: {self.difference(other)}",
                hint="one was made for another molecule, or with other bonds",
            )
        # found[k] is the atom here that fits the atom k there.
        return np.argsort(np.array(found, dtype=np.int64))

    def isomorphic(self, other: Identity) -> bool:
        """Whether elements and bonds are the same in some order of the atoms."""
        return self.equals(other) or len(self._match(other)) == len(self.atomic_numbers)

    def _match(self, other: Identity) -> tuple[int, ...]:
        """The atom here (n_atoms,) that fits each atom of `other`; empty if the graphs differ."""
        same_atoms = sorted(self.atomic_numbers.tolist()) == sorted(other.atomic_numbers.tolist())
        if not same_atoms or len(self.bonds) != len(other.bonds):
            return ()
        return tuple(self.graph().GetSubstructMatch(other.graph()))

    def difference(self, other: Identity) -> str:
        """The first difference of `other` from this identity, for messages."""
        if len(self.atomic_numbers) != len(other.atomic_numbers):
            return f"{len(other.atomic_numbers)} atoms instead of {len(self.atomic_numbers)}"
        differing = np.flatnonzero(self.atomic_numbers != other.atomic_numbers)
        other_elements = sorted(self.atomic_numbers) != sorted(other.atomic_numbers)
        if len(differing) and (other_elements or self.bonds == other.bonds):
            k = int(differing[0])
            return f"atom {k} has the atomic number {other.atomic_numbers[k]} instead of {self.atomic_numbers[k]}"
        extra, absent = sorted(other.bonds - self.bonds), sorted(self.bonds - other.bonds)
        (i, j), verb = (extra[0], "has") if extra else (absent[0], "lacks")
        return f"it {verb} the bond {i}-{j}"

    def graph(self) -> Chem.Mol:
        """Atoms and bonds alone, as a molecule of RDKit with single bonds."""
        from rdkit import Chem

        graph = Chem.RWMol()
        for atomic_number in self.atomic_numbers.tolist():
            atom = Chem.Atom(atomic_number)
            atom.SetNoImplicit(True)
            graph.AddAtom(atom)
        for i, j in sorted(self.bonds):
            graph.AddBond(i, j, Chem.BondType.SINGLE)
        return graph
