"""The argon engine, found by its name."""

from __future__ import annotations

import numpy as np

from openmm_hybrid import reference
from openmm_hybrid.reference import ReferenceEngine
from openmm_hybrid.testing import ReferenceEngineSuite


class TestArgon(ReferenceEngineSuite):
    atomic_numbers = np.array([18, 18, 18])
    positions = np.array([[0.0, 0.0, 0.0], [3.9, 0.1, 0.0], [0.3, 3.7, 0.4]])

    def make(self, charge: int = 0, multiplicity: int = 1) -> ReferenceEngine:
        return reference.engine("argon", charge=charge, multiplicity=multiplicity)
