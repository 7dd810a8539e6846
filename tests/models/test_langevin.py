"""Dynamics in vacuum: constant energy without friction, and rigid motion that is removed."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.models.langevin import ACCELERATION, Langevin, without_rigid_motion
from tests.helpers.morse import PairMorse

NUMBERS = (8, 1, 1)
START = np.array([[0.0, 0.0, 0.0], [1.5, 0.1, 0.0], [-0.6, 1.4, 0.2]])


def test_without_friction_energy_is_kept_and_time_can_be_reversed() -> None:
    model, rng = PairMorse(NUMBERS, depth=50.0), np.random.default_rng(0)
    langevin = Langevin(model.atomic_numbers, 300.0, 0.25, 0.0, rng)

    def forces(x: np.ndarray) -> np.ndarray:
        return model.predict(x)[1]

    def total(x: np.ndarray, u: np.ndarray) -> np.ndarray:
        return model.predict(x)[0] + (0.5 * u**2 / langevin.inverse_masses).sum(axis=(1, 2))

    r = np.repeat(START[None], 2, axis=0)
    v, f = langevin.velocities(r.shape), forces(r)
    first, began = total(r, v), r
    for _ in range(200):
        r, v, f = langevin.step(forces, r, v, f)
    np.testing.assert_allclose(total(r, v), first, atol=0.01)
    assert np.abs(r - began).max() > 0.1
    v = -v
    for _ in range(200):
        r, v, f = langevin.step(forces, r, v, f)
    np.testing.assert_allclose(r, began, atol=1e-9)


@pytest.mark.parametrize("linear", [False, True])
def test_rigid_motion_is_removed(linear: bool) -> None:
    rng, masses = np.random.default_rng(1), np.array([16.0, 1.0, 12.0, 2.0])
    positions = rng.normal(size=(400, 4, 3)) * ([1.0, 0.0, 0.0] if linear else [1.0, 1.0, 1.0])
    velocities = np.sqrt(BOLTZMANN * 300.0 * ACCELERATION / masses)[:, None] * rng.normal(size=(400, 4, 3))
    left = without_rigid_motion(positions, velocities, masses)
    momentum = np.einsum("a,nai->ni", masses, left)
    spin = np.einsum("a,nai->ni", masses, np.cross(positions, left))
    np.testing.assert_allclose(momentum, 0.0, atol=1e-12)
    np.testing.assert_allclose(spin, 0.0, atol=1e-9)
    np.testing.assert_allclose(without_rigid_motion(positions, left, masses), left, atol=1e-9)
    kinetic = 0.5 / ACCELERATION * np.einsum("a,nai,nai->n", masses, left, left)
    # Equipartition: half of kT for each internal degree of freedom, 3n − 6, or 3n − 5 of a linear molecule.
    expected = 0.5 * BOLTZMANN * 300.0 * (7 if linear else 6)
    assert kinetic.mean() == pytest.approx(expected, abs=4 * kinetic.std() / 20.0)


@pytest.mark.parametrize("bend", [0.0, 0.05, 0.15])
def test_a_linear_molecule_keeps_both_bends_however_bent_it_is(bend: float) -> None:
    """Carbon dioxide: half of kT for each of 3 · 3 − 5 vibrations."""
    rng, masses = np.random.default_rng(2), np.array([16.0, 12.0, 16.0])
    positions = np.tile([[-1.16, bend, 0.0], [0.0, 0.0, 0.0], [1.16, bend, 0.0]], (1000, 1, 1))
    velocities = np.sqrt(BOLTZMANN * 300.0 * ACCELERATION / masses)[:, None] * rng.normal(size=(1000, 3, 3))
    left = without_rigid_motion(positions, velocities, masses, linear=True)
    kinetic = 0.5 / ACCELERATION * np.einsum("a,nai,nai->n", masses, left, left)
    assert kinetic.mean() == pytest.approx(2.0 * BOLTZMANN * 300.0, abs=4 * kinetic.std() / np.sqrt(1000))
    np.testing.assert_allclose(np.einsum("a,nai->ni", masses, left), 0.0, atol=1e-12)
    spin = np.einsum("a,nai->ni", masses, np.cross(positions - [0.0, 32.0 / 44.0 * bend, 0.0], left))
    np.testing.assert_allclose(spin[:, 1:], 0.0, atol=1e-9)  # about the axes other than the molecule's
