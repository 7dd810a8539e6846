"""sGDML models keep the contract of EnergyModel and of its TorchScript form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.sgdml import load, train
from openmm_hybrid.testing import TorchModelSuite
from tests.helpers.sgdml_data import labelled


@pytest.fixture(scope="module")
def ethanol() -> Frames:
    """30 distorted ethanols with pair energies."""
    molecule = Molecule.from_smiles("CCO")
    shifts = np.random.default_rng(0).normal(scale=0.05, size=(30, 9, 3))
    return labelled(molecule.atomic_numbers, molecule.positions + shifts)


@pytest.fixture(scope="module")
def symmetric(ethanol: Frames) -> EnergyModel:
    return train(ethanol, sigma=10, indices=range(25), progress=False)


@pytest.fixture(scope="module")
def plain(ethanol: Frames) -> EnergyModel:
    return train(ethanol, sigma=10, perms=None, indices=range(25), progress=False)


class TestTrained(TorchModelSuite):
    @pytest.fixture
    def model(self, symmetric: EnergyModel) -> EnergyModel:
        return symmetric

    @pytest.fixture
    def positions(self, ethanol: Frames) -> NDArray[np.float64]:
        return np.array(ethanol.positions[23:28])  # training points and others


class TestWithoutPermutations(TestTrained):
    @pytest.fixture
    def model(self, plain: EnergyModel) -> EnergyModel:
        return plain


class TestTwoAtoms(TorchModelSuite):
    """One pair, which the exchange of the atoms leaves in place."""

    @pytest.fixture
    def positions(self) -> NDArray[np.float64]:
        return np.array([[[0.0, 0.0, 0.0], [0.0, 0.1, r]] for r in (0.7, 0.8, 0.9, 1.0)])

    @pytest.fixture
    def model(self, positions: NDArray[np.float64]) -> EnergyModel:
        return train(labelled(np.array([1, 1]), positions), sigma=1, perms=[[0, 1], [1, 0]], progress=False)


class TestModelOf2018(TorchModelSuite):
    """A real model: 1000 points, coefficients of 1e10."""

    @pytest.fixture
    def model(self, reference_data: Callable[[str], Path]) -> EnergyModel:
        return load(reference_data("sgdml_model_2018_aspirin.npz"))

    @pytest.fixture
    def positions(self, reference_data: Callable[[str], Path]) -> NDArray[np.float64]:
        return np.array(Frames.load(reference_data("md17_aspirin.npz")).positions[:4])
