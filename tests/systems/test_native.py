"""OpenMM's own forces against the torch module of the same force field, to the bounds of the project's acceptance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import openmm
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forms.fourier import Fourier
from openmm_hybrid.systems.backends.native import NativeBackend
from openmm_hybrid.systems.backends.spline import SplineBackend
from openmm_hybrid.systems.plan import plan
from tests.helpers.classical_ethanol import bare, forcefield, frames, predict

PLATFORMS = [openmm.Platform.getPlatform(k).getName() for k in range(openmm.Platform.getNumPlatforms())]


def bonded(model: ForceField) -> ForceField:
    """Without the non-bonded pairs."""
    return model.only(*(group for group in model.groups if group not in ("coulomb", "lj.pairs")))


def with_series(sine: bool) -> ForceField:
    """Fourier series of order 5 on every proper, c₀ unrelated to the rest."""
    read = forcefield()
    rng = np.random.default_rng(5)
    form = Fourier(5, sine=sine)
    builder = Builder.of(read.tables, without=["propers"])
    rows = {tuple(chain): rng.normal(size=len(form.columns)).tolist() for chain in read.group("propers").atoms.tolist()}
    builder.add("propers", form, rows)
    return ForceField(builder.finish())


MODELS = {
    "harmonic": lambda: forcefield(),
    "morse": lambda: forcefield(bonds="morse"),
    "cosines": lambda: with_series(sine=False),
    "sines": lambda: with_series(sine=True),
    "cross": lambda: forcefield(cross=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_analytic_forms_agree_with_torch(name: str) -> None:
    """To 1e-9 relative in double precision."""
    model, case = bonded(MODELS[name]()), bare()
    forces = oh.attach(case.system, case.topology, model, backend="native", force_group=3)
    assert {force.getForceGroup() for force in forces} == {3}
    positions = frames(20)
    energies, pulls = predict(case.system, positions)
    expected, wanted = model.predict(positions)
    np.testing.assert_allclose(energies, expected, rtol=1e-9, atol=0)
    np.testing.assert_allclose(pulls, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("platform", ["CPU", "OpenCL"])
def test_platforms_of_single_precision_agree(platform: str) -> None:
    if platform not in PLATFORMS:
        pytest.skip(f"OpenMM has no platform {platform} here")
    model, case = bonded(forcefield(bonds="morse", cross=["angle"])), bare()
    oh.attach(case.system, case.topology, model, backend="native")
    positions = frames(3)
    energies, pulls = predict(case.system, positions, platform)
    expected, wanted = model.predict(positions)
    np.testing.assert_allclose(energies, expected, rtol=2e-5)
    np.testing.assert_allclose(pulls, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


def test_classical_terms_are_read_back() -> None:
    """Through `ForceField.from_system`, the constant of the series included."""
    model, case = bonded(with_series(sine=True).edit(bonds="morse")), bare()
    oh.attach(case.system, case.topology, model, backend="native")
    again = ForceField.from_system(case.system, case.topology)
    assert {"bonds.morse", "angles", "propers"} == set(again.groups)
    positions = frames(3)
    np.testing.assert_allclose(again.predict(positions)[0], model.predict(positions)[0], rtol=1e-10)


def test_few_forces_and_every_bond_marked() -> None:
    model, case = bonded(forcefield(bonds="morse")), bare()
    forces = oh.attach(case.system, case.topology, model, backend="native")
    kinds = sorted(type(force).__name__ for force in forces)
    assert kinds == ["CustomBondForce", "HarmonicAngleForce", "HarmonicBondForce", "PeriodicTorsionForce"]
    (marks,) = (force for force in forces if isinstance(force, openmm.HarmonicBondForce))
    found = {tuple(marks.getBondParameters(k)[:2]) for k in range(marks.getNumBonds())}
    assert found == {tuple(pair) for pair in model.bonds.tolist()}
    assert {marks.getBondParameters(k)[3]._value for k in range(marks.getNumBonds())} == {0.0}


@pytest.mark.parametrize("forms", [{"bonds": "morse", "cross": ["angle"]}, {"bonds": "neural"}])
def test_a_parameter_scales_the_terms(forms: dict[str, object]) -> None:
    model, case = bonded(forcefield(**forms)), bare()
    oh.attach(case.system, case.topology, model, scale="lambda")
    positions = frames(1)
    context = openmm.Context(
        case.system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )
    context.setPositions(positions[0] / 10)
    expected = 4.184 * model.predict(positions)[0][0]
    for lam in (1.0, 0.25):
        context.setParameter("lambda", lam)
        state = context.getState(energy=True, parameterDerivatives=True)
        assert state.getPotentialEnergy()._value == pytest.approx(lam * expected, rel=1e-6)
        assert state.getEnergyParameterDerivatives()["lambda"] == pytest.approx(expected, rel=1e-6)


def test_a_parameter_with_the_name_of_a_column_is_refused() -> None:
    case = bare()
    with pytest.raises(InputError, match=r"'r0' has the name of a parameter of the group 'bonds'"):
        oh.attach(case.system, case.topology, forcefield().only("bonds"), backend="native", scale="r0")
    assert case.system.getNumForces() == 0


def test_a_force_field_is_split_by_groups() -> None:
    native, spline = NativeBackend(), SplineBackend()
    model = bonded(forcefield(bonds="neural", angles="spline", cross=["angle"]))
    (first, classical), (second, tabulated) = plan(model, [native, spline])
    assert (first, second) == (native, spline)
    assert isinstance(classical, ForceField)
    assert isinstance(tabulated, ForceField)
    assert set(tabulated.groups) == {"bonds.neural", "angles.spline"}
    assert set(classical.groups) | set(tabulated.groups) == set(model.groups)
    both = oh.Sum((model, oh.ForceField(replace(model.tables, name="again"))))
    assert [len(part.parts) for _, part in plan(both, [native, spline])] == [2, 2]
    case = bare()
    assert oh.attach(case.system, case.topology, both)
    positions = frames(1)
    np.testing.assert_allclose(predict(case.system, positions)[0], 2 * model.predict(positions)[0], rtol=1e-6)


def test_pairs_are_left_to_others() -> None:
    case = bare()
    with pytest.raises(MismatchError, match=r"no backend among native takes the group 'coulomb'"):
        oh.attach(case.system, case.topology, forcefield(), backend="native")
    assert case.system.getNumForces() == 0
