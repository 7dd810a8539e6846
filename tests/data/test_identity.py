"""Elements and bonds of two things: equal, in another order, or of other molecules."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid import Molecule
from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.data.identity import Identity
from tests.helpers.gaff_molecules import DRUGS


def identity(molecule: Molecule) -> Identity:
    return Identity.of(f"the molecule {molecule.name}", molecule.atomic_numbers, molecule.bonds)


@pytest.mark.parametrize("name", DRUGS)
def test_the_order_is_found_by_the_graph(name: str) -> None:
    molecule = Molecule.from_smiles(DRUGS[name], name=name)
    shuffled = molecule.reordered(np.random.default_rng(0).permutation(molecule.n_atoms).tolist())
    order = identity(molecule).order_in(identity(shuffled))
    assert identity(shuffled.reordered(order.tolist())).equals(identity(molecule))


def test_an_order_that_fits_is_kept() -> None:
    """Any exchange of the hydrogens of methane would fit too."""
    methane = identity(Molecule.from_smiles("C"))
    np.testing.assert_array_equal(methane.order_in(methane), range(5))


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ("COC", "it has the bond"),
        ("CC", "8 atoms instead of 9"),
        ("CCS", "atom 2 has the atomic number 16 instead of 8"),
    ],
)
def test_other_molecules_are_refused(other: str, difference: str) -> None:
    with pytest.raises(MismatchError, match=rf"the molecule {other} is not .* CCO: {difference}"):
        identity(Molecule.from_smiles("CCO")).order_in(identity(Molecule.from_smiles(other)))


def test_equal_bonds_between_other_elements() -> None:
    """C-O-N and C-N-O have the same elements and the same bonds, each in a row."""
    first = Identity.of("the first", [6, 8, 7], [(0, 1), (1, 2)])
    other = Identity.of("the other", [6, 7, 8], [(0, 1), (1, 2)])
    assert not first.isomorphic(other)
    assert first.isomorphic(Identity.of("the first, reversed", [7, 8, 6], [(0, 1), (1, 2)]))
    with pytest.raises(MismatchError, match="atom 1 has the atomic number 7 instead of 8"):
        first.order_in(other)
