"""Training on energies beside forces: the covariances, parity with sgdml 1.0.3, what it gains, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from typer.testing import CliRunner

from openmm_hybrid.cli import app
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.sgdml import (
    SGDMLModel,
    SolverSettings,
    assess,
    compress,
    load,
    search,
    train,
    train_on,
    training_distance,
    training_set,
)
from openmm_hybrid.sgdml.descriptor import descriptor
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.testing import TorchModelSuite
from tests.helpers.sgdml_data import SWAP, labelled, water

#: sgdml 1.0.3 with use_E_cstr (analytic solver, sigma 2, lam 1e-8, both permutations), trained on frames 0-11 of
#: `water()`: its energies and forces on frames 12 and 13, its constant, std and first coefficients.
PEER_ENERGIES = [188.190378421138, 169.96545658186]
PEER_FORCES = [
    [-10.29271648259, -20.162858541556, 108.523652169749],
    [83.296503565309, 16.302189345996, -50.458119987941],
    [-73.003787082719, 3.860669195561, -58.065532181808],
    [-1.589680565586, -0.530301924889, 111.222856815891],
    [66.686873337364, 0.268636328268, -64.056823992047],
    [-65.097192771778, 0.261665596621, -47.166032823844],
]
PEER_CONSTANT, PEER_STD = 189.09479178179666, 55.647230845865025


def covariance(first: Tensor, second: Tensor, sigma: float) -> Tensor:
    """Σ_s κ(|x(r) − x(r′)_s|), the definition; at d = 0, where √ has no derivative, as 1 − d²/6 (to second order)."""
    total = torch.zeros((), dtype=torch.float64)
    for perm in torch.tensor(SWAP):
        difference = descriptor(first[None])[0] - descriptor(second[perm][None])[0]
        square = 5.0 / sigma**2 * difference.square().sum()
        d = torch.where(square > 0.0, square, 1.0).sqrt()
        total = total + torch.where(square > 0.0, (1.0 + d + d * d / 3.0) * torch.exp(-d), 1.0 - square / 6.0)
    return total


def dense(first: Tensor, second: Tensor, sigma: float) -> Tensor:
    """Covariances of (∂E/∂r, E) at two geometries, (10, 10), by automatic differentiation of κ."""
    value = covariance(first, second, sigma)
    left = torch.func.jacrev(covariance, argnums=0)(first, second, sigma).reshape(9, 1)
    right = torch.func.jacrev(covariance, argnums=1)(first, second, sigma).reshape(1, 9)
    both = torch.func.jacfwd(torch.func.jacrev(covariance, argnums=0), argnums=1)(first, second, sigma).reshape(9, 9)
    return torch.cat([torch.cat([both, left], 1), torch.cat([right, value.reshape(1, 1)], 1)])


@pytest.fixture(scope="module")
def model() -> SGDMLModel:
    return train(water(), sigma=2, lam=1e-8, perms=SWAP, indices=range(12), energy_constraint=True, progress=False)


def test_blocks_are_the_covariances() -> None:
    kernel = HessianKernel.of(water(5).positions, SWAP, 1.3, with_energies=True)
    lower = kernel.columns(0, 5)
    matrix = torch.tril(lower) + torch.tril(lower, -1).T
    blocks = matrix.view(5, 4, 5, 4)  # three internal directions and the energy
    for i, j in [(1, 0), (4, 2), (3, 1)]:
        turn = [torch.block_diag(kernel.basis[k, :, :3], torch.ones(1, 1, dtype=torch.float64)) for k in (i, j)]
        expected = turn[0].T @ dense(kernel.positions[i], kernel.positions[j], 1.3) @ turn[1]
        np.testing.assert_allclose(blocks[i, :, j], expected, atol=1e-12)
    vector = torch.tensor(np.random.default_rng(1).normal(size=20))
    np.testing.assert_allclose(kernel.times(vector), matrix @ vector, atol=1e-11)
    np.testing.assert_allclose(kernel.diagonal(), matrix.diagonal(), atol=1e-14)
    part = kernel.at(torch.tensor([4, 2])).columns(0, 2)
    np.testing.assert_allclose(part[4:, :4], blocks[2, :, 4], atol=1e-14)


def test_model_is_that_of_the_dense_matrix() -> None:
    """Solved and predicted with covariances that are differentiated automatically, in Cartesian coordinates."""
    frames, sigma, lam = water(4), 1.3, 1e-3
    model = train(frames, sigma=sigma, lam=lam, perms=SWAP, indices=range(3), energy_constraint=True, progress=False)
    r = torch.tensor(frames.positions)
    matrix = torch.cat([torch.cat([dense(r[i], r[j], sigma) for j in range(3)], 1) for i in range(3)])
    assert frames.forces is not None
    assert frames.energies is not None
    mean = frames.energies[:3].mean()
    labels = np.hstack([-frames.forces[:3].reshape(3, 9), frames.energies[:3, None] - mean]).ravel()
    alphas = torch.linalg.solve(matrix + lam * torch.eye(30, dtype=torch.float64), torch.tensor(labels))
    for k in (3, 0):
        gradient_and_energy = torch.cat([dense(r[k], r[j], sigma) for j in range(3)], 1) @ alphas
        energy, forces = model.predict(frames.positions[k])
        np.testing.assert_allclose(forces.ravel(), -gradient_and_energy[:9], atol=1e-7)
        assert float(energy) == pytest.approx(float(gradient_and_energy[9]) + mean, abs=1e-8)


def test_same_settings_give_the_peers_model(model: SGDMLModel) -> None:
    energies, forces = model.predict(water().positions[12:])
    np.testing.assert_allclose(energies, PEER_ENERGIES, rtol=0, atol=1e-8)
    np.testing.assert_allclose(forces.reshape(6, 3), PEER_FORCES, rtol=0, atol=1e-8)
    assert (model.c, model.std) == pytest.approx((PEER_CONSTANT, PEER_STD), rel=1e-12)


def test_file_is_the_peers(model: SGDMLModel, tmp_path: Path) -> None:
    """The peer's own file has the entry alphas_E, (n_train,), beside the usual ones, and none that names the option."""
    path = model.save(tmp_path / "model.npz")
    with np.load(path, allow_pickle=False) as archive:
        assert archive["alphas_E"].shape == (12,)
        assert "use_E_cstr" not in archive.files
    again = load(path)
    np.testing.assert_array_equal(again.alphas_E, model.alphas_E)
    for expected, found in zip(model.predict(water().positions), again.predict(water().positions), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_lower_precision(model: SGDMLModel) -> None:
    positions = torch.tensor(water().positions)
    energies, forces = model.module()(positions)
    for module in (model.module().mixed(), model.module().to(torch.float32)):
        found_energies, found_forces = torch.jit.script(module)(positions)
        np.testing.assert_allclose(found_energies, energies, atol=1e-3)
        np.testing.assert_allclose(found_forces, forces, atol=1e-4 * float(forces.abs().max()))


def test_modules_without_energies_do_nothing_for_them() -> None:
    plain = train(water(), sigma=2, perms=SWAP, progress=False)
    names = dict(plain.module().named_buffers())
    assert "energy_weights" not in names
    zero = replace(plain, alphas_E=np.zeros(plain.n_train))
    scripts = [torch.jit.freeze(torch.jit.script(each.module().eval())) for each in (plain, zero)]
    calls = [str(script.graph).count("aten::") for script in scripts]
    assert calls[0] < calls[1]
    for mine, its in zip(*(script(torch.tensor(water().positions)) for script in scripts), strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-9)


def test_energies_that_the_forces_miss_are_met() -> None:
    """Noise of 1 kcal/mol in the energies, which forces know nothing of."""
    frames = water(30)
    assert frames.energies is not None
    noisy = replace(frames, energies=frames.energies + np.sin(7.0 * np.arange(30)))
    data = training_set(noisy, perms=SWAP)
    with_them, without = (
        train_on(replace(data, energy_constraint=on), sigma=2, progress=False).model for on in (True, False)
    )
    assert assess(with_them, noisy).energy_mae < 0.5 * assess(without, noisy).energy_mae


def test_ethanol_ccsdt(reference_data: Callable[[str], Path]) -> None:
    """Energies of training and of test frames are closer, forces no worse (docs/sgdml.md has the numbers)."""
    frames = Frames.load(reference_data("ethanol_ccsd_t-train.npz"))
    data = training_set(frames, n_train=100)
    on, off = (train_on(replace(data, energy_constraint=on), sigma=20, progress=False).model for on in (True, False))
    for part in (data.train, data.test()):
        assert assess(on, part).energy_mae < 0.99 * assess(off, part).energy_mae
        assert assess(on, part).force_mae < 1.01 * assess(off, part).force_mae


@pytest.fixture(scope="module")
def ethanol() -> Frames:
    """30 distorted ethanols with pair energies."""
    molecule = Molecule.from_smiles("CCO")
    shifts = np.random.default_rng(0).normal(scale=0.05, size=(30, 9, 3))
    return labelled(molecule.atomic_numbers, molecule.positions + shifts)


@pytest.fixture(scope="module")
def symmetric(ethanol: Frames) -> SGDMLModel:
    return train(ethanol, sigma=10, indices=range(25), energy_constraint=True, progress=False)


class TestConstrained(TorchModelSuite):
    """Three hydrogens and two that turn: representations of one and of two dimensions."""

    @pytest.fixture
    def model(self, symmetric: SGDMLModel) -> EnergyModel:
        return symmetric

    @pytest.fixture
    def positions(self, ethanol: Frames) -> NDArray[np.float64]:
        return np.array(ethanol.positions[23:28])  # training points and others


class TestTwoAtoms(TorchModelSuite):
    """One pair, which the exchange of the atoms leaves in place."""

    @pytest.fixture
    def positions(self) -> NDArray[np.float64]:
        return np.array([[[0.0, 0.0, 0.0], [0.0, 0.1, r]] for r in (0.7, 0.8, 0.9, 1.0)])

    @pytest.fixture
    def model(self, positions: NDArray[np.float64]) -> EnergyModel:
        frames = labelled(np.array([1, 1]), positions)
        return train(frames, sigma=1, perms=[[0, 1], [1, 0]], energy_constraint=True, progress=False)


def test_permuted_copies_get_the_same_energy(symmetric: SGDMLModel, ethanol: Frames) -> None:
    energies, forces = symmetric.predict(ethanol.positions)
    assert len(symmetric.perms) == 6
    for perm in symmetric.perms:
        permuted_energies, permuted_forces = symmetric.predict(ethanol.positions[:, perm])
        np.testing.assert_allclose(permuted_energies, energies, rtol=1e-10)
        np.testing.assert_allclose(permuted_forces, forces[:, perm], atol=1e-6)


def test_compression_and_distance(model: SGDMLModel) -> None:
    constrained = train(
        water(30), sigma=2, lam=1e-6, perms=SWAP, indices=range(24), energy_constraint=True, progress=False
    )
    smaller = compress(constrained, water(30), n_points=12, n_extra=30, progress=False).model
    assert smaller.alphas_E is None
    energies, forces = constrained.predict(water(30).positions)
    found = smaller.predict(water(30).positions)
    np.testing.assert_allclose(found[1], forces, atol=0.02 * np.abs(forces).max())
    np.testing.assert_allclose(found[0], energies, atol=0.1)
    assert training_distance(model).predict(water().positions[:12]) == pytest.approx(0.0, abs=1e-3)


def test_search_takes_energies_too() -> None:
    data = training_set(water(60), n_train=12, n_valid=20, energy_constraint=True)
    result = search(data, sigmas=[2.0, 4.0, 400.0], lams=[1e-8], progress=False)
    assert all(trial.errors is not None for trial in result.trials)
    assert result.model.alphas_E is not None


def test_energies_that_contradict_the_forces_are_still_noticed() -> None:
    frames = water(20)
    assert frames.energies is not None
    with pytest.warns(UserWarning, match="wrong sign"):
        train(replace(frames, energies=-frames.energies), sigma=2, energy_constraint=True, progress=False)
    checked = train_on(training_set(frames, energy_constraint=True), sigma=2, progress=False).consistency
    assert checked is not None
    assert checked.slope == pytest.approx(1.0, abs=0.1)


def test_refusals(tmp_path: Path) -> None:
    frames = water(20)
    with pytest.raises(InputError, match="no energies"):
        train(replace(frames, energies=None), sigma=2, energy_constraint=True)
    with pytest.raises(InputError, match="some atoms"):
        train(frames, sigma=2, atoms=[1, 2], energy_constraint=True)
    for settings in (SolverSettings("iterative"), SolverSettings(checkpoint=tmp_path / "state.npz")):
        with pytest.raises(InputError, match="for the direct solver"):
            train_on(training_set(frames, energy_constraint=True), sigma=2, solver=settings, progress=False)
    with pytest.raises(InputError, match=r"direct solver.*GB"):
        train(frames, sigma=2, energy_constraint=True, max_memory=1e-3, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    water(60).save("frames.npz")
    line = "train sgdml frames.npz -o m.npz --sigma 2 --energy-constraint"
    done = CliRunner().invoke(app, [*line.split(), "--n-train", "12", "--report", "r.json"])
    assert done.exit_code == 0, done.stderr
    alphas = load("m.npz").alphas_E
    assert alphas is not None
    assert len(alphas) == 12
    assert json.loads(Path("r.json").read_text())["settings"]["energy_constraint"] is True
    curve = "study learning-curve frames.npz -o curve --sigma 2 --n-train 6 --n-train 12"
    done = CliRunner().invoke(app, [*curve.split(), "--energy-constraint"])
    assert done.exit_code == 0, done.stderr
    done = CliRunner().invoke(app, curve.split())
    assert done.exit_code != 0
    assert "energy_constraint" in done.stderr
    assert math.isfinite(load("m.npz").c)
