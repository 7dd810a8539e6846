"""The evaluation module against the plain sum over training points, and at singular geometries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from openmm_hybrid.sgdml import SGDMLModel, train
from openmm_hybrid.sgdml.descriptor import descriptor, jacobian
from tests.helpers.sgdml_data import SWAP, water


def plain_sum(model: SGDMLModel, positions: np.ndarray) -> tuple[float, np.ndarray]:
    """Equations 5 and 6 of Chmiela et al. (2018), written out point by point and permutation by permutation."""
    x, slopes = descriptor(torch.tensor(positions[None]))
    energy, force = model.c, np.zeros(x.shape[1])
    for point, alpha in zip(model.descriptors, model.descriptor_alphas, strict=True):
        for row in (np.array([0, 1, 2]), np.array([1, 0, 2])):  # the swap of the hydrogens exchanges pairs 0 and 1
            delta = x[0].numpy() - point[row]
            d = np.sqrt(5.0) * np.linalg.norm(delta) / model.sigma
            scale = model.std * 5.0 / (3.0 * model.sigma**2) * np.exp(-d)
            energy += scale * (1.0 + d) * (alpha[row] @ delta)
            force += scale * (5.0 / model.sigma**2 * (alpha[row] @ delta) * delta - (1.0 + d) * alpha[row])
    return float(energy), (force @ jacobian(slopes)[0].numpy()).reshape(3, 3)


@pytest.fixture(scope="module")
def model() -> SGDMLModel:
    return train(water(), sigma=2, lam=1e-4, perms=SWAP, indices=range(10), progress=False)


def test_equals_the_plain_sum(model: SGDMLModel) -> None:
    for positions in water().positions[[0, 3, 11, 13]]:  # 0 and 3 are training points, where d = 0
        energy, forces = model.predict(positions)
        expected_energy, expected_forces = plain_sum(model, positions)
        assert float(energy) == pytest.approx(expected_energy, abs=1e-8)
        np.testing.assert_allclose(forces, expected_forces, atol=1e-8)


def test_far_from_the_training_data_the_energy_is_the_constant(model: SGDMLModel) -> None:
    """e^(−d) vanishes; the split into a polynomial and the rest must not spoil it."""
    sharp = replace(model, sigma=0.02)
    energy, forces = sharp.predict(water().positions[0] * 20.0)
    assert float(energy) == pytest.approx(model.c, rel=1e-5)
    assert np.abs(forces).max() < 1e-3


def test_touching_atoms_give_numbers_that_are_not_finite_and_no_crash(model: SGDMLModel) -> None:
    positions = torch.tensor(water(2).positions)
    positions[1, 1] = positions[1, 0]
    energies, forces = torch.jit.script(model.module())(positions)
    assert torch.isfinite(energies[0])
    assert torch.isfinite(forces[0]).all()
    assert not torch.isfinite(forces[1]).all()


def test_no_frames(model: SGDMLModel) -> None:
    energies, forces = torch.jit.script(model.module())(torch.zeros(0, 3, 3, dtype=torch.float64))
    assert energies.shape == (0,)
    assert forces.shape == (0, 3, 3)


def test_modules_are_independent_of_each_other(model: SGDMLModel) -> None:
    single = model.module().to(torch.float32)
    assert single(torch.tensor(water(1).positions))[0].dtype == torch.float32
    assert model.module()(torch.tensor(water(1).positions))[0].dtype == torch.float64


def test_float32_holds_where_coefficients_cancel() -> None:
    """The coefficients of this fit are 1e5 times its forces."""
    frames = water(40)
    smooth = train(frames, sigma=20, lam=1e-12, progress=False)
    positions = torch.tensor(frames.positions)
    _, forces = smooth.module()(positions)
    _, single = smooth.module().to(torch.float32)(positions)
    assert np.abs(smooth.descriptor_alphas).max() * smooth.std > 1e5 * float(forces.abs().max())
    np.testing.assert_allclose(single, forces, atol=1e-4 * float(forces.abs().max()))


def test_mixed_keeps_the_large_terms_in_float64() -> None:
    """Sums over training points in float32, and yet energies far better than float32 can hold their constant."""
    frames = water(40)
    smooth = train(frames, sigma=20, lam=1e-12, progress=False)
    shifted = replace(smooth, c=smooth.c - 4e5)
    positions = torch.tensor(frames.positions)
    energies, forces = shifted.module()(positions)
    mixed_energies, mixed_forces = torch.jit.script(shifted.module().mixed())(positions)
    assert mixed_energies.dtype == mixed_forces.dtype == torch.float64
    np.testing.assert_allclose(mixed_forces, forces, atol=1e-4 * float(forces.abs().max()))
    np.testing.assert_allclose(mixed_energies, energies, rtol=0, atol=1e-3)
    assert not torch.equal(mixed_forces, forces)
    assert torch.equal(shifted.module()(positions)[1], forces)  # other modules of the model are as they were
