"""InternalCoordinates in torch against the formulas in numpy of `openmm_hybrid.core.geometry`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from openmm_hybrid.core import geometry
from openmm_hybrid.forms.internal import InternalCoordinates

DISTANCES = [(0, 1), (1, 2), (4, 0)]
ANGLES = [(0, 1, 2), (3, 2, 1)]
DIHEDRALS = [(0, 1, 2, 3), (4, 1, 2, 3)]


@pytest.fixture
def positions() -> NDArray[np.float64]:
    """Six frames of five atoms: four at random, one on a line, one with all atoms in one place."""
    frames = np.random.default_rng(2).normal(scale=1.2, size=(6, 5, 3))
    frames[4] = np.outer(np.arange(5), [0.25, -0.5, 1.0])  # exact in binary: straight to the last digit
    frames[5] = 0.0
    return frames


@pytest.fixture
def internal() -> InternalCoordinates:
    return InternalCoordinates(DISTANCES, ANGLES, DIHEDRALS, 5)


def reference(positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values (n_frames, n_coordinates) and derivatives (n_frames, n_coordinates, n_atoms, 3)."""
    values, dense = [], []
    for gradient, terms in (
        (geometry.distance_gradient, DISTANCES),
        (geometry.angle_gradient, ANGLES),
        (geometry.dihedral_gradient, DIHEDRALS),
    ):
        value, rows = gradient(positions, terms)
        values.append(value)
        for number, atoms in enumerate(terms):
            dense.append(np.zeros((len(positions), positions.shape[1], 3)))
            dense[-1][:, atoms] = rows[:, number]
    return np.concatenate(values, axis=1), np.stack(dense, axis=1)


def test_values_and_jacobian_are_those_of_geometry(
    internal: InternalCoordinates, positions: NDArray[np.float64]
) -> None:
    values, dense = reference(positions)
    found, jacobian = internal.jacobian(torch.tensor(positions))
    np.testing.assert_allclose(found.numpy(), values, rtol=0, atol=1e-12)
    np.testing.assert_allclose(jacobian.numpy(), dense.reshape(len(positions), -1, 15), rtol=1e-10, atol=1e-12)


def test_sign_of_the_dihedral_is_that_of_iupac(internal: InternalCoordinates) -> None:
    """cis is 0, and a clockwise turn of the far bond is positive: a right-handed screw of 60° here."""
    turn = np.radians(60.0)
    frame = np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 1.5], [np.cos(turn), np.sin(turn), 1.5], [0, 1.0, 0]])
    values, _ = internal(torch.tensor(frame[None]))
    assert float(values[0, 5]) == pytest.approx(turn, abs=1e-12)


def test_forces_are_minus_the_slopes_times_the_jacobian(
    internal: InternalCoordinates, positions: NDArray[np.float64]
) -> None:
    r = torch.tensor(positions)
    slopes = torch.tensor(np.random.default_rng(4).normal(size=(len(positions), internal.n_coordinates)))
    _, rows = internal(r)
    _, jacobian = internal.jacobian(r)
    expected = -torch.einsum("nq,nqx->nx", slopes, jacobian).reshape(positions.shape)
    np.testing.assert_allclose(internal.forces(slopes, rows).numpy(), expected.numpy(), rtol=1e-10, atol=1e-10)


def test_scripted_in_either_precision(internal: InternalCoordinates, positions: NDArray[np.float64]) -> None:
    scripted = torch.jit.script(internal)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        values, rows = scripted(torch.tensor(positions[:4], dtype=dtype))
        assert values.dtype == rows.dtype == dtype
        expected, _ = internal(torch.tensor(positions[:4]))
        np.testing.assert_allclose(values.double().numpy(), expected.numpy(), rtol=0, atol=tolerance)


def test_any_kind_may_be_missing(positions: NDArray[np.float64]) -> None:
    only_angles = InternalCoordinates([], ANGLES, [], 5)
    values, rows = only_angles(torch.tensor(positions))
    assert values.shape == (6, 2)
    assert rows.shape == (6, 6, 3)
    nothing = InternalCoordinates([], [], [], 5)
    assert nothing(torch.tensor(positions))[0].shape == (6, 0)
