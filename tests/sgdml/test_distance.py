"""The distance to the training set: against its formula written out, its invariances, its gradient, and its use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.models.energy_model import TorchModel
from openmm_hybrid.sgdml import TrainingDistance, load, train, training_distance
from openmm_hybrid.testing import TorchModelSuite
from tests.helpers.sgdml_data import SWAP, water


@pytest.fixture(scope="module")
def distance() -> TrainingDistance:
    return training_distance(train(water(), sigma=2, lam=1e-4, perms=SWAP, indices=range(12), progress=False))


def plain(distance: TrainingDistance, x: np.ndarray, left_out: int | None = None) -> float:
    """The formula point by point, not divided by ℓ; the swap of the hydrogens exchanges pairs 0 and 1."""
    swap = [1, 0, 2]
    points = distance.descriptors
    images = np.concatenate([points, points[:, swap]])
    z = (x - images) / np.sqrt(images.std(axis=0))
    squares = (z**2).sum(axis=1).reshape(2, -1)
    if left_out is not None:
        squares = np.delete(squares, left_out, axis=1)
    return float((squares**-8.0).sum() ** (-1 / 16))


def descriptor(positions: np.ndarray) -> np.ndarray:
    return np.array([1 / np.linalg.norm(positions[i] - positions[j]) for i, j in ((1, 0), (2, 0), (2, 1))])


def test_equals_its_formula(distance: TrainingDistance) -> None:
    left_out = np.array([plain(distance, x, m) for m, x in enumerate(distance.descriptors)])
    scale = np.median(left_out)
    np.testing.assert_allclose(distance.left_out, left_out / scale, rtol=1e-6)
    for positions in water(30).positions[12:]:
        expected = plain(distance, descriptor(positions)) / scale
        assert float(distance.predict(positions)) == pytest.approx(expected, rel=1e-6)


def test_zero_at_training_points_in_either_order(distance: TrainingDistance) -> None:
    positions = water().positions[[0, 5]]
    assert (distance.predict(positions) < 1e-5).all()
    assert (distance.predict(positions[:, [0, 2, 1]]) < 1e-5).all()
    values, gradients = distance.module()(torch.tensor(positions))
    assert torch.isfinite(gradients).all()
    assert (values < 1e-5).all()


def test_grows_with_the_way_from_the_data(distance: TrainingDistance) -> None:
    frame = water().positions[0]
    stretched = np.array([frame * factor for factor in (1.0, 1.2, 1.5, 2.0)])
    values = distance.predict(stretched)
    assert (np.diff(values) > 0).all()
    assert values[-1] > 3.0


def test_some_points_far_from_each_other() -> None:
    model = train(water(40), sigma=2, lam=1e-4, perms=SWAP, progress=False)
    whole, some = training_distance(model), training_distance(model, n_points=8)
    assert len(set(some.landmarks)) == 8
    assert len(some.left_out) == 40
    assert np.median(some.left_out) == pytest.approx(1.0)
    z = whole.module().points()
    closest = [
        float(whole.module().square_distances(z[list(chosen)])[:, :, list(chosen)].amin(1).fill_diagonal_(9e9).min())
        for chosen in (some.landmarks, range(8))
    ]
    assert closest[0] > closest[1]
    everything = training_distance(model, n_points=40).predict(water(50).positions)
    np.testing.assert_allclose(everything, whole.predict(water(50).positions), rtol=1e-9)
    for n_points in (1, 41):
        with pytest.raises(InputError, match="2 to 40"):
            training_distance(model, n_points=n_points)


@dataclass(frozen=True)
class AsModel(TorchModel):
    """The distance instead of an energy, so that the suite for energies can test it."""

    distance: TrainingDistance

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        return self.distance.atomic_numbers

    def module(self) -> torch.nn.Module:
        return Downhill(self.distance.module())


class Downhill(torch.nn.Module):
    """Value and minus its gradient."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        value, gradient = self.inner(positions)
        return value, -gradient


class TestDistanceOfTwoPermutations(TorchModelSuite):
    """Value, gradient and invariances of the swap of two hydrogens."""

    gradient_tolerance = 1e-5  # of differences over 1e-4 Å: the soft minimum is curved near its points

    @pytest.fixture
    def model(self, distance: TrainingDistance) -> TorchModel:
        return AsModel(distance)

    @pytest.fixture
    def positions(self) -> NDArray[np.float64]:
        return water(22).positions[[13, 19, 21]]


@pytest.mark.filterwarnings("ignore:too few training frames")
def test_what_has_no_distance_is_refused(distance: TrainingDistance) -> None:
    with pytest.warns(UserWarning, match="too few training frames of 'toy' for a model of 3 atoms, 1:"):
        single = train(water(), sigma=2, perms=SWAP, indices=[3], progress=False)
    with pytest.raises(InputError, match="one training geometry"):
        training_distance(single)
    with pytest.raises(InputError, match="copies"):
        TrainingDistance(
            distance.atomic_numbers, np.repeat(distance.descriptors[:1], 5, axis=0), distance.perms, np.arange(5)
        )
    with pytest.raises(MismatchError, match="positions"):
        distance.predict(np.zeros((2, 4, 3)))
    with pytest.raises(InputError, match="finite"):
        distance.predict(np.full((3, 3), np.nan))
    assert distance.predict(np.zeros((0, 3, 3))).shape == (0,)


def test_ranks_the_force_errors_of_ethanol(reference_data: Callable[[str], Path]) -> None:
    """The published model of 1000 points labels frames of its data set, and frames with displaced atoms."""
    teacher = load(reference_data("sgdml_model_2018_ethanol.npz"))
    positions = Frames.load(reference_data("md17_ethanol.npz")).positions[:400]
    model = train(
        Frames(teacher.atomic_numbers, positions[:100], *teacher.evaluate(positions[:100])),
        sigma=20,
        perms=teacher.perms,
        progress=False,
    )
    distance = training_distance(model)
    noise = np.random.default_rng(0).normal(size=(300, 9, 3)) * np.repeat([0.0, 0.04, 0.08], 100)[:, None, None]
    tests = positions[100:] + noise
    errors = np.abs(model.evaluate(tests)[1] - teacher.evaluate(tests)[1]).mean(axis=(1, 2))
    values = distance.predict(tests)
    assert 0.8 < np.median(values[:100]) < 1.2
    assert np.median(values[200:]) > 1.5
    assert spearmanr(values, errors).statistic > 0.8
