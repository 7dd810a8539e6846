"""ForceField keeps the contract of EnergyModel and of its TorchScript form, with every family of forms in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forcefield import ForceField, Parameters
from openmm_hybrid.forms.form import Column
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.testing import TorchModelSuite
from tests.helpers.forcefield_molecules import EDITS, built, disturbed, ethanol, shaken


class TestForceField(TorchModelSuite):
    @pytest.fixture(params=EDITS)
    def model(self, request: pytest.FixtureRequest) -> EnergyModel:
        return disturbed(EDITS[request.param]())

    @pytest.fixture
    def positions(self) -> NDArray[np.float64]:
        return shaken(built("ethanol"))


def test_groups_add_up_and_only_chooses() -> None:
    model, positions = ethanol(), shaken(built("ethanol"))
    parts = model.energies_by_group(positions)
    assert tuple(parts) == model.groups == ("bonds", "angles", "propers", "coulomb", "lj.pairs")
    np.testing.assert_allclose(sum(parts.values()), model.predict(positions)[0], rtol=1e-12)
    bonded = model.only("bonds", "angles")
    np.testing.assert_allclose(bonded.predict(positions)[0], parts["bonds"] + parts["angles"], rtol=1e-12)
    assert len(bonded.parameters) == len(model.parameters)
    with pytest.raises(InputError, match="no group 'bnds'; expected one of bonds, angles"):
        model.only("bnds")


def test_one_shared_parameter_moves_all_its_terms() -> None:
    """All five C-H bonds by type: with another k of c3-hc, the energies of three of them change."""
    model, positions = ethanol(), shaken(built("ethanol"))
    (index,) = model.parameters.matching("bonds/c3-hc/k")
    bonds = model.group("bonds")
    hydrogens = bonds.atoms[bonds.assignment[:, 0] == index]
    assert len(hydrogens) == 3
    values = model.parameters.values.copy()
    values[index] += 10.0
    r0 = values[model.parameters.matching("bonds/c3-hc/r0")]
    lengths = np.linalg.norm(positions[:, hydrogens[:, 1]] - positions[:, hydrogens[:, 0]], axis=-1)
    change = model.with_values(values).predict(positions)[0] - model.predict(positions)[0]
    np.testing.assert_allclose(change, (5.0 * (lengths - r0) ** 2).sum(axis=1), rtol=1e-9)


def test_charge_sum_is_the_net_charge() -> None:
    for name, net in (("ethanol", 0.0), ("methanol", 0.0), ("acetate", -1.0), ("methylimidazolium", 1.0)):
        system = built(name)
        model = ForceField.from_system(system.system, system.topology)
        assert model.tables.charge_sum() @ model.parameters.values == pytest.approx(net, abs=1e-9)
        assert model.tables.charge_sum().sum() == model.n_atoms


def test_parameters_have_a_gradient() -> None:
    """`slopes` at stored coordinates, by autograd, against central differences: what a fit goes by."""
    model = disturbed(ethanol().edit(bonds="morse", cross=["angle"]))
    module = model.module()
    q, _ = module.internal(torch.tensor(shaken(built("ethanol"))))
    theta = module.theta.clone().requires_grad_()
    weights = torch.tensor(np.random.default_rng(3).normal(size=q.shape))

    def loss(values: torch.Tensor) -> torch.Tensor:
        energies, slopes = module.slopes(q, values)
        return energies.sum() + (weights * slopes).sum()

    (gradient,) = torch.autograd.grad(loss(theta), theta)
    for index in np.random.default_rng(4).choice(len(theta), 40, replace=False):
        step = torch.zeros_like(theta)
        step[index] = 1e-5
        with torch.no_grad():
            numeric = float(loss(theta + step) - loss(theta - step)) / 2e-5
        assert float(gradient[index]) == pytest.approx(numeric, rel=1e-5, abs=1e-4), model.parameters.names[index]


def test_an_exact_name_stands_for_itself() -> None:
    """Types may contain the characters of patterns, such as C* of AMBER and SMARTS."""
    labels = ["C*-H", "CA-H", "[C:1]-H", "C-H"]
    parameters, _ = Parameters.empty().extended("bonds", labels, [Column("k", "1")], np.zeros((4, 1)))
    for number, label in enumerate(labels):
        assert parameters.matching(f"bonds/{label}/k").tolist() == [number]
        assert np.flatnonzero(parameters.matching_any([f"bonds/{label}/k"])).tolist() == [number]
    assert parameters.matching("bonds/C*/k").tolist() == [0, 1, 3]


def test_refuses_values_of_another_number_or_not_finite() -> None:
    model = ethanol()
    with pytest.raises(InputError):
        model.with_values(np.zeros(3))
    broken = model.parameters.values.copy()
    broken[0] = np.nan
    with pytest.raises(InputError, match=r"the value of bonds/.* is not finite"):
        model.with_values(broken)
