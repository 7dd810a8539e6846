"""Networks at knots and interpolated: the same residuals and gradients as networks at every frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import openmm_hybrid as oh
from openmm_hybrid.fitting.cached_frames import CachedFrames
from openmm_hybrid.fitting.cached_networks import lagrange
from openmm_hybrid.fitting.ranges import set_ranges
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forms.neural import Neural
from tests.helpers.peroxides import changed, frames, trioxidane


def networks(even: bool) -> oh.ForceField:
    """Trioxidane with networks on bonds, angles and dihedrals, which are even in φ or not."""
    model = trioxidane().edit(bonds="neural6", angles="neural6", propers="neural6")
    values = model.parameters.values.copy()
    last = ["/w3" in name for name in model.parameters.names]
    values[last] = np.random.default_rng(2).normal(size=sum(last))
    terms = [
        replace(each, form=Neural("dihedral", hidden=6, even=even)) if each.group == "propers.neural" else each
        for each in model.terms
    ]
    return oh.ForceField(replace(model.tables, terms=tuple(terms))).with_values(values)


def test_polynomials_of_degree_5_are_exact() -> None:
    t = torch.linspace(-0.5, 5.5, 40, dtype=torch.float64)
    for power in range(6):
        torch.testing.assert_close(lagrange(t) @ torch.arange(6.0, dtype=torch.float64) ** power, t**power)
    assert float((lagrange(t) @ torch.arange(6.0, dtype=torch.float64) ** 6 - t**6).abs().max()) > 1.0


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("alone", [True, False])
def test_residuals_and_gradients_are_those_of_networks_at_every_frame(even: bool, alone: bool) -> None:
    """With the networks' weights alone, or with other forms that change beside them; for all frames and a few."""
    data = frames(changed(trioxidane(), k=1.2), 60)
    shared = set_ranges(SharedParameters.of([networks(even)]), [data])
    names = shared.parameters.names
    neural = np.array([".neural/" in name for name in names])
    free = np.flatnonzero(shared.parameters.fitted & (neural if alone else True))
    tabulated, direct = (CachedFrames(shared, 0, data, free, tabulate=each) for each in (True, False))
    assert direct.tables is None
    assert (tabulated.module is None) == alone
    for chosen in (None, torch.tensor([40, 3, 17])):
        found = []
        for stored in (tabulated, direct):
            theta = torch.tensor(shared.parameters.values, requires_grad=True)
            force, energy = stored.residuals(theta, chosen)
            ((force**2).sum() + 0.3 * ((energy - energy.mean()) ** 2).sum()).backward()
            assert theta.grad is not None
            found.append((force.detach(), energy.detach() - energy.detach().mean(), theta.grad[free]))
        for ours, theirs in zip(*found, strict=True):
            assert float((ours - theirs).norm()) < 1e-4 * float(theirs.norm())
