"""Permutations found in data; ethanol 6, malonaldehyde 4, aspirin 6 for MD17 (Chmiela et al., Nat. Commun. 9, 3887).

The synthetic data are one chiral molecule, CH3-CO-CHF(OH), whose methyl group is turned by a formula: it turns freely
(the 3 cyclic permutations), librates in one well (the identity alone) or sits in two wells that only a mirror joins.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.geometry import dihedral
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.sgdml import data_permutations, graph_permutations, train
from openmm_hybrid.sgdml.matching import _group
from openmm_hybrid.sgdml.symmetry import check_permutations
from tests.helpers.sgdml_data import labelled

MOLECULE = Molecule.from_smiles("CC(=O)[C@H](O)F")
NUMBERS, BONDS = MOLECULE.atomic_numbers, MOLECULE.bonds
METHYL = [6, 7, 8]


def turned(degrees: NDArray[np.float64], noise: float = 0.03, seed: int = 0) -> NDArray[np.float64]:
    """The molecule with its methyl group turned, a normal error on every coordinate, and turned as a whole."""
    rng = np.random.default_rng(seed)
    r = MOLECULE.positions.reshape(-1, len(NUMBERS), 3)[0]
    r = r - r[0]
    axis = r[1] / np.linalg.norm(r[1])
    start = dihedral(r[None], [[METHYL[0], 0, 1, 2]])[0, 0]  # to where the first hydrogen eclipses the oxygen
    frames = np.repeat(r[None], len(degrees), axis=0)
    for frame, angle in zip(frames, start + np.radians(degrees), strict=True):
        frame[METHYL] = Rotation.from_rotvec(angle * axis).apply(frame[METHYL])
        frame[:] = Rotation.from_quat(rng.normal(size=4)).apply(frame)
    return frames + noise * rng.normal(size=frames.shape)


def free(n_frames: int = 60) -> NDArray[np.float64]:
    return turned(np.random.default_rng(1).uniform(0.0, 360.0, n_frames))


def warned(
    positions: NDArray[np.float64], bonds: list[list[int]] | None = None, max_permutations: int = 200
) -> tuple[NDArray[np.int64], list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        perms = data_permutations(NUMBERS, positions, bonds=bonds, max_permutations=max_permutations)
    return perms, [str(one.message) for one in caught]


def test_the_molecule_is_as_the_tests_take_it() -> None:
    assert [pair for pair in BONDS.tolist() if set(pair) & set(METHYL)] == [[0, 6], [0, 7], [0, 8]]


def test_a_turning_methyl_group_has_its_cyclic_permutations() -> None:
    perms = data_permutations(NUMBERS, free())
    cyclic = [[6, 7, 8], [7, 8, 6], [8, 6, 7]]
    assert perms[:, METHYL].tolist() == cyclic
    np.testing.assert_array_equal(
        np.delete(perms, METHYL, axis=1), np.delete(np.arange(len(NUMBERS)), METHYL)[None].repeat(3, 0)
    )
    np.testing.assert_array_equal(check_permutations(perms, NUMBERS), perms)
    # The graph knows the same group; here the data reach all of it.
    np.testing.assert_array_equal(perms, graph_permutations(NUMBERS, BONDS, MOLECULE.positions))


def test_a_frozen_methyl_group_is_not_permuted() -> None:
    librating = turned(np.random.default_rng(1).uniform(-20.0, 20.0, 60))
    assert data_permutations(NUMBERS, librating).tolist() == [list(range(len(NUMBERS)))]


def test_exact_copies_are_matched() -> None:
    """A cost of zero is an edge of the tree like any other."""
    frames = turned(np.zeros(20), noise=0.0)
    order = np.arange(len(NUMBERS))
    order[METHYL] = [7, 8, 6]
    frames[10:] = frames[10:, order]
    assert len(data_permutations(NUMBERS, frames)) == 3


def test_a_permutation_that_breaks_bonds_is_left_out() -> None:
    wrong = [*BONDS.tolist(), [2, 6]]
    perms, messages = warned(free(), bonds=wrong)
    assert len(perms) == 1
    assert len(messages) == 1
    assert "no symmetry of the molecule's bonds" in messages[0]
    assert "perms=" in messages[0]


def test_a_permutation_that_inverts_one_centre_is_left_out() -> None:
    """Two wells 60° apart, on either side of the carbonyl plane: exchanging two hydrogens joins them, wrongly."""
    wells = np.repeat([-30.0, 30.0], 30)
    perms, messages = warned(turned(wells, noise=0.01))
    assert len(perms) == 1
    assert len(messages) == 1
    assert "handedness" in messages[0]


def test_an_exploding_group_keeps_what_fits() -> None:
    perms, messages = warned(free(), max_permutations=2)
    assert len(perms) == 1
    assert len(messages) == 1
    assert "more than 2" in messages[0]
    assert "perms=" in messages[0]


def test_an_exploding_group_drops_the_rarer_permutations_only() -> None:
    turn, swap, double = [1, 2, 0, 3, 4], [0, 1, 2, 4, 3], [2, 0, 1, 3, 4]
    group, problems = _group(np.array([turn, swap, double]), 3)
    assert group.tolist() == [[0, 1, 2, 3, 4], turn, double]
    assert len(problems) == 1
    assert "1 rarer" in problems[0]
    assert len(_group(np.array([turn, swap, double]), 6)[0]) == 6


def test_few_geometries_are_pointed_out() -> None:
    perms, messages = warned(turned(np.array([0.0, 120.0])))
    assert len(perms) == 3
    assert len(messages) == 1
    assert "2 geometries" in messages[0]


def test_many_frames_are_thinned() -> None:
    """Turning in the second half only; a thinning that spreads over the data sees it."""
    frames = np.concatenate([turned(np.zeros(60)), free()])
    assert len(data_permutations(NUMBERS, frames, max_frames=40, seed=3)) == 3
    assert len(data_permutations(NUMBERS, frames[:60], max_frames=40, seed=3)) == 1


def test_what_cannot_be_matched_is_refused() -> None:
    with pytest.raises(InputError, match="two or more"):
        data_permutations(NUMBERS, free(1))
    with pytest.raises(InputError, match="max_frames"):
        data_permutations(NUMBERS, free(), max_frames=1)
    with pytest.raises(MismatchError, match="shape"):
        data_permutations(NUMBERS[1:], free())
    with pytest.raises(MismatchError, match="atom 99"):
        data_permutations(NUMBERS, free(), bonds=[[0, 99]])


def test_training_finds_them() -> None:
    positions = free()
    frames = labelled(NUMBERS, positions)
    for molecule in (None, MOLECULE):
        model = train(frames, sigma=5, perms="data", molecule=molecule, n_train=8, progress=False)
        np.testing.assert_array_equal(model.perms, data_permutations(NUMBERS, positions))


@pytest.mark.parametrize(("name", "size"), [("ethanol", 6), ("malonaldehyde", 4), ("aspirin", 6)])
def test_groups_of_md17(reference_data: Callable[[str], Path], name: str, size: int) -> None:
    frames = Frames.load(reference_data(f"md17_{name}.npz"))
    whole = data_permutations(frames.atomic_numbers, frames.positions)
    assert len(whole) == size
    for seed in range(5):
        selected = np.random.default_rng(seed).choice(len(frames), 100, replace=False)
        found = data_permutations(frames.atomic_numbers, frames.positions[selected])
        np.testing.assert_array_equal(found, whole)
