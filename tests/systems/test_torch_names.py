"""Names of torch forces tell models apart: runs that resume, repeats and saved Systems rely on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import openmm_hybrid as oh
from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.correction import Gated, gate
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forms.harmonic import Harmonic
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.systems.plan import known_backends
from openmm_hybrid.systems.torch_wrapper import module_name
from tests.helpers import few_atoms

LEARNED = [backend.name for backend in known_backends() if backend.needs_torch and backend.state().works]


def name(model: EnergyModel) -> str:
    return module_name("Force", model.module(), np.arange(model.n_atoms)[None])


@pytest.fixture(scope="module")
def gated() -> Gated:
    one = few_atoms.frames(1).positions
    shaken = one + np.random.default_rng(4).normal(scale=0.05, size=(20, 6, 3))
    training = oh.Frames(few_atoms.NUMBERS, shaken, *few_atoms.attraction().predict(shaken), name="chain")
    model = oh.correction.train(few_atoms.base(), training, perms=None, lam=1e-6, progress=False).model
    return gate(model, training)


def test_limits_and_offset_of_a_gate(gated: Gated) -> None:
    others = [replace(gated, lower=1.4), replace(gated, upper=2.6), replace(gated, offset=1.0)]
    assert len({name(model) for model in (gated, *others)}) == 4
    assert name(replace(gated)) == name(gated)


def test_sum_and_difference() -> None:
    base, other = few_atoms.base(), few_atoms.twist()
    names = {name(model) for model in (oh.Sum((base, other)), oh.Difference(base, other), base)}
    assert len(names) == 3


def test_terms_with_the_same_values_on_other_atoms() -> None:
    builder = Builder(few_atoms.NUMBERS, few_atoms.BONDS)
    builder.add("springs", Harmonic("distance"), {(0, 2): [100.0, 2.4], (1, 3): [200.0, 2.4]})
    tables = builder.finish()
    (springs,) = tables.terms
    exchanged = replace(tables, terms=(replace(springs, assignment=springs.assignment[::-1].copy()),))
    assert name(oh.ForceField(exchanged)) != name(oh.ForceField(tables))


class Weighted(torch.nn.Module):
    """A module with a weight and, if asked, a buffer."""

    def __init__(self, weight: float, *, buffer: bool) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight, dtype=torch.float64))
        if buffer:
            self.shift = torch.nn.Buffer(torch.tensor(0.0))


@pytest.mark.parametrize("buffer", [False, True])
def test_weights_of_another_model(buffer: bool) -> None:
    names = [module_name("Force", Weighted(weight, buffer=buffer), np.arange(6)[None]) for weight in (1.0, 1.0, 2.0)]
    assert names[0] == names[1]
    assert names[0] != names[2]


@pytest.mark.parametrize("backend", LEARNED)
def test_a_run_does_not_resume_with_another_gate(gated: Gated, backend: str, tmp_path) -> None:
    """Both gates are open at the start, so that its energy does not tell."""
    start = few_atoms.frames(1)
    assert gated.factors(start.positions) == 1.0
    settings = {"minimize": False, "equilibration": 0, "interval": 5, "platform": "Reference", "progress": False}

    def run(model: Gated, n_steps: int) -> None:
        system, topology = few_atoms.system()
        models = [oh.Attachment(model, backend=backend)]
        oh.sample(system, topology, start.positions, models=models, n_steps=n_steps, output=tmp_path, **settings)

    run(gated, 5)
    run(gated, 10)
    with pytest.raises(MismatchError, match="system"):
        run(replace(gated, upper=3.0), 15)
