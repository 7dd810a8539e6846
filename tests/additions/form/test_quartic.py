"""A form of another distribution needs nothing in the package but its name in FORMS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray

import openmm_hybrid as oh
from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.forms import FORMS
from openmm_hybrid.forms.form import FunctionalForm
from openmm_hybrid.models.system import SystemModel
from openmm_hybrid.testing import FunctionalFormSuite
from tests.helpers.forcefield_molecules import built, shaken
from tests.helpers.peroxides import frames, trioxidane


class TestQuartic(FunctionalFormSuite):
    @pytest.fixture
    def form(self) -> FunctionalForm:
        return FORMS.load("quartic")()

    @pytest.fixture
    def parameters(self) -> NDArray[np.float64]:
        return np.array([[600.0, 1.1, -2.0, 2.5], [700.0, 1.4, -1.5, 1.8]])


def test_edit_starts_at_the_same_energies_and_goes_back() -> None:
    ethanol, positions = forcefield("ethanol"), shaken(built("ethanol"))
    edited = ethanol.edit(bonds="quartic")
    assert "bonds.quartic" in edited.groups
    assert "bonds" not in edited.groups
    np.testing.assert_allclose(edited.predict(positions)[0], ethanol.predict(positions)[0], rtol=1e-10)
    back = edited.edit(bonds="harmonic")
    assert sorted(back.groups) == sorted(ethanol.groups)
    np.testing.assert_allclose(back.predict(positions)[0], ethanol.predict(positions)[0], rtol=1e-10)
    assert {"bonds.quartic", "bonds.spline"} <= set(edited.edit(bonds="spline", cross=True).groups)


def test_fit_recovers_the_anharmonicity() -> None:
    """Labels of a quartic force field: the fit finds a and b of every bond."""
    start = trioxidane().edit(bonds="quartic")
    names = start.parameters.names
    target = start.parameters.values.copy()
    for number, name in enumerate(names):
        target[number] = {"a": -2.0, "b": 2.4}.get(name.rpartition("/")[2], target[number])
    data = frames(start.with_values(target), 80, noise=0.05)
    result = oh.fit(start, data, n_train=60, n_test=20, restraint=0.0, progress=False, md_steps=0)
    assert result.test is not None
    assert result.test.force_rmse < 1e-3 * result.molecules[0].start.force_rmse
    assert result.passed
    for name in names:
        if name.endswith(("/a", "/b")):
            assert result.changes()[name][1] == pytest.approx({"a": -2.0, "b": 2.4}[name[-1]], rel=1e-2)


@pytest.mark.parametrize("operation", ["replace", "attach"])
def test_a_system_on_reference_has_the_same_energies(operation: str) -> None:
    gs, positions = built("ethanol"), shaken(built("ethanol"))
    model = fitted(forcefield("ethanol").edit(bonds="quartic", cross=["angle"]))
    if operation == "replace":
        system = openmm.XmlSerializer.clone(gs.system)
        oh.replace(system, gs.topology, model)
    else:
        model = model.only("bonds.quartic", "angles")
        system = openmm.System()
        for atom in gs.topology.atoms():
            system.addParticle(atom.element.mass)
        oh.attach(system, gs.topology, model)
    energies, forces = SystemModel(system, gs.topology).predict(positions)
    expected, expected_forces = model.predict(positions)
    np.testing.assert_allclose(energies, expected, rtol=1e-9)
    np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-6)


def test_a_file_keeps_the_form(tmp_path: Path) -> None:
    model = fitted(forcefield("ethanol").edit(bonds="quartic"))
    again = oh.ForceField.load(model.save(tmp_path / "quartic.npz"))
    positions = shaken(built("ethanol"))
    assert again.group("bonds.quartic").form.name == "quartic"
    np.testing.assert_array_equal(again.predict(positions)[1], model.predict(positions)[1])


def test_programs_without_the_form_refuse_it(tmp_path: Path) -> None:
    model = forcefield("ethanol").edit(bonds="quartic")
    with pytest.raises(MismatchError, match=r"'bonds\.quartic' are quartic"):
        model.to_ffxml(tmp_path / "quartic.xml")
    with pytest.raises(MismatchError, match=r"'bonds\.quartic' are quartic"):
        model.to_frcmod(tmp_path / "quartic.frcmod", types=built("ethanol").atom_types)


def forcefield(name: str) -> oh.ForceField:
    gs = built(name)
    return oh.ForceField.from_system(gs.system, gs.topology, name=name)


def fitted(model: oh.ForceField) -> oh.ForceField:
    """Other values of a and b, as after a fit."""
    values = model.parameters.values.copy()
    for number, name in enumerate(model.parameters.names):
        values[number] += {"a": -1.9, "b": 2.2}.get(name.rpartition("/")[2], 0.0)
    return model.with_values(values)
