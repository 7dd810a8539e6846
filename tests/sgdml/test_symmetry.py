"""Permutation groups: their sizes are the symmetry numbers of the molecules' feasible motions, counted by hand.

Ethanol 6, malonaldehyde 4, aspirin 6, toluene 12, benzene 12 are the numbers of Chmiela et al., Nat. Commun. 9, 3887
(2018) and of the sGDML models of these molecules.
"""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.bonds import bonds_from_geometry
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.sgdml.symmetry import (
    TooManyPermutationsError,
    check_permutations,
    graph_permutations,
    restrict_permutations,
)


def group(smiles: str, **options: object) -> np.ndarray:
    molecule = Molecule.from_smiles(smiles)
    return graph_permutations(molecule.atomic_numbers, molecule.bonds, molecule.positions, **options)


@pytest.mark.parametrize(
    ("smiles", "size"),
    [
        ("CCO", 6),
        ("O=CCC=O", 4),
        ("CC(=O)Oc1ccccc1C(=O)O", 6),
        ("Cc1ccccc1", 12),
        ("c1ccccc1", 12),
        ("O", 2),
        ("C", 24),  # the mirror images of all 12 rotations count: same distances
        ("CC(C)(C)O", 162),  # 3! · 3³, of the graph's 3! · (3!)³ = 1296
        ("C[C@H](O)F", 3),  # a stereo centre allows no odd permutation of the methyl group
        ("CCCC", 36),  # 2 ends · 3 · 3 · mirror
    ],
)
def test_sizes_of_groups(smiles: str, size: int) -> None:
    perms = group(smiles)
    assert len(perms) == size
    numbers = Molecule.from_smiles(smiles).atomic_numbers
    np.testing.assert_array_equal(check_permutations(perms, numbers), perms)
    assert perms[0].tolist() == list(range(len(numbers)))


def test_nothing_turns_about_a_rigid_bond() -> None:
    molecule = Molecule.from_smiles("CC=C")
    arguments = (molecule.atomic_numbers, molecule.bonds, molecule.positions)
    assert len(graph_permutations(*arguments)) == 12
    assert len(graph_permutations(*arguments, rigid_bonds=[[1, 2]])) == 6
    assert len(group("C=C", rigid_bonds=[[0, 1]])) == 4
    assert len(group("C=C")) == 8


def test_a_centre_that_inverts_in_the_data_restricts_nothing() -> None:
    ethanol = Molecule.from_smiles("CCO")
    hydrogens = [k for k in range(9) if ethanol.atomic_numbers[k] == 1 and [1, k] in ethanol.bonds.tolist()]
    swapped = np.arange(9)
    swapped[hydrogens] = hydrogens[::-1]
    frames = np.stack([ethanol.positions, ethanol.positions[swapped]])
    assert len(graph_permutations(ethanol.atomic_numbers, ethanol.bonds, frames)) == 12
    mirror = np.stack([ethanol.positions, -ethanol.positions])
    assert len(graph_permutations(ethanol.atomic_numbers, ethanol.bonds, mirror)) == 6


def test_an_exploding_group_asks_for_permutations() -> None:
    with pytest.raises(TooManyPermutationsError, match='perms="data"'):
        group("CC(C)(C)C")
    with pytest.raises(TooManyPermutationsError, match="20000 symmetries"):
        group("CCCCCCCCCCCCCCCC")


def test_bonds_from_distances() -> None:
    for smiles in ("CC(=O)Oc1ccccc1C(=O)O", r"CS/C(Cl)=N\Br", "O=[N+]([O-])c1ccccc1"):
        molecule = Molecule.from_smiles(smiles)
        found = bonds_from_geometry(molecule.atomic_numbers, molecule.positions)
        assert sorted(map(tuple, found)) == sorted(map(tuple, molecule.bonds))


@pytest.mark.parametrize(
    ("perms", "message"),
    [
        ([[0, 1]], "shape"),
        ([[0.0, 1.0, 2.0]], "shape"),
        ([[1, 2, 3], [1, 3, 2]], "every number from 0"),
        ([[0, 1, 2], [1, 0, 2]], "different elements"),
        ([[0, 1, 2], [0, 1, 2]], "twice"),
        ([[0, 2, 1]], "identity"),
    ],
)
def test_given_permutations_are_checked(perms: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_permutations(np.array(perms), [8, 1, 1])


def test_a_set_that_is_no_group_is_refused() -> None:
    with pytest.raises(InputError, match="not a group"):
        check_permutations(np.array([[0, 1, 2], [1, 2, 0]]), [1, 1, 1])


def test_bonds_of_absent_atoms() -> None:
    with pytest.raises(MismatchError, match="atom 3"):
        graph_permutations([8, 1, 1], [[0, 3]], np.zeros((3, 3)))


def test_permutations_of_some_atoms() -> None:
    """Ethanol: the methyl's three rotations and the mirror leave CC–O–H alone; the CH2's hydrogens keep the mirror."""
    ethanol = Molecule.from_smiles("CCO")
    perms = graph_permutations(ethanol.atomic_numbers, ethanol.bonds, ethanol.positions)
    neighbours = [np.setdiff1d(ethanol.bonds[(ethanol.bonds == k).any(axis=1)], k) for k in range(9)]
    methylene, methyl = ([h for h in neighbours[k] if ethanol.atomic_numbers[h] == 1] for k in (1, 0))
    assert restrict_permutations(perms, [0, 1, 2, 8]).tolist() == [[0, 1, 2, 3]]
    assert restrict_permutations(perms, [2, *methylene]).tolist() == [[0, 1, 2], [0, 2, 1]]
    assert len(restrict_permutations(perms, methyl)) == 6
    # One hydrogen of the methyl group: only those permutations that keep it, which are the identity and a mirror.
    assert restrict_permutations(perms, [methyl[1], *methylene]).tolist() == [[0, 1, 2], [0, 2, 1]]
    everything = restrict_permutations(perms, np.arange(9))
    np.testing.assert_array_equal(everything, np.unique(perms, axis=0))


def test_permutations_of_some_atoms_are_a_group_that_acts_as_the_whole_does() -> None:
    molecule = Molecule.from_smiles("CC(C)(C)O")
    perms = graph_permutations(molecule.atomic_numbers, molecule.bonds, molecule.positions)
    atoms = np.array([4, 3, 0, 2, 1, 9, 8, 7])  # out of order; the hydrogens of one or two methyl groups
    restricted = restrict_permutations(perms, atoms)
    np.testing.assert_array_equal(check_permutations(restricted, molecule.atomic_numbers[atoms]), restricted)
    whole = {tuple(perm[atoms]) for perm in perms if set(perm[atoms]) == set(atoms)}
    assert {tuple(atoms[row]) for row in restricted} == whole
    assert restricted[0].tolist() == list(range(len(atoms)))


@pytest.mark.parametrize(
    ("atoms", "message"), [([], "one or more"), ([0, 0], "twice"), ([0, 3], "atom 3"), ([-1, 0], "atom -1")]
)
def test_some_atoms_are_checked(atoms: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        restrict_permutations([[0, 1, 2], [0, 2, 1]], atoms)
