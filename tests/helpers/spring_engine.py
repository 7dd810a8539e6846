"""A reference engine whose labels are known, and geometries for it."""

from __future__ import annotations

import time

import numpy as np

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.reference import ReferenceEngine

POSITIONS = np.arange(2 * 3 * 5.0).reshape(5, 2, 3)


class Spring(ReferenceEngine):
    """E = d², so that every label is known; counts its calls, fails or stops where it is told to."""

    def __init__(self, failing=(), stop_at=None, theory="spring", delay=0.0, effort="", error=None):
        self.error, self._effort = error or NumericalError("no convergence"), effort
        self.calls, self.failing, self.stop_at, self._theory, self.delay = 0, failing, stop_at, theory, delay

    @property
    def theory(self):
        return self._theory

    @property
    def effort(self):
        return self._effort

    def evaluate(self, atomic_numbers, positions):
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        self.calls += 1
        time.sleep(self.delay)
        if round(positions[0, 0]) in self.failing:
            raise self.error
        bond = positions[1] - positions[0]
        return float(bond @ bond), np.array([2 * bond, -2 * bond])
