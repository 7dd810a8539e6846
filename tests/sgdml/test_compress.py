"""Compression: its functions against the evaluation module, what it keeps, what it reaches, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.sgdml import Compression, SGDMLModel, assess, compress, load, train, training_distance
from openmm_hybrid.sgdml.descriptor import descriptor
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.projection import Functions, Projection, Targets, functions_that_fit
from openmm_hybrid.sgdml.surrogate_geometries import similar_geometries, temperature, training_geometries
from tests.helpers.sgdml_data import SWAP, water


@pytest.fixture(scope="module")
def model() -> SGDMLModel:
    """Trained on frames 0-23 of 30."""
    return train(water(30), sigma=2, lam=1e-6, perms=SWAP, indices=range(24), progress=False)


@pytest.fixture(scope="module")
def compression(model: SGDMLModel) -> Compression:
    return compress(model, water(30), n_points=[6, 12], n_extra=30, progress=False)


def test_functions_are_those_that_the_module_evaluates(model: SGDMLModel) -> None:
    directions = torch.linalg.qr(torch.tensor(np.random.default_rng(0).normal(size=(24, 3, 2))))[0]
    functions = Functions(torch.tensor(model.descriptors), directions, model.perms, model.sigma)
    kernel = HessianKernel.of(water(30).positions[20:], SWAP, model.sigma)
    coefficients = torch.linspace(-1.0, 1.0, functions.number, dtype=torch.float64)
    same = replace(model, descriptor_alphas=functions.weights(coefficients).numpy(), alphas=None, std=1.0)
    energies, forces = same.evaluate(kernel.positions.numpy())
    values, slopes = functions.rows(kernel.x, kernel.jacobians)
    np.testing.assert_allclose(kernel.expand(-(slopes @ coefficients)), forces, atol=1e-10)
    np.testing.assert_allclose(values @ coefficients + same.c, energies, atol=1e-10)


def test_a_projection_on_all_functions_gives_the_forces_back(model: SGDMLModel) -> None:
    """Every point with all its directions spans what the model is made of; λ → 0 leaves nothing out."""
    functions = Functions(
        torch.tensor(model.descriptors), torch.eye(3, dtype=torch.float64).expand(24, -1, -1), SWAP, model.sigma
    )
    kernel = HessianKernel.of(training_geometries(model), SWAP, model.sigma)
    energies, forces = model.evaluate(kernel.positions.numpy())
    slopes = kernel.reduce(torch.tensor(-forces / model.std))
    targets = Targets(kernel, torch.tensor(energies / model.std), slopes)
    solution = Projection.of(functions, targets, progress=False).solve(1e-12)
    assert solution is not None
    again = replace(model, descriptor_alphas=solution[0].numpy(), alphas=None, c=solution[1] * model.std)
    for mine, its in zip(again.evaluate(water(30).positions), model.evaluate(water(30).positions), strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-3)


def test_number_of_functions_that_fit_into_memory() -> None:
    for gigabytes in (1.0, 4.0, 64.0):
        n = functions_that_fit(1e9 * gigabytes)
        assert 0.7e9 * gigabytes < 8 * 3 * n**2 + 2**28 < 1e9 * gigabytes
    assert functions_that_fit(0.0) == 1


def test_geometries_come_back_from_descriptors(model: SGDMLModel) -> None:
    np.testing.assert_allclose(descriptor(torch.tensor(training_geometries(model)))[0], model.descriptors, rtol=1e-12)


def test_dynamics_stays_near_the_training_set(reference_data: Callable[[str], Path]) -> None:
    """MD17's trajectories were run at 500 K."""
    ethanol = load(reference_data("sgdml_model_2018_ethanol.npz"))
    positions = Frames.load(reference_data("md17_ethanol.npz")).positions[:300]
    assert 400.0 < temperature(ethanol, positions, seed=0) < 700.0
    made = similar_geometries(ethanol, 60, seed=0)
    assert made.shape == (60, 9, 3)
    distance = training_distance(ethanol)
    assert 0.9 < np.median(distance.predict(made)) < 1.15
    assert distance.predict(made).max() <= distance.left_out.max()
    np.testing.assert_array_equal(similar_geometries(ethanol, 60, seed=0), made)


def test_a_model_that_holds_nothing_together_gives_geometries_too(model: SGDMLModel) -> None:
    """As weak as a correction, the toy's atoms repel each other; upside down they have no temperature: 300 K then."""
    for sign in (1.0, -1.0):
        turned = replace(model, std=0.01 * sign * model.std)
        made = similar_geometries(turned, 20, seed=1)
        assert made.shape == (20, 3, 3)
        distance = training_distance(turned)
        assert np.median(distance.predict(made)) > 0.3
        assert distance.predict(made).max() <= distance.left_out.max()
    temperatures = [temperature(replace(model, std=s), water(30).positions, seed=0) for s in (1.0, -1.0)]
    assert 300.0 in temperatures
    assert min(temperatures) > 0.0


def test_curve_from_many_points_to_few(model: SGDMLModel, compression: Compression) -> None:
    assert [point.n_points for point in compression.curve] == [24, 12, 6]
    assert compression.curve[0].model is model
    assert compression.curve[0].cost == 1.0
    assert compression.curve[2].cost < compression.curve[1].cost < 0.6
    assert compression.model is compression.curve[-1].model
    held_out = water(30)[24:]
    for point in compression.curve:
        assert point.errors == assess(point.model, held_out)
        assert point.errors.n_frames == 6


def test_what_a_compressed_model_keeps(model: SGDMLModel, compression: Compression, tmp_path: Path) -> None:
    small = compression.model
    np.testing.assert_array_equal(small.perms, model.perms)
    np.testing.assert_array_equal(small.idxs_train, model.idxs_train)
    assert (small.sigma, small.std, small.theory) == (model.sigma, model.std, model.theory)
    assert {tuple(x) for x in small.descriptors} <= {tuple(x) for x in model.descriptors}
    positions = water(30).positions
    energies, forces = small.predict(positions)
    swapped_energies, swapped_forces = small.predict(positions[:, [0, 2, 1]])
    np.testing.assert_allclose(swapped_energies, energies, atol=1e-9)
    np.testing.assert_allclose(swapped_forces, forces[:, [0, 2, 1]], atol=1e-9)
    np.testing.assert_allclose(load(small.save(tmp_path / "small.npz")).predict(positions)[1], forces, atol=1e-9)
    assert abs(np.mean(energies - model.predict(positions)[0])) < 0.1 * np.std(energies)


def test_same_seed_same_model(model: SGDMLModel, compression: Compression) -> None:
    again, other = (compress(model, water(30), n_points=6, n_extra=30, seed=seed, progress=False) for seed in (0, 1))
    np.testing.assert_array_equal(again.model.descriptor_alphas, compression.model.descriptor_alphas)
    assert not np.array_equal(other.model.descriptors, again.model.descriptors)


def test_fewest_points_within_the_limit(model: SGDMLModel, compression: Compression) -> None:
    whole, middle, small = (point.errors.force_mae for point in compression.curve)
    assert whole < middle < small
    options: dict[str, object] = {"n_extra": 30, "progress": False}
    chosen = compress(model, water(30), n_points=[6, 12], max_force_error=(middle + small) / 2, **options)
    assert chosen.model.n_train == 12
    stopped = compress(model, water(30), max_force_error=middle / 2 + whole / 2, **options)
    assert [point.n_points for point in stopped.curve] == [24, 12]  # half the points are above it already
    assert stopped.model is model
    with pytest.warns(UserWarning, match="original model"):
        assert compress(model, water(30), n_points=6, max_force_error=1e-9, **options).model is model


def test_ethanol_with_a_third_of_the_points(reference_data: Callable[[str], Path]) -> None:
    """Compression of 150 points to 50 costs less than 20 % of force MAE, a training on 50 of them more than 50 %."""
    frames = Frames.load(reference_data("ethanol_ccsd_t-train.npz")).unique()
    model = train(frames, sigma=20, n_train=150, progress=False)
    result = compress(model, frames, n_points=50, progress=False)
    whole, small = (point.errors.force_mae for point in result.curve)
    assert result.curve[0].errors.n_frames == len(frames) - 150
    trained = train(frames, sigma=20, indices=model.idxs_train[:50], progress=False)
    retrained = assess(trained, frames[np.setdiff1d(np.arange(len(frames)), model.idxs_train)]).force_mae
    assert small < 1.2 * whole
    assert retrained > 1.5 * whole


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_points": 25}, "from 1 to 24"),
        ({"n_points": []}, "from 1 to 24"),
        ({"n_points": [0, 3]}, "from 1 to 24"),
        ({"max_force_error": 0.0}, "positive"),
        ({"n_extra": 0}, "n_extra = 0"),
        ({"n_functions": 0}, "n_functions = 0"),
    ],
)
def test_settings_are_refused(model: SGDMLModel, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compress(model, water(30), progress=False, **options)


def test_frames_are_refused(model: SGDMLModel) -> None:
    frames = water(30)
    with pytest.raises(InputError, match="no forces"):
        compress(model, replace(frames, forces=None))
    with pytest.raises(MismatchError, match="atoms"):
        compress(model, replace(frames, atomic_numbers=np.array([8, 1, 2])))
    everything = train(frames, sigma=2, lam=1e-6, perms=SWAP, progress=False)
    with pytest.raises(InputError, match="not trained on"):
        compress(everything, frames)
