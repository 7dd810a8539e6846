"""replace(): a force field instead of classical terms. Expected numbers: OpenMM's own before the replacement, or
the force field's predict()."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app, unit

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.systems.force_kinds import MORSES, new_force
from tests.helpers.boxes import RECTANGULAR, TRICLINIC
from tests.helpers.classical_ethanol import bare, box, forcefield, frames, molecule, predict

TORCH = [
    pytest.param("torchforce", marks=pytest.mark.torchforce),
    pytest.param("pythonforce", marks=pytest.mark.pythonforce),
]
PLAIN = """
import sys, numpy, openmm
system = openmm.XmlSerializer.deserialize(open(sys.argv[1]).read())
context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
context.setPositions(numpy.load(sys.argv[2]))
print(context.getState(energy=True).getPotentialEnergy()._value)
if {"openmm_hybrid", "torch"} & set(sys.modules):
    sys.exit("the package was imported")
"""


def kinds(system: openmm.System) -> list[str]:
    """Names of the kinds of a System's forces, sorted."""
    return sorted(type(force).__name__ for force in system.getForces())


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_the_unchanged_force_field_changes_nothing(platform: str) -> None:
    """Forces to 1e-6 relative, in a box with two ethanols; not one force more."""
    case = box(TRICLINIC, n_copies=2)
    before = predict(case.system, case.whole[None], platform)
    number = case.system.getNumForces()
    returned = oh.replace(case.system, case.topology, forcefield(), atoms=case.atoms)
    assert case.system.getNumForces() == number
    assert sorted(type(force).__name__ for force in returned) == kinds(case.system)
    after = predict(case.system, case.whole[None], platform)
    assert after[0] == pytest.approx(before[0], rel=1e-6)
    np.testing.assert_allclose(after[1], before[1], rtol=0, atol=1e-6 * np.abs(before[1]).max())


@pytest.mark.parametrize("forms", [{}, {"bonds": "morse", "angles": "spline"}, {"bonds": "neural", "cross": ["angle"]}])
def test_a_refitted_force_field_acts_in_full(forms: dict[str, str]) -> None:
    """Every parameter moved, charges and wells too: OpenMM's energies are those of the force field."""
    model = forcefield(**forms)
    values = model.parameters.values * np.where(
        model.parameters.fitted, np.random.default_rng(4).uniform(0.97, 1.03, len(model.parameters)), 1.0
    )
    refitted = model.with_values(values)
    system, topology = molecule()
    before = predict(system, frames(5))[0]
    oh.replace(system, topology, refitted)
    energies, pulls = predict(system, frames(5))
    expected, wanted = refitted.predict(frames(5))
    assert np.abs(energies - before).min() > 0.1
    np.testing.assert_allclose(energies, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(pulls, wanted, rtol=0, atol=1e-3)


def test_waters_and_other_terms_stay() -> None:
    case = box(RECTANGULAR)
    water = [atom.index for atom in case.topology.atoms() if atom.residue.name == "HOH"]
    (bonds,) = (force for force in case.system.getForces() if isinstance(force, openmm.HarmonicBondForce))
    bonds.addBond(water[0], water[1], 0.1, 77.0)
    bonds.setForceGroup(5)
    bonds.setName("mine")
    restraint = openmm.CustomTorsionForce("theta")
    restraint.addTorsion(*water[:2], *case.atoms[0, :2].tolist())
    case.system.addForce(restraint)
    oh.replace(case.system, case.topology, forcefield(bonds="morse"), atoms=case.atoms, force_group=2)
    (after,) = (force for force in case.system.getForces() if isinstance(force, openmm.HarmonicBondForce))
    assert (after.getForceGroup(), after.getName()) == (5, "mine")
    rows = [after.getBondParameters(k) for k in range(after.getNumBonds())]
    assert [row[:2] for row in rows if row[3]._value] == [water[:2]]
    assert len(rows) == 1 + 8
    (morse,) = (force for force in case.system.getForces() if isinstance(force, openmm.CustomBondForce))
    assert morse.getForceGroup() == 2
    again = forcefield()
    oh.replace(case.system, case.topology, again, atoms=case.atoms)  # and back
    assert "CustomBondForce" not in kinds(case.system)
    assert "CustomTorsionForce" in kinds(case.system)


@pytest.mark.parametrize("forms", [{}, {"bonds": "morse"}])
def test_a_restraint_of_other_atoms_gets_no_terms(forms: dict[str, str]) -> None:
    """The restraints come first; terms stay in the force that they were in, and new kinds go into a new force."""
    case = box(RECTANGULAR)
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*case.system.getDefaultPeriodicBoxVectors())
    water = [atom.index for atom in case.topology.atoms() if atom.residue.name == "HOH"]
    harmonic, morse = openmm.HarmonicBondForce(), new_force(MORSES)
    harmonic.addBond(*water[:2], 0.5, 100.0)
    morse.addBond(*water[:2], (1.0, 1.0, 0.5))
    for index in range(case.system.getNumParticles()):
        system.addParticle(case.system.getParticleMass(index))
    for force in (harmonic, morse):
        force.setForceGroup(7)
        force.setName("restraint")
        system.addForce(force)
    for force in case.system.getForces():
        system.addForce(openmm.XmlSerializer.clone(force))
    oh.replace(system, case.topology, forcefield(**forms), atoms=case.atoms, force_group=2)
    restraints = [force for force in system.getForces() if force.getName() == "restraint"]
    assert [(force.getForceGroup(), force.getNumBonds()) for force in restraints] == [(7, 1), (7, 1)]
    kind = openmm.CustomBondForce if forms else openmm.HarmonicBondForce
    others = [force for force in system.getForces() if type(force) is kind and force.getName() != "restraint"]
    assert [(force.getForceGroup(), force.getNumBonds()) for force in others] == [(2 if forms else 0, 8)]


@pytest.mark.parametrize("shape", [RECTANGULAR, TRICLINIC], ids=["rectangular", "triclinic"])
@pytest.mark.parametrize("platform", ["Reference", "OpenCL"])
def test_atoms_may_be_wrapped_one_by_one(platform: str, shape: np.ndarray) -> None:
    names = [openmm.Platform.getPlatform(k).getName() for k in range(openmm.Platform.getNumPlatforms())]
    if platform not in names:
        pytest.skip(f"OpenMM has no platform {platform} here")
    case = box(shape, n_copies=2, n_waters=20)
    assert np.ptp(case.wrapped[case.atoms[0]], axis=0).min() > 10.0
    model = forcefield(bonds="morse", angles="spline", propers="neural", cross=["angle"])
    oh.replace(case.system, case.topology, model, atoms=case.atoms)
    (whole, wrapped), pulls = predict(case.system, np.stack([case.whole, case.wrapped]), platform)
    bound = 1e-8 if platform == "Reference" else 1e-5
    assert wrapped == pytest.approx(whole, rel=bound)
    np.testing.assert_allclose(pulls[1], pulls[0], rtol=0, atol=10 * bound * np.abs(pulls[0]).max())


@pytest.mark.parametrize("group", ["bonds.morse", "bonds.neural"])
def test_a_barostat_keeps_the_molecule_whole(group: str) -> None:
    case = box(RECTANGULAR, n_copies=2, n_waters=40)
    model = forcefield(bonds="morse" if group == "bonds.morse" else "neural")
    if group == "bonds.neural":  # as if nothing harmonic were left
        model = model.only(*(name for name in model.groups if name != "bonds"))
    oh.replace(case.system, case.topology, model, atoms=case.atoms)
    case.system.addForce(openmm.MonteCarloBarostat(50.0, 300.0, 1))
    integrator = openmm.LangevinMiddleIntegrator(300.0, 5.0, 0.0005)
    integrator.setRandomNumberSeed(1)
    simulation = app.Simulation(case.topology, case.system, integrator, openmm.Platform.getPlatformByName("Reference"))
    found = [set(each) for each in simulation.context.getMolecules()]
    assert all(set(copy) in found for copy in case.atoms.tolist())
    simulation.context.setPositions(case.whole / 10)
    if group == "bonds.neural":
        return  # nothing holds its bonds
    simulation.minimizeEnergy(maxIterations=50)
    simulation.step(60)
    state = simulation.context.getState(positions=True)
    volume = state.getPeriodicBoxVolume().value_in_unit(unit.angstrom**3)
    assert volume != pytest.approx(np.linalg.det(RECTANGULAR), rel=1e-4)
    after = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    for copy in case.atoms:
        lengths = np.linalg.norm(np.diff(after[copy[model.bonds]], axis=1), axis=-1)
        assert lengths.max() < 1.8
        assert lengths.min() > 0.8


def test_the_xml_needs_openmm_alone(tmp_path: Path) -> None:
    case = box(RECTANGULAR, n_copies=2, n_waters=20)
    model = forcefield(bonds="morse", angles="neural", propers="spline", cross=["angle", "torsion"])
    oh.replace(case.system, case.topology, model, atoms=case.atoms)
    expected = predict(case.system, case.wrapped[None])[0][0]
    (tmp_path / "system.xml").write_text(openmm.XmlSerializer.serialize(case.system))
    np.save(tmp_path / "positions.npy", case.wrapped / 10)
    command = [sys.executable, "-I", "-c", PLAIN, str(tmp_path / "system.xml"), str(tmp_path / "positions.npy")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert float(ended.stdout) / 4.184 == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("backend", TORCH)
def test_neural_terms_by_torch_are_the_same(backend: str) -> None:
    """The paper's way: one torch module for what is neural, OpenMM's forces for the rest."""
    model = forcefield(bonds="neural", angles="neural", cross=["angle"])
    native, carried = box(TRICLINIC, n_copies=2, n_waters=20), box(TRICLINIC, n_copies=2, n_waters=20)
    oh.replace(native.system, native.topology, model, atoms=native.atoms)
    forces = oh.replace(carried.system, carried.topology, model, atoms=carried.atoms, backend=backend, force_group=9)
    learned = [force for force in forces if force.getForceGroup() == 9]
    assert len(learned) == 2  # the torch module and the cross terms
    expected, wanted = predict(native.system, native.wrapped[None])
    energies, pulls = predict(carried.system, carried.wrapped[None])
    np.testing.assert_allclose(energies, expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(pulls, wanted, rtol=0, atol=1e-3)


def test_without_pairs_the_charges_stay() -> None:
    case = box(RECTANGULAR)
    (nonbonded,) = (force for force in case.system.getForces() if isinstance(force, openmm.NonbondedForce))
    nonbonded.setParticleParameters(int(case.atoms[0, 0]), 0.5, 0.3, 0.2)
    before = openmm.XmlSerializer.serialize(nonbonded)
    model = forcefield().only("bonds", "angles")
    oh.replace(case.system, case.topology, model, atoms=case.atoms)
    (after,) = (force for force in case.system.getForces() if isinstance(force, openmm.NonbondedForce))
    assert openmm.XmlSerializer.serialize(after) == before
    assert "PeriodicTorsionForce" not in kinds(case.system)


def _join(system: openmm.System, inside: list[int], outside: int) -> None:
    bonds = openmm.HarmonicBondForce()
    bonds.addBond(inside[0], outside, 0.15, 1e5)
    system.addForce(bonds)


def _restrain(system: openmm.System, inside: list[int], outside: int) -> None:
    force = openmm.CustomTorsionForce("theta")
    force.addTorsion(*inside[:4])
    system.addForce(force)


def _except(system: openmm.System, inside: list[int], outside: int) -> None:
    (force,) = (force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    force.addException(inside[0], outside, 0.0, 0.3, 0.0)


def _interact(system: openmm.System, inside: list[int], outside: int) -> None:
    """Another 1-4 scale."""
    (force,) = (force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    for k in range(force.getNumExceptions()):
        i, j, product, sigma, epsilon = force.getExceptionParameters(k)
        if product._value:
            force.setExceptionParameters(k, i, j, 0.9 * product, sigma, epsilon)
            return


def _second(system: openmm.System, inside: list[int], outside: int) -> None:
    force = openmm.NonbondedForce()
    for _ in range(system.getNumParticles()):
        force.addParticle(0.0, 0.3, 0.0)
    system.addForce(force)


def _offset(system: openmm.System, inside: list[int], outside: int) -> None:
    (force,) = (force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    force.addGlobalParameter("lam", 1.0)
    force.addParticleParameterOffset("lam", inside[0], 0.1, 0.0, 0.0)


def _implicit(system: openmm.System, inside: list[int], outside: int) -> None:
    system.addForce(openmm.GBSAOBCForce())


REFUSALS: list[tuple[Callable[[openmm.System, list[int], int], None], str]] = [
    (_join, "the bond of HarmonicBondForce .* joins the molecule with other atoms"),
    (_restrain, "CustomTorsionForce cannot be replaced: its term on atoms .* would act in addition to the new ones"),
    (_except, "the non-bonded exception .* joins the molecule"),
    (_interact, r"are scaled by 0\.8333 and 0\.5 in the force field .* scaled by 0\.75 and 0\.5 in the NonbondedForce"),
    (_second, "the System has 2 forces of the kind NonbondedForce"),
    (_offset, "parameter offsets for atom"),
    (_implicit, "GBSAOBCForce cannot be replaced: its parameters for the molecule would keep"),
]


@pytest.mark.parametrize(("spoil", "message"), REFUSALS, ids=[spoil.__name__ for spoil, _ in REFUSALS])
def test_refusals_leave_the_system_as_it_was(
    spoil: Callable[[openmm.System, list[int], int], None], message: str
) -> None:
    case = box(RECTANGULAR, n_waters=4)
    inside = case.atoms[0].tolist()
    spoil(case.system, inside, next(k for k in range(case.system.getNumParticles()) if k not in inside))
    before = openmm.XmlSerializer.serialize(case.system)
    with pytest.raises(MismatchError, match=message):
        oh.replace(case.system, case.topology, forcefield(), atoms=case.atoms)
    assert openmm.XmlSerializer.serialize(case.system) == before


def test_a_table_that_is_refused_leaves_the_system_as_it_was() -> None:
    system, topology = molecule()
    model = forcefield(angles="neural")
    values = model.parameters.values.copy()
    values[model.parameters.matching("angles.neural/*/W1.*")] *= 1e4
    before = openmm.XmlSerializer.serialize(system)
    with pytest.raises(NumericalError, match="cannot be tabulated"):
        oh.replace(system, topology, model.with_values(values))
    assert openmm.XmlSerializer.serialize(system) == before


def test_other_models_are_attached_instead() -> None:
    case = bare()
    with pytest.raises(InputError, match=r"add other models with oh\.attach"):
        oh.replace(case.system, case.topology, oh.Sum((forcefield(),)))  # type: ignore[arg-type]


def test_exclusions_of_another_molecule_are_named() -> None:
    """A pair that the force field has and the NonbondedForce excludes."""
    system, topology = molecule()
    (force,) = (force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    pairs = {frozenset(force.getExceptionParameters(k)[:2]) for k in range(force.getNumExceptions())}
    i, j = next((i, j) for i in range(9) for j in range(i) if frozenset((i, j)) not in pairs)
    force.addException(i, j, 0.0, 0.3, 0.0)
    with pytest.raises(MismatchError, match=rf"atoms {j} and {i} are scaled by 1 and 1 in the force field"):
        oh.replace(system, topology, forcefield())
