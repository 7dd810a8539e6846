"""Conformance suites for additions: inherit one in a test module and give its fixtures, and pytest tests the addition.

class TestMyModel(EnergyModelSuite):
    @pytest.fixture
    def model(self): ...
    @pytest.fixture
    def positions(self): ...
"""

from __future__ import annotations

from openmm_hybrid.testing.backend import BackendSuite
from openmm_hybrid.testing.base import BaseSuite
from openmm_hybrid.testing.charges import ChargesSuite
from openmm_hybrid.testing.engine import ReferenceEngineSuite
from openmm_hybrid.testing.form import FunctionalFormSuite
from openmm_hybrid.testing.models import EnergyModelSuite, TorchModelSuite
from openmm_hybrid.testing.solver import SolverSuite
from openmm_hybrid.testing.study import StudySuite

__all__ = [
    "BackendSuite",
    "BaseSuite",
    "ChargesSuite",
    "EnergyModelSuite",
    "FunctionalFormSuite",
    "ReferenceEngineSuite",
    "SolverSuite",
    "StudySuite",
    "TorchModelSuite",
]
