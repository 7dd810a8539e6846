"""The LU solver, found by its name."""

from __future__ import annotations

import pytest

from openmm_hybrid.sgdml.solvers import SOLVERS
from openmm_hybrid.sgdml.solvers.solver import Solver
from openmm_hybrid.testing import SolverSuite


class TestLU(SolverSuite):
    @pytest.fixture
    def solver(self) -> Solver:
        return SOLVERS.load("lu")()
