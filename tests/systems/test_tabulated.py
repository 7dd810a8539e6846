"""Tables in OpenMM against the torch module of the same force field, the bounds those of the project's acceptance."""

from __future__ import annotations

import numpy as np
import openmm
import pytest
import torch

import openmm_hybrid as oh
from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.forcefield import ForceField
from tests.helpers.classical_ethanol import bare, forcefield, frames, predict

PLATFORMS = [openmm.Platform.getPlatform(k).getName() for k in range(openmm.Platform.getNumPlatforms())]


def tabulated(form: str) -> ForceField:
    """The terms of one form alone."""
    model = forcefield(bonds=form, angles=form, propers=form)
    return model.only(*(group for group in model.groups if form in group))


@pytest.mark.parametrize("platform", ["Reference", "CPU", "OpenCL"])
@pytest.mark.parametrize("form", ["neural", "spline"])
def test_tables_agree_with_torch(form: str, platform: str) -> None:
    """|ΔE| ≤ 1e-4 kcal/mol and |ΔF| ≤ 1e-3 kcal/mol/Å; on OpenCL, in float32, 1e-5 of the largest force more."""
    if platform not in PLATFORMS:
        pytest.skip(f"OpenMM has no platform {platform} here")
    model, case = tabulated(form), bare()
    forces = oh.attach(case.system, case.topology, model, backend="spline")
    assert len(forces) == 3
    positions = frames(20)
    energies, pulls = predict(case.system, positions, platform)
    expected, wanted = model.predict(positions)
    assert np.abs(wanted).max() > 10.0
    single = 1e-5 if platform == "OpenCL" else 0.0
    np.testing.assert_allclose(energies, expected, rtol=0, atol=1e-4 + single * np.abs(expected).max())
    np.testing.assert_allclose(pulls, wanted, rtol=0, atol=1e-3 + single * np.abs(wanted).max())


def test_far_outside_the_sampled_range_it_is_still_the_same_function() -> None:
    """Bonds of a third to three times their length: OpenMM's table alone would end in zero."""
    model, case = tabulated("neural"), bare()
    oh.attach(case.system, case.topology, model, backend="spline")
    positions = frames(1) * np.array([0.33, 0.6, 1.5, 3.0])[:, None, None]
    energies, pulls = predict(case.system, positions)
    expected, wanted = model.predict(positions)
    assert np.abs(expected).min() > 0.1
    np.testing.assert_allclose(energies, expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(pulls, wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize("form", ["neural", "spline"])
def test_the_certificate_holds_at_random_points(form: str) -> None:
    """OpenMM itself, at distances that no knot or probe has."""
    model = tabulated(form).only(f"bonds.{form}")
    (certificate,) = oh.table_errors(model)
    assert certificate.group == f"bonds.{form}"
    assert certificate.coordinate == "distance"
    assert certificate.n_functions == len(np.unique(model.terms[0].assignment, axis=0))
    assert 0.0 < certificate.energy_error <= 1e-5
    assert 0.0 < certificate.slope_error <= 1e-3
    case = bare()
    (force,) = oh.attach(case.system, case.topology, model, backend="spline")
    single = openmm.System()
    single.addParticle(1.0)
    single.addParticle(1.0)
    only = openmm.CustomCompoundBondForce(2, force.getEnergyFunction())
    only.addPerBondParameter("row")
    only.addTabulatedFunction("table", openmm.XmlSerializer.clone(force.getTabulatedFunction(0)))
    only.addBond([0, 1], force.getBondParameters(0)[1])
    single.addForce(only)
    lengths = np.random.default_rng(2).uniform(0.3, 4.0, size=500)
    positions = np.zeros((500, 2, 3))
    positions[:, 1, 0] = lengths
    energies, pulls = predict(single, positions)
    rows = torch.tensor(model.parameters.values[model.terms[0].assignment[:1]])
    expected, slopes = model.terms[0].form(torch.tensor(lengths)[:, None, None], rows)
    assert np.abs(energies - expected[:, 0].numpy()).max() <= 1.5 * certificate.energy_error
    assert np.abs(-pulls[:, 1, 0] - slopes[:, 0, 0].numpy()).max() <= 1.5 * certificate.slope_error


def test_functions_too_sharp_for_a_table_are_refused() -> None:
    model = tabulated("neural")
    values = model.parameters.values.copy()
    values[model.parameters.matching("bonds.neural/*/W1.*")] *= 1e4
    sharp = model.with_values(values)
    case = bare()
    with pytest.raises(NumericalError, match=r"bonds\.neural cannot be tabulated: 8193 knots leave errors"):
        oh.attach(case.system, case.topology, sharp, backend="spline")
    with pytest.raises(NumericalError, match="cannot be tabulated"):
        oh.table_errors(sharp)
    assert case.system.getNumForces() == 0
