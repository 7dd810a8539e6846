"""Fourier series of two coordinates keep the contract of forms (autograd, differences, OpenMM's own evaluation)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forms.form import FunctionalForm
from openmm_hybrid.forms.fourier2d import Fourier2D
from openmm_hybrid.testing import FunctionalFormSuite

CASES = {
    "torsions": Fourier2D("dihedral 0 1 2 3", "dihedral 1 2 3 4", order=3),
    "distance and torsion": Fourier2D("distance 4 0", "dihedral 0 1 2 3", order=3),
    "distance and angle": Fourier2D("distance 0 1", "angle 0 1 2", order=2),
}


@pytest.mark.parametrize("case", CASES, scope="class")
class TestFourier2D(FunctionalFormSuite):
    @pytest.fixture
    def form(self, case: str) -> FunctionalForm:
        return CASES[case]

    @pytest.fixture
    def parameters(self, form: FunctionalForm) -> NDArray[np.float64]:
        rows = form.start(2).numpy() + np.random.default_rng(7).normal(scale=0.5, size=(2, len(form.columns)))
        for lower, upper, _ in form.ranges:  # narrower than the suite's coordinates
            rows[:, lower], rows[:, upper] = 1.25, 1.6
        return rows


@pytest.mark.parametrize("case", CASES)
def test_a_mirror_image_has_the_same_energy(case):
    form = CASES[case]
    p = torch.tensor(np.random.default_rng(0).normal(size=(1, len(form.columns))))
    p[:, 0 : form.n_range : 2], p[:, 1 : form.n_range : 2] = -1.0, 1.0
    sign = torch.tensor([-1.0 if each.kind == "dihedral" else 1.0 for each in form.coordinates])
    q = torch.tensor(np.random.default_rng(1).uniform(-1.0, 1.0, size=(5, 1, 2)))
    np.testing.assert_allclose(form(sign * q, p)[0].numpy(), form(q, p)[0].numpy(), atol=1e-12)


def test_torsions_that_turn_against_each_other_are_told_from_those_that_turn_together():
    form = CASES["torsions"]
    p = form.start(1)
    p[0, [form.waves().index(each) for each in (("a", 1, 1), ("b", 1, 1))]] = torch.tensor(
        [1.0, 1.0], dtype=torch.float64
    )
    q = torch.tensor([[[0.7, 0.4]], [[0.7, -0.4]]], dtype=torch.float64)
    np.testing.assert_allclose(form(q, p)[0][:, 0].numpy(), np.cos([0.3, 1.1]), atol=1e-12)  # cos u cos v + sin u sin v


def test_refuses_what_is_no_coordinate():
    with pytest.raises(InputError, match="'dihedral 0 1'"):
        Fourier2D("dihedral 0 1", "distance 0 1")
    with pytest.raises(InputError, match="order 0"):
        Fourier2D("distance 1 2", "distance 0 1", order=0)
