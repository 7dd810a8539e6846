"""The descriptor against its definition and finite differences."""

from __future__ import annotations

import numpy as np
import torch

from openmm_hybrid.data.frames import Frames
from openmm_hybrid.sgdml.descriptor import (
    descriptor,
    first_copies,
    jacobian,
    jacobian_times,
    pair_permutations,
    pairs,
)
from tests.helpers.sgdml_data import SWAP, labelled, water

POSITIONS = torch.tensor(np.random.default_rng(0).normal(size=(3, 5, 3)))


def test_pairs_are_the_lower_triangle_row_by_row() -> None:
    assert pairs(4).tolist() == [[1, 0], [2, 0], [2, 1], [3, 0], [3, 1], [3, 2]]


def test_values_are_inverse_distances() -> None:
    x, _ = descriptor(POSITIONS)
    i, j = pairs(5).T
    np.testing.assert_allclose(x, 1.0 / np.linalg.norm(POSITIONS[:, i] - POSITIONS[:, j], axis=2), rtol=1e-14)


def test_permuted_atoms_give_the_permuted_descriptor() -> None:
    perms = np.array([[1, 2, 3, 4, 0], [4, 3, 2, 1, 0], [0, 2, 1, 3, 4]])
    x, _ = descriptor(POSITIONS)
    for perm, row in zip(perms, pair_permutations(perms), strict=True):
        np.testing.assert_array_equal(descriptor(POSITIONS[:, perm])[0], x[:, row])


def test_jacobian_is_the_derivative() -> None:
    numeric = torch.func.jacrev(lambda r: descriptor(r[None])[0][0])(POSITIONS[1])
    slopes = descriptor(POSITIONS)[1]
    np.testing.assert_allclose(jacobian(slopes)[1], numeric.reshape(10, 15), atol=1e-13)
    vectors = POSITIONS.flip(0)
    expected = torch.einsum("mki,mi->mk", jacobian(slopes), vectors.reshape(3, 15))
    np.testing.assert_allclose(jacobian_times(slopes, vectors), expected, atol=1e-13)


def test_copies_are_found_through_others() -> None:
    frames = water(6)
    turned = frames.positions[[4, 2, 4]] @ np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) + 1.0
    turned[1:] = turned[1:, [0, 2, 1]]
    doubled = Frames.concatenate([frames, labelled(frames.atomic_numbers, turned)])
    np.testing.assert_array_equal(first_copies(doubled, SWAP), [0, 1, 2, 3, 4, 5, 4, 2, 4])
    np.testing.assert_array_equal(first_copies(doubled, SWAP[:1]), [0, 1, 2, 3, 4, 5, 4, 7, 8])
