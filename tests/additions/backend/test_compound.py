"""The compound backend, found by its name."""

from __future__ import annotations

import pytest

from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forms.fourier import Fourier
from openmm_hybrid.forms.harmonic import Harmonic
from openmm_hybrid.systems.backends import BACKENDS
from openmm_hybrid.systems.backends.backend import Backend
from openmm_hybrid.testing import BackendSuite


class TestCompound(BackendSuite):
    @pytest.fixture
    def backend(self) -> Backend:
        return BACKENDS.load("compound")()

    @pytest.fixture
    def model(self) -> ForceField:
        builder = Builder([1, 8, 8, 1], [[0, 1], [1, 2], [2, 3]])
        builder.add(
            "bonds", Harmonic("distance"), {(0, 1): [900.0, 0.97], (1, 2): [500.0, 1.45], (2, 3): [900.0, 0.97]}
        )
        builder.add("angles", Harmonic("angle"), {(0, 1, 2): [120.0, 1.75], (1, 2, 3): [120.0, 1.75]})
        builder.add("propers", Fourier(2), {(0, 1, 2, 3): [0.0, 1.2, 0.8]})
        return ForceField(builder.finish())
