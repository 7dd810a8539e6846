"""The study of charges, found by its name."""

from __future__ import annotations

from typing import Any

import pytest

from openmm_hybrid.studies import STUDIES
from openmm_hybrid.studies.study import Study
from openmm_hybrid.testing import StudySuite


class TestChargeSpread(StudySuite):
    @pytest.fixture
    def study(self) -> Study:
        return STUDIES.load("charge-spread")()

    @pytest.fixture
    def settings(self, study: Study) -> Any:
        return study.Settings(smiles="C")

    @pytest.fixture
    def other_settings(self, study: Study) -> Any:
        return study.Settings(smiles="O")
