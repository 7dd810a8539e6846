"""Every functional form keeps the contract of FunctionalForm. A new form is one entry of CASES.

The suite compares slopes with autograd and central differences, and expressions with OpenMM's own evaluation.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from openmm_hybrid.forms import FORMS
from openmm_hybrid.forms.cross import GROUPS, Cross
from openmm_hybrid.forms.form import FunctionalForm
from openmm_hybrid.forms.fourier import Fourier
from openmm_hybrid.forms.fourier2d import Fourier2D
from openmm_hybrid.forms.harmonic import Harmonic
from openmm_hybrid.forms.inner import Inner
from openmm_hybrid.forms.morse import Morse
from openmm_hybrid.forms.neural import Neural
from openmm_hybrid.forms.nonbonded import Coulomb, LennardJones
from openmm_hybrid.forms.spline import Spline
from openmm_hybrid.testing import FunctionalFormSuite


@dataclass(frozen=True)
class Case:
    """A form with parameters (n_terms, n_columns); random ones around `start` where none are given."""

    form: FunctionalForm
    parameters: tuple[tuple[float, ...], ...] = ()
    diverges: bool = False

    def rows(self) -> NDArray[np.float64]:
        """Parameters (n_terms, n_columns)."""
        if self.parameters:
            return np.array(self.parameters)
        rows = self.form.start(2).numpy().copy()
        rows += np.random.default_rng(7).normal(scale=0.5, size=rows.shape)
        for lower, upper, _ in self.form.ranges:  # narrower than the coordinates of the tests
            rows[:, lower], rows[:, upper] = 1.25, 1.5
        return rows


CASES = {
    "harmonic bond": Case(Harmonic("distance"), ((600.0, 1.1), (700.0, 1.4))),
    "harmonic angle": Case(Harmonic("angle"), ((100.0, 1.9), (130.0, 2.1))),
    "morse": Case(Morse(), ((90.0, 1.9, 1.1), (110.0, 2.1, 1.4))),
    "fourier3": Case(Fourier(3)),
    "fourier6 with sines": Case(Fourier(6, sine=True)),
    "spline bond": Case(Spline("distance", pieces=8)),
    "spline angle": Case(Spline("angle")),
    "spline dihedral": Case(Spline("dihedral", pieces=9)),
    "neural bond": Case(Neural("distance", hidden=5)),
    "neural angle": Case(Neural("angle", hidden=4)),
    "neural dihedral": Case(Neural("dihedral", hidden=4)),
    "neural odd dihedral": Case(Neural("dihedral", hidden=4, even=False)),
    **{f"cross {kind}": Case(Cross(kind)) for kind in GROUPS},
    "fourier2d": Case(Fourier2D("dihedral 0 1 2 3", "distance 4 0", order=2)),
    "coulomb": Case(Coulomb(), ((0.3, -0.6, 1.0), (0.2, 0.1, 1 / 1.2)), diverges=True),
    "lennard-jones": Case(LennardJones(), ((3.4, 2.6, 0.3, 0.2, 1.0), (3.0, 3.1, 0.4, 0.5, 0.5)), diverges=True),
    "inner": Case(Inner(), ((3.4, -0.2, 0.4, 0.3), (2.6, 0.1, 0.06, 0.09)), diverges=True),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


class TestForm(FunctionalFormSuite):
    @pytest.fixture
    def form(self, case: Case) -> FunctionalForm:
        return case.form

    @pytest.fixture
    def parameters(self, case: Case) -> NDArray[np.float64]:
        return case.rows()

    @pytest.fixture
    def diverges(self, case: Case) -> bool:
        return case.diverges


def test_every_registered_form_has_a_case() -> None:
    assert {FORMS.load(name) for name in FORMS.names()} == {type(case.form) for case in CASES.values()}


@pytest.mark.parametrize("kind", GROUPS)
def test_expressions_are_the_same_in_every_process(kind: str) -> None:
    """The order of hashes changes from process to process; a resumed run compares its System with the first one."""
    code = f"from openmm_hybrid.forms.cross import Cross; print(Cross({kind!r}).expression())"
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == Cross(kind).expression()
