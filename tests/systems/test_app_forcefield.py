"""register(): createSystem of OpenMM's ForceField. Expected numbers: base force field and replace(), or predict()."""

from __future__ import annotations

import io
import warnings
from types import SimpleNamespace

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray
from openmm import app, unit

import openmm_hybrid as oh
from openmm_hybrid.core.errors import HybridError, InputError, MismatchError
from tests.helpers.boxes import RECTANGULAR, make
from tests.helpers.classical_ethanol import predict

AMBER = ("amber14-all.xml", "amber14/tip3p.xml")
ORDER = [1, 0, 2, 6, 7, 3, 4, 5, 8]
"""Atoms of the helpers' ethanol (CH3, CH2, O, then their hydrogens) in the order of the shipped force field."""
SMILES_ORDER = "C(C)O"  # the order of the shipped force field
METHODS = {
    method: getattr(app, method)
    for method in ("NoCutoff", "CutoffNonPeriodic", "CutoffPeriodic", "Ewald", "PME", "LJPME")
}


@pytest.fixture(scope="module")
def fitted() -> oh.ForceField:
    return oh.ForceField.load("ethanol-cross")


@pytest.fixture(scope="module")
def built(fitted: oh.ForceField) -> oh.gaff.BuiltSystem:
    """Ethanol alone with GAFF, as the force field was fitted."""
    return ethanol(fitted.outer.charges)


def ethanol(charges: NDArray[np.float64]) -> oh.gaff.BuiltSystem:
    molecule = oh.Molecule.from_smiles(SMILES_ORDER, name="ethanol")
    return oh.gaff.build(molecule, version="1.81", charges=charges, progress=False)


def without_cross(forcefield: oh.ForceField) -> oh.ForceField:
    """A part that OpenMM's Reference platform starts quickly."""
    return forcefield.only("bonds.morse", "angles", "propers", "pairs.inner")


def amber(forcefield: oh.ForceField, *files: str, **options: object) -> app.ForceField:
    """OpenMM's force field of protein and water with a registered molecule."""
    made = app.ForceField(*(files or AMBER))
    oh.register(made, forcefield, **options)  # type: ignore[arg-type]
    return made


def by_replace(
    built: oh.gaff.BuiltSystem,
    forcefield: oh.ForceField,
    topology: app.Topology,
    atoms: NDArray[np.int64],
    **options: object,
) -> openmm.System:
    """The System from GAFF's residue template and `oh.replace`."""
    base = app.ForceField(io.StringIO(built.to_xml()), *AMBER)
    system = base.createSystem(topology, **options)
    oh.replace(system, topology, forcefield, atoms=atoms)
    return system


def assert_equal(system: openmm.System, expected: openmm.System, positions: NDArray[np.float64]) -> None:
    """Masses, constraints, energies and forces on the Reference platform, 1e-9 relative."""
    for name in ("getNumParticles", "getNumConstraints"):
        assert getattr(system, name)() == getattr(expected, name)()
    masses, wanted_masses = (
        [each.getParticleMass(k)._value for k in range(each.getNumParticles())] for each in (system, expected)
    )
    np.testing.assert_allclose(masses, wanted_masses, rtol=0, atol=1e-3)  # GAFF's tables round those of the elements
    constraints, wanted_constraints = (
        {
            frozenset(row[:2]): row[2]._value
            for row in (each.getConstraintParameters(k) for k in range(each.getNumConstraints()))
        }
        for each in (system, expected)
    )
    assert constraints == pytest.approx(wanted_constraints, rel=1e-9)
    energies, forces = predict(system, positions[None])
    wanted, pulls = predict(expected, positions[None])
    np.testing.assert_allclose(energies, wanted, rtol=1e-9)
    np.testing.assert_allclose(forces, pulls, rtol=0, atol=1e-9 * np.abs(pulls).max())


def periodic(n_copies: int) -> SimpleNamespace:
    """Ethanols with permuted atoms between waters; `atoms` are in the order of the shipped force field."""
    case = make(box=RECTANGULAR, n_copies=n_copies, n_waters=30)
    case.topology.setPeriodicBoxVectors(RECTANGULAR * unit.angstrom)
    return SimpleNamespace(topology=case.topology, atoms=case.atoms[:, ORDER], positions=case.whole)


@pytest.mark.parametrize(("method", "constraints"), [*((name, None) for name in METHODS), ("PME", app.HBonds)], ids=str)
def test_two_copies_with_permuted_atoms_in_water(
    method: str, constraints: object, fitted: oh.ForceField, built: oh.gaff.BuiltSystem
) -> None:
    case = periodic(2)
    options = {
        "nonbondedMethod": METHODS[method],
        "nonbondedCutoff": 0.8 * unit.nanometer,
        "constraints": constraints,
        "hydrogenMass": 3 * unit.dalton,
    }
    system = amber(fitted).createSystem(case.topology, **options)
    assert_equal(system, by_replace(built, fitted, case.topology, case.atoms, **options), case.positions)


def test_a_solvated_box(fitted: oh.ForceField, built: oh.gaff.BuiltSystem) -> None:
    box = built.solvate(padding=10, cutoff=9)
    system = amber(fitted, "amber14/tip3p.xml").createSystem(
        box.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.9 * unit.nanometer
    )
    oh.replace(box.system, box.topology, fitted, atoms=range(9))
    assert_equal(system, box.system, np.array(box.positions.value_in_unit(unit.angstrom)))


def test_the_molecule_alone_has_the_energy_of_the_force_field(
    fitted: oh.ForceField, built: oh.gaff.BuiltSystem
) -> None:
    positions = np.array(built.positions.value_in_unit(unit.angstrom))
    frames = positions + np.random.default_rng(0).normal(scale=0.05, size=(5, 9, 3))
    energies, forces = predict(amber(fitted).createSystem(built.topology), frames)
    expected, wanted = fitted.predict(frames)
    np.testing.assert_allclose(energies, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(forces, wanted, rtol=0, atol=1e-3)


def dipeptide() -> app.Modeller:
    """Alanine dipeptide, ACE-ALA-NME."""
    molecule = oh.Molecule.from_smiles("CC(=O)N[C@@H](C)C(=O)NC")
    heavy = {"ACE": [0, 1, 2], "ALA": [3, 4, 5, 6, 7], "NME": [8, 9]}
    hydrogens = {i: [] for i in range(10)}
    for i, j in molecule.bonds.tolist():
        if molecule.elements[j] == "H":
            hydrogens[i].append(j)
    topology, order, atoms = app.Topology(), [], {}
    chain = topology.addChain()
    for name, members in heavy.items():
        residue = topology.addResidue(name, chain)
        for index in [k for i in members for k in (i, *hydrogens[i])]:
            symbol = molecule.elements[index]
            atoms[index] = topology.addAtom(f"{symbol}{index}", app.Element.getBySymbol(symbol), residue)
            order.append(index)
    for i, j in molecule.bonds.tolist():
        topology.addBond(atoms[i], atoms[j])
    return app.Modeller(topology, molecule.positions[order] * unit.angstrom)


def test_protein_molecule_and_water(fitted: oh.ForceField, built: oh.gaff.BuiltSystem) -> None:
    """Modeller solvates with the same ForceField; 4 fs with rigid bonds to hydrogen."""
    forcefield, modeller = amber(fitted), dipeptide()
    n_protein = modeller.topology.getNumAtoms()
    modeller.add(built.topology, built.positions + np.array([0.0, 0.0, 0.7]) * unit.nanometer)
    modeller.addSolvent(forcefield, boxSize=openmm.Vec3(2.2, 2.2, 2.2))
    options = {
        "nonbondedMethod": app.PME,
        "nonbondedCutoff": 0.9 * unit.nanometer,
        "constraints": app.HBonds,
        "hydrogenMass": 3 * unit.dalton,
    }
    system = forcefield.createSystem(modeller.topology, **options)
    atoms = n_protein + np.arange(9)
    expected = by_replace(built, fitted, modeller.topology, atoms, **options)
    assert_equal(system, expected, np.array(modeller.positions.value_in_unit(unit.angstrom)))
    integrator = openmm.LangevinMiddleIntegrator(300, 1, 0.004)
    integrator.setRandomNumberSeed(1)
    platform = openmm.Platform.getPlatformByName("CPU")
    simulation = app.Simulation(modeller.topology, system, integrator, platform)
    simulation.context.setPositions(modeller.positions)
    simulation.context.applyConstraints(1e-6)
    simulation.minimizeEnergy(maxIterations=100)
    simulation.context.setVelocitiesToTemperature(300, 1)
    simulation.step(100)
    state = simulation.context.getState(positions=True, energy=True)
    assert np.isfinite(state.getPotentialEnergy()._value)
    after = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)[atoms]
    lengths = np.linalg.norm(np.diff(after[fitted.bonds], axis=1), axis=-1)
    assert 0.85 < lengths.min() <= lengths.max() < 1.75


def test_far_from_a_protein_only_the_energies_inside_are_left(
    fitted: oh.ForceField, built: oh.gaff.BuiltSystem
) -> None:
    forcefield, modeller = amber(fitted), dipeptide()
    apart = np.array(modeller.positions.value_in_unit(unit.angstrom))
    alone = predict(forcefield.createSystem(modeller.topology), apart[None])[0]
    modeller.add(built.topology, built.positions)
    inside = np.array(built.positions.value_in_unit(unit.angstrom))
    both = np.concatenate([apart, inside + 1e4])
    together = predict(forcefield.createSystem(modeller.topology), both[None])[0]
    assert together - alone == pytest.approx(fitted.predict(inside[None])[0], abs=1e-5)


def test_the_name_of_the_template(fitted: oh.ForceField, built: oh.gaff.BuiltSystem) -> None:
    forcefield, model = app.ForceField(*AMBER), without_cross(fitted)
    name = oh.register(forcefield, model)
    (residue,) = built.topology.residues()
    system = forcefield.createSystem(built.topology, residueTemplates={residue: name})
    positions = np.array(built.positions.value_in_unit(unit.angstrom))
    assert predict(system, positions[None])[0] == pytest.approx(model.predict(positions[None])[0], abs=1e-5)


def test_equivalent_atoms_keep_their_order() -> None:
    """Five hydrogens with five charges: OpenMM's match by the graph alone may exchange them."""
    charges = np.array([0.05, -0.14, -0.60, 0.02, 0.06, 0.03, 0.07, 0.11, 0.40])
    made = ethanol(charges)
    model = oh.ForceField.from_system(made.system, made.topology).edit(pairs="inner")
    system = amber(model).createSystem(made.topology)
    (force,) = (force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    found = [force.getParticleParameters(k)[0]._value for k in range(9)]
    np.testing.assert_allclose(found, charges, rtol=0, atol=1e-12)
    frames = np.array(made.positions.value_in_unit(unit.angstrom)) + np.random.default_rng(2).normal(
        scale=0.05, size=(3, 9, 3)
    )
    np.testing.assert_allclose(predict(system, frames)[0], predict(made.system, frames)[0], rtol=0, atol=1e-6)


def test_another_order_of_atoms_that_are_told_apart_is_warned_of() -> None:
    """In the order of the force field there is no doubt, and a symmetric force field has the same energies anyway."""
    charges = np.array([0.05, -0.14, -0.60, 0.02, 0.06, 0.03, 0.07, 0.11, 0.40])
    made = ethanol(charges)
    model = oh.ForceField.from_system(made.system, made.topology).edit(pairs="inner")
    molecule = oh.Molecule.from_smiles("CCO", name="ethanol")
    other = oh.gaff.build(molecule, charges=np.zeros(9), progress=False).topology
    with pytest.warns(UserWarning, match=r"another order of atoms than .* equal there: 6, 7"):
        amber(model).createSystem(other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        amber(model).createSystem(made.topology)
        amber(without_cross(oh.ForceField.load("ethanol-cross"))).createSystem(other)


def test_files_may_be_loaded_later(fitted: oh.ForceField, built: oh.gaff.BuiltSystem) -> None:
    forcefield, model = app.ForceField(), without_cross(fitted)
    oh.register(forcefield, model)
    for name in AMBER:
        forcefield.loadFile(name)
    case = periodic(1)
    options = {"nonbondedMethod": app.PME, "nonbondedCutoff": 0.8 * unit.nanometer}
    system = forcefield.createSystem(case.topology, **options)
    assert_equal(system, by_replace(built, model, case.topology, case.atoms, **options), case.positions)


def test_two_molecules() -> None:
    """Each has its own generator; without inner pairs, charges and wells equal to those of `built` are accepted."""
    water, case = app.ForceField(*AMBER), app.Modeller(app.Topology(), [])
    total = 0.0
    for shift, smiles in enumerate(("CO", "CC=O")):
        molecule = oh.Molecule.from_smiles(smiles)
        charges = np.linspace(-0.1, 0.1, molecule.n_atoms)
        made = oh.gaff.build(molecule, charges=charges, progress=False)
        model = oh.ForceField.from_system(made.system, made.topology, name=smiles)
        oh.register(water, model, built=made)
        positions = np.array(made.positions.value_in_unit(unit.angstrom))
        total += predict(made.system, positions[None])[0][0]
        case.add(made.topology, (positions + 1e4 * shift) * unit.angstrom)
    system = water.createSystem(case.topology)
    found = predict(system, np.array(case.positions.value_in_unit(unit.angstrom))[None])[0][0]
    assert found == pytest.approx(total, abs=1e-5)


def test_fitted_charges_need_permission(built: oh.gaff.BuiltSystem) -> None:
    model = oh.ForceField.load("ethanol-gaff")
    assert model.outer is None
    with pytest.raises(MismatchError, match="has no outer parameters"):
        amber(model)
    with pytest.raises(MismatchError, match=r"atom 1 has the charge .* in the System given as `built`"):
        amber(model, built=built)
    case = periodic(1)
    options = {"nonbondedMethod": app.PME, "nonbondedCutoff": 0.8 * unit.nanometer}
    system = amber(model, fitted_nonbonded_outside=True).createSystem(case.topology, **options)
    base = app.ForceField(io.StringIO(built.to_xml()), *AMBER)
    expected = base.createSystem(case.topology, **options)
    oh.replace(expected, case.topology, model, atoms=case.atoms, fitted_nonbonded_outside=True)
    assert_equal(system, expected, case.positions)


def test_bonded_terms_alone_take_charges_from_the_built_molecule(built: oh.gaff.BuiltSystem) -> None:
    model = oh.ForceField.load("ethanol-gaff").only("bonds", "angles", "propers")
    with pytest.raises(MismatchError, match="or absent"):
        amber(model, fitted_nonbonded_outside=True)
    case = periodic(1)
    options = {"nonbondedMethod": app.PME, "nonbondedCutoff": 0.8 * unit.nanometer}
    system = amber(model, built=built).createSystem(case.topology, **options)
    assert_equal(system, by_replace(built, model, case.topology, case.atoms, **options), case.positions)


def test_outer_parameters_must_be_those_of_the_built_molecule(fitted: oh.ForceField) -> None:
    charges = fitted.outer.charges + np.array([0.01, -0.01, *[0.0] * 7])
    with pytest.raises(MismatchError, match=r"atom 0 has the charge .* in the System given as `built`"):
        amber(fitted, built=ethanol(charges), fitted_nonbonded_outside=True)


def test_a_molecule_is_registered_once(fitted: oh.ForceField) -> None:
    forcefield = amber(fitted)
    before = len(forcefield.getGenerators()), len(forcefield._templates)
    with pytest.raises(MismatchError, match="'ethanol' is registered already"):
        oh.register(forcefield, fitted.with_values(1.01 * fitted.parameters.values))
    assert (len(forcefield.getGenerators()), len(forcefield._templates)) == before


def test_a_residue_with_a_template_is_refused(fitted: oh.ForceField, built: oh.gaff.BuiltSystem) -> None:
    """The template has other atom names and another order."""
    reordered = oh.gaff.build(
        oh.Molecule.from_smiles("OCC"), version="1.81", charges=np.zeros(9), progress=False
    ).to_xml()
    forcefield = app.ForceField(*AMBER)
    forcefield.loadFile(io.StringIO(reordered))
    before = len(forcefield.getGenerators())
    with pytest.raises(MismatchError, match=r"the residue template 'gaff-1\.81-\w+' has the same elements and bonds"):
        oh.register(forcefield, fitted)
    assert len(forcefield.getGenerators()) == before


def test_other_scales_are_refused(fitted: oh.ForceField) -> None:
    other = '<ForceField><NonbondedForce coulomb14scale="0.5" lj14scale="0.5"/></ForceField>'
    with pytest.raises(MismatchError, match=r"1-4 scales are 0\.8333 .* and 0\.5 .*, and 0\.5 and 0\.5 in the openmm"):
        oh.register(app.ForceField(io.StringIO(other)), fitted)


def test_constrained_angles_are_refused(fitted: oh.ForceField, built: oh.gaff.BuiltSystem) -> None:
    with pytest.raises(MismatchError, match=r"the angle .* of ethanol is constrained"):
        amber(fitted).createSystem(built.topology, constraints=app.HAngles)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"backend": "best"}, HybridError, "best"),
        ({"force_group": 32}, InputError, "force group 32"),
        ({"dtype": "float16"}, InputError, "float16"),
        ({"temperature": 0.0}, InputError, "temperature"),
        ({"built": 3}, InputError, "a int was given as `built`"),
    ],
)
def test_wrong_arguments_change_nothing(
    options: dict[str, object], error: type[HybridError], message: str, fitted: oh.ForceField
) -> None:
    forcefield = app.ForceField(*AMBER)
    before = len(forcefield.getGenerators()), len(forcefield._templates), len(forcefield._atomTypes)
    with pytest.raises(error, match=message):
        oh.register(forcefield, fitted, **options)  # type: ignore[arg-type]
    assert (len(forcefield.getGenerators()), len(forcefield._templates), len(forcefield._atomTypes)) == before


def test_exchanged_arguments(fitted: oh.ForceField) -> None:
    with pytest.raises(InputError, match="a ForceField was given as first argument"):
        oh.register(fitted, app.ForceField())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a str was given as force field"):
        oh.register(app.ForceField(), "ethanol-cross")  # type: ignore[arg-type]
