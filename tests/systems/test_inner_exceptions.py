"""replace() of a force field with inner pairs: the molecule meets its surroundings as before.

Expected numbers: OpenMM's own before the replacement, and the force field's predict().
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import ClassVar, final

import numpy as np
import openmm
import pytest
from openmm import app, unit
from torch import Tensor

import openmm_hybrid as oh
from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.inner_pairs import add_inner
from openmm_hybrid.forms.form import DISTANCE, Column, Coordinate, FunctionalForm, Role
from tests.helpers.boxes import RECTANGULAR, TRICLINIC, Case
from tests.helpers.classical_ethanol import box, forcefield, frames, molecule, predict

METHODS = {
    "NoCutoff": openmm.NonbondedForce.NoCutoff,
    "CutoffNonPeriodic": openmm.NonbondedForce.CutoffNonPeriodic,
    "CutoffPeriodic": openmm.NonbondedForce.CutoffPeriodic,
    "Ewald": openmm.NonbondedForce.Ewald,
    "PME": openmm.NonbondedForce.PME,
    "LJPME": openmm.NonbondedForce.LJPME,
}
IMAGES = ("Ewald", "PME")
"""Methods in which the molecule interacts with its periodic images. LJPME is one too, but OpenMM shifts the energy of
pairs without an exception by a constant."""


def fitted(**forms: object) -> oh.ForceField:
    """Ethanol with inner pairs far from those of its atoms."""
    model = forcefield(pairs="inner", **forms)
    parameters, values = model.parameters, model.parameters.values.copy()
    rng = np.random.default_rng(3)
    for name in ("charge_product", "repulsion", "dispersion"):
        chosen = parameters.matching(f"pairs.inner/*/{name}")
        values[chosen] += rng.normal(scale=0.05 if name == "charge_product" else 0.3, size=len(chosen))
    return model.with_values(np.clip(values, parameters.lower, parameters.upper))


def nonbonded(system: openmm.System) -> openmm.NonbondedForce:
    (found,) = (force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    return found


def boxed(method: str, shape: np.ndarray | None = None) -> Case:
    """Two ethanols in water, with one of OpenMM's non-bonded methods. Ewald needs a rectangular box."""
    if shape is None:
        shape = RECTANGULAR if method == "Ewald" else TRICLINIC
    case = box(shape, n_copies=2, n_waters=40)
    force = nonbonded(case.system)
    force.setNonbondedMethod(METHODS[method])
    force.setEwaldErrorTolerance(1e-5)
    if not force.usesPeriodicBoundaryConditions():
        for other in case.system.getForces():
            if hasattr(other, "setUsesPeriodicBoundaryConditions"):
                other.setUsesPeriodicBoundaryConditions(False)
    return case


def without_water(case: Case, system: openmm.System) -> openmm.System:
    """The System with waters that do not interact."""
    quiet = copy.deepcopy(system)
    for atom in case.topology.atoms():
        if atom.residue.name == "HOH":
            nonbonded(quiet).setParticleParameters(atom.index, 0.0, 0.3, 0.0)
    return quiet


def alone(model: oh.ForceField, case: Case) -> float:
    """Energy of all copies, each in vacuum, kcal/mol."""
    return float(model.predict(case.whole[case.atoms])[0].sum())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_the_interaction_with_everything_outside_is_that_of_the_base(platform: str, method: str) -> None:
    """To 1e-9 relative in double precision: with water, and with other copies and periodic images."""
    case, model, base = boxed(method), fitted(cross=["angle"]), forcefield()
    after = copy.deepcopy(case.system)
    oh.replace(after, case.topology, model, atoms=case.atoms)
    bound = 1e-9 if platform == "Reference" else 2e-4
    energies = []
    for system in (case.system, after):
        whole, dry = (predict(each, case.whole[None], platform)[0][0] for each in (system, without_water(case, system)))
        energies.append((whole - dry, dry))
    (water_before, dry_before), (water_after, dry_after) = energies
    assert abs(dry_after - dry_before) > 1.0
    assert water_after == pytest.approx(water_before, rel=bound)
    if method in IMAGES:
        images = dry_before - alone(base, case)
        assert abs(images) > 0.03
        assert dry_after - alone(model, case) == pytest.approx(images, rel=bound)


@pytest.mark.parametrize("method", ["NoCutoff", "PME", "LJPME"])
@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_forces_inside_are_those_of_the_force_field(platform: str, method: str) -> None:
    """Forces after the replacement, less those of the base, are those of the torch modules to 1e-6 relative."""
    case, model, base = boxed(method), fitted(), forcefield()
    before = predict(case.system, case.whole[None], platform)[1][0]
    oh.replace(case.system, case.topology, model, atoms=case.atoms)
    after = predict(case.system, case.whole[None], platform)[1][0]
    wanted = np.zeros_like(after)
    frames_of = case.whole[case.atoms]
    wanted[case.atoms] = model.predict(frames_of)[1] - base.predict(frames_of)[1]
    assert np.abs(wanted).max() > 1.0
    np.testing.assert_allclose(after - before, wanted, rtol=0, atol=1e-6 * np.abs(after).max())


def test_in_vacuum_the_whole_energy_is_that_of_the_force_field() -> None:
    system, topology = molecule()
    model = fitted(bonds="morse")
    oh.replace(system, topology, model)
    energies, forces = predict(system, frames(5))
    expected, expected_forces = model.predict(frames(5))
    np.testing.assert_allclose(energies, expected, rtol=1e-9)
    np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-6)


def test_the_system_reads_back_as_the_force_field() -> None:
    system, topology = molecule()
    assert oh.ForceField.from_system(system, topology, name="ethanol").outer is None
    model = fitted()
    oh.replace(system, topology, model)
    twin = oh.ForceField.from_system(system, topology, name="ethanol")
    assert (twin.groups, twin.parameters.names) == (model.groups, model.parameters.names)
    for part in ("values", "lower", "upper"):
        np.testing.assert_allclose(getattr(twin.parameters, part), getattr(model.parameters, part), rtol=1e-12)
    assert twin.outer is not None
    assert model.outer is not None
    for part in ("charges", "sigmas", "epsilons"):
        np.testing.assert_allclose(getattr(twin.outer, part), getattr(model.outer, part), rtol=1e-14)
    for ours, theirs in zip(twin.predict(frames(4)), model.predict(frames(4)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["CutoffPeriodic", "PME"])
@pytest.mark.parametrize("shape", [RECTANGULAR, TRICLINIC], ids=["rectangular", "triclinic"])
def test_atoms_may_be_wrapped_one_by_one(method: str, shape: np.ndarray) -> None:
    case = boxed(method, shape)
    oh.replace(case.system, case.topology, fitted(), atoms=case.atoms)
    (whole, wrapped), pulls = predict(case.system, np.stack([case.whole, case.wrapped]))
    assert wrapped == pytest.approx(whole, rel=1e-8)
    np.testing.assert_allclose(pulls[1], pulls[0], rtol=0, atol=1e-7 * np.abs(pulls[0]).max())


@final
class Soft(FunctionalForm):
    """E = h (1 + r)⁻³ of pairs, which no exception can express."""

    slots: ClassVar[dict[str, Role]] = {"pairs": "replaces"}

    @property
    def name(self) -> str:
        return "soft"

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        return (DISTANCE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("h", "kcal/mol"),)

    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        r = 1.0 + q[:, :, 0]
        energy = p[:, 0] / (r * r * r)
        return energy, (-3.0 * energy / r).unsqueeze(-1)

    def expression(self) -> str:
        return "h/(1+q1)^3"


def test_pairs_of_another_form_are_excluded_and_have_a_force_of_their_own() -> None:
    """Those beyond three bonds here. The System alone and in water has the energy of the force field inside."""
    inner = fitted()
    pairs = inner.group("pairs.inner")
    near = np.array(["1-4:" in inner.parameters.names[index] for index in pairs.assignment[:, 1]])
    builder = Builder.of(inner.tables, without=["pairs.inner"])
    add_inner(builder, inner.outer, {tuple(row): (0.02, 3.0, 0.1) for row in np.sort(pairs.atoms[near]).tolist()})
    builder.add("pairs.soft", Soft(), {tuple(row): (60.0,) for row in pairs.atoms[~near].tolist()})
    model, base = oh.ForceField(builder.finish()), forcefield()
    case = boxed("PME")
    before, pulls = predict(case.system, case.whole[None])
    oh.replace(case.system, case.topology, model, atoms=case.atoms)
    assert [force.getName() for force in case.system.getForces()][-1] == "Hybrid pairs.soft"
    after, new_pulls = predict(case.system, case.whole[None])
    assert after[0] - before[0] == pytest.approx(alone(model, case) - alone(base, case), rel=1e-9)
    water = np.setdiff1d(np.arange(len(case.whole)), case.atoms)
    np.testing.assert_allclose(new_pulls[0, water], pulls[0, water], rtol=0, atol=1e-9)


def test_it_can_be_replaced_again() -> None:
    """A second force field takes the place of the first, and there is one exception per pair."""
    case, other = boxed("PME"), forcefield(pairs="inner")
    untouched = copy.deepcopy(case.system)
    oh.replace(case.system, case.topology, fitted(), atoms=case.atoms)
    count = nonbonded(case.system).getNumExceptions()
    assert count == nonbonded(untouched).getNumExceptions() + 2 * 3  # pairs four bonds apart: H-C-C-O-H
    oh.replace(case.system, case.topology, other, atoms=case.atoms)
    assert nonbonded(case.system).getNumExceptions() == count
    energies = [predict(system, case.whole[None])[0][0] for system in (case.system, untouched)]
    assert energies[0] == pytest.approx(energies[1], rel=1e-9)


def test_a_barostat_scales_the_box_with_whole_molecules() -> None:
    case = boxed("PME", RECTANGULAR)
    oh.replace(case.system, case.topology, fitted(), atoms=case.atoms)
    case.system.addForce(openmm.MonteCarloBarostat(50.0, 300.0, 1))
    integrator = openmm.LangevinMiddleIntegrator(300.0, 5.0, 0.0005)
    integrator.setRandomNumberSeed(1)
    simulation = app.Simulation(case.topology, case.system, integrator, openmm.Platform.getPlatformByName("Reference"))
    simulation.context.setPositions(case.whole / 10)
    simulation.minimizeEnergy(maxIterations=50)
    simulation.step(40)
    state = simulation.context.getState(positions=True)
    assert state.getPeriodicBoxVolume().value_in_unit(unit.angstrom**3) != pytest.approx(
        np.linalg.det(RECTANGULAR), rel=1e-4
    )
    after = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    for atoms in case.atoms:
        lengths = np.linalg.norm(np.diff(after[atoms[forcefield().bonds]], axis=1), axis=-1)
        assert 0.8 < lengths.min() < lengths.max() < 1.8


def test_implicit_solvent_keeps_its_charges() -> None:
    system, topology = molecule()
    implicit = openmm.GBSAOBCForce()
    for k in range(9):
        implicit.addParticle(nonbonded(system).getParticleParameters(k)[0], 0.15, 0.8)
    system.addForce(implicit)
    before = predict(system, frames(3))[0]
    oh.replace(system, topology, fitted())
    expected = fitted().predict(frames(3))[0] - forcefield().predict(frames(3))[0]
    np.testing.assert_allclose(predict(system, frames(3))[0] - before, expected, atol=1e-7)


Spoil = Callable[[openmm.NonbondedForce, list[int]], None]


def _other_charge(force: openmm.NonbondedForce, atoms: list[int]) -> None:
    force.setParticleParameters(atoms[2], -0.61, 0.31, 0.88)


def _other_sigma(force: openmm.NonbondedForce, atoms: list[int]) -> None:
    force.setParticleParameters(atoms[0], -0.14, 0.341, 0.45)


def _excluded(force: openmm.NonbondedForce, atoms: list[int]) -> None:
    force.addException(atoms[3], atoms[8], 0.0, 0.3, 0.0)


def _included(force: openmm.NonbondedForce, atoms: list[int]) -> None:
    for k in range(force.getNumExceptions()):
        i, j, *_ = force.getExceptionParameters(k)
        if {i, j} == {atoms[0], atoms[2]}:
            force.setExceptionParameters(k, i, j, 0.1, 0.3, 0.1)


REFUSALS: list[tuple[Spoil, str]] = [
    (_other_charge, r"has the charge -0\.6 e in the force field, and -0\.61 e in the System;.*outer\.charges"),
    (_other_sigma, r"has the σ 3\.4 Å in the force field, and 3\.41 Å in the System"),
    (_excluded, r"atoms \d+ and \d+ are an inner pair in the force field .* and excluded in the NonbondedForce"),
    (_included, r"atoms \d+ and \d+ are excluded in the force field .* and not excluded in the NonbondedForce"),
]


@pytest.mark.parametrize(("spoil", "message"), REFUSALS, ids=[spoil.__name__ for spoil, _ in REFUSALS])
def test_refusals_leave_the_system_as_it_was(spoil: Spoil, message: str) -> None:
    case = box(RECTANGULAR, n_waters=4)
    spoil(nonbonded(case.system), case.atoms[0].tolist())
    before = openmm.XmlSerializer.serialize(case.system)
    with pytest.raises(MismatchError, match=message):
        oh.replace(case.system, case.topology, fitted(), atoms=case.atoms)
    assert openmm.XmlSerializer.serialize(case.system) == before


def test_a_molecule_alone_gets_the_outer_parameters() -> None:
    """They have no effect there, so that any charges will do in the System."""
    system, topology = molecule()
    _other_charge(nonbonded(system), list(range(9)))
    oh.replace(system, topology, fitted())
    np.testing.assert_allclose(predict(system, frames(2))[0], fitted().predict(frames(2))[0], rtol=1e-9)
    assert nonbonded(system).getParticleParameters(2)[0]._value == pytest.approx(-0.6)
    implicit, topology = molecule()
    _other_charge(nonbonded(implicit), list(range(9)))
    implicit.addForce(openmm.GBSAOBCForce())
    with pytest.raises(MismatchError, match=r"has the charge -0\.6 e"):
        oh.replace(implicit, topology, fitted())


def test_a_force_that_needs_the_same_exclusions_is_refused() -> None:
    system, topology = molecule()
    force = openmm.CustomNonbondedForce("1/r")
    for _ in range(9):
        force.addParticle([])
    system.addForce(force)
    with pytest.raises(MismatchError, match="CustomNonbondedForce cannot be replaced: it must exclude the pairs"):
        oh.replace(system, topology, fitted())


def test_fitted_parameters_of_atoms_stay_inside_unless_asked() -> None:
    """In a box they would act on water. Alone, and where they are the System's, they are no danger."""
    model = forcefield()
    values = model.parameters.values.copy()
    values[model.parameters.matching("charges/*")[:2]] += [0.02, -0.02]
    other = model.with_values(values)
    case = box(RECTANGULAR, n_waters=4)
    before = openmm.XmlSerializer.serialize(case.system)
    with pytest.raises(MismatchError, match=r"has the charge .* act on other molecules .*edit\(pairs='inner'\)"):
        oh.replace(case.system, case.topology, other, atoms=case.atoms)
    assert openmm.XmlSerializer.serialize(case.system) == before
    oh.replace(case.system, case.topology, other, atoms=case.atoms, fitted_nonbonded_outside=True)
    oh.replace(case.system, case.topology, other, atoms=case.atoms)  # now they are the System's
    system, topology = molecule()
    oh.replace(system, topology, other)
