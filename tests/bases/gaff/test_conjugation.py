"""Types of conjugated atoms agree with the bond orders, in whatever order the atoms come."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid import Molecule
from openmm_hybrid.bases.gaff.conjugation import PARTNERS, consistent_types, kekule
from openmm_hybrid.bases.gaff.types import antechamber_types

FIRST, SECOND = set(PARTNERS), set(PARTNERS.values())


@pytest.mark.parametrize(
    "smiles",
    [
        "c1ccsc1",
        "Cc1ncc(n1CCO)[N+](=O)[O-]",
        "NCCc1c[nH]cn1",
        "C=C/C=C/C=C",
        "O=c1cc[nH]c(=O)[nH]1",
        "c1ccc2[nH]ccc2c1",
    ],
)
def test_like_types_single_unlike_types_double(smiles: str) -> None:
    """The rule of ATOMTYPE_GFF.DEF and of GAFF's bond lengths: cc-cc 1.43 Å, cc-cd 1.37 Å."""
    molecule = Molecule.from_smiles(smiles)
    for seed in range(3):
        shuffled = molecule.reordered(np.random.default_rng(seed).permutation(molecule.n_atoms))
        types = antechamber_types(shuffled, "1.81")
        checked = 0
        for bond in kekule(shuffled).GetBonds():
            pair = {types[bond.GetBeginAtomIdx()], types[bond.GetEndAtomIdx()]}
            if pair <= FIRST | SECOND:
                assert bool(pair & FIRST and pair & SECOND) == (bond.GetBondTypeAsDouble() == 2.0), types
                checked += 1
        assert checked


def test_only_contradictions_are_corrected() -> None:
    thiophene = Molecule.from_smiles("c1ccsc1")
    structure = kekule(thiophene)
    rest = ("ss", "cd", "ha", "ha", "h4", "h4")
    for right in (("cc", "cc", "cd"), ("cd", "cd", "cc")):
        ring = (*right, "ss", right[2], *rest[2:])
        assert consistent_types(ring, structure) == ring
    assert consistent_types(("cc", "cc", "cc", "ss", "cd", *rest[2:]), structure)[:5] == ("cc", "cc", "cd", "ss", "cd")


def test_parts_that_no_assignment_fits_stay() -> None:
    azulene = Molecule.from_smiles("c1ccc2cccc2cc1")
    types = ("cc",) * 10 + ("ha",) * 8
    assert consistent_types(types, kekule(azulene)) == types


def test_kekule_structure_does_not_depend_on_the_order() -> None:
    indazole = Molecule.from_smiles("Cn1cc2ccccc2n1")
    expected = {
        frozenset((b.GetBeginAtomIdx(), b.GetEndAtomIdx())): b.GetBondType() for b in kekule(indazole).GetBonds()
    }
    order = np.random.default_rng(1).permutation(indazole.n_atoms)
    for bond in kekule(indazole.reordered(order)).GetBonds():
        pair = frozenset((int(order[bond.GetBeginAtomIdx()]), int(order[bond.GetEndAtomIdx()])))
        assert bond.GetBondType() == expected[pair]
