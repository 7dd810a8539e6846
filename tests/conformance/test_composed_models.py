"""Models made of models keep the contract of EnergyModel. The parts are the analytic pairs of tests/models/morse.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from openmm_hybrid.models.compose import Difference, OnAtoms, Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.torchscript import export_torchscript, load_torchscript
from openmm_hybrid.testing import TorchModelSuite
from tests.helpers.morse import PairMorse

NUMBERS = (6, 8, 1, 1, 1)


class _OfFiveAtoms(TorchModelSuite):
    @pytest.fixture
    def positions(self) -> NDArray[np.float64]:
        shape = np.array([[0.0, 0.0, 0.0], [1.4, 0.0, 0.1], [-0.5, 0.9, 0.2], [-0.4, -0.6, 0.8], [1.8, 0.7, -0.5]])
        return shape + np.random.default_rng(1).normal(scale=0.05, size=(4, 5, 3))


class TestSum(_OfFiveAtoms):
    @pytest.fixture
    def model(self) -> EnergyModel:
        inner = Sum((PairMorse(NUMBERS, 2.0), OnAtoms(PairMorse((8, 6, 1)), (1, 0, 4), NUMBERS)))
        return Sum((PairMorse(NUMBERS), inner))


class TestDifference(_OfFiveAtoms):
    @pytest.fixture
    def model(self) -> EnergyModel:
        return Difference(PairMorse(NUMBERS), PairMorse(NUMBERS, 3.0))


class TestOnAtoms(_OfFiveAtoms):
    @pytest.fixture
    def model(self) -> EnergyModel:
        return OnAtoms(PairMorse((1, 8, 6)), (4, 1, 0), NUMBERS)


class TestScriptedModel(_OfFiveAtoms):
    @pytest.fixture
    def model(self, tmp_path: Path) -> EnergyModel:
        return load_torchscript(export_torchscript(PairMorse(NUMBERS), tmp_path / "morse.pt"))
