"""Sage fitted: its impropers stay three equal ones, and `replace` puts it back into water, whoever made the System."""

from __future__ import annotations

from dataclasses import replace as with_changes
from functools import cache
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app, unit

import openmm_hybrid as oh
from openmm_hybrid import Molecule
from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.units import positions_to_angstrom
from openmm_hybrid.models.system import SystemModel
from tests.helpers.classical_ethanol import predict
from tests.helpers.gaff_molecules import gasteiger
from tests.helpers.openff_systems import solvated_by_generator, solvated_by_interchange

SAGE = "openff-2.3.0"
CROSS = [pytest.param(False, id="plain"), pytest.param(True, id="cross terms")]
KEPT = ("charges/*", "lj/*")
N_ATOMS = 9


@cache
def ethanol() -> BuiltSystem:
    """Ethanol with Sage, in the atom order of the shipped force fields."""
    molecule = Molecule.from_smiles("C(C)O", name="ethanol")
    return oh.build(molecule, base=SAGE, charges=gasteiger(molecule))


def labelled(molecule: Molecule, model: oh.EnergyModel, n_frames: int = 40) -> oh.Frames:
    """Distorted geometries with energies and forces of a model."""
    noise = np.random.default_rng(3).normal(scale=0.05, size=(n_frames, molecule.n_atoms, 3))
    frames = oh.Frames(molecule.atomic_numbers, molecule.positions + noise, name=molecule.name)
    energies, forces = model.predict(frames.positions)
    return with_changes(frames, energies=energies, forces=forces)


@cache
def fitted(cross: bool, fixed: tuple[str, ...] = ()) -> oh.ForceField:
    """Sage of ethanol, fitted to the shipped force field; with cross terms it has inner pairs."""
    built = ethanol()
    start = oh.ForceField.from_system(built.system, built.topology, name="ethanol").edit(cross=cross)
    frames = labelled(built.molecules[0], oh.ForceField.load("ethanol-cross"))
    return oh.fit(start, frames, n_train=30, n_test=5, fixed=fixed, md_steps=0, progress=False).model


@cache
def box() -> BuiltSystem:
    """Ethanol with Sage in water."""
    return ethanol().solvate(padding=10.0, cutoff=8.0)


def copied(system: openmm.System) -> openmm.System:
    return openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))


def shaken(positions: object) -> np.ndarray:
    """Two frames (2, n_particles, 3) in Å, the second with another geometry of the molecule."""
    frames = np.stack([positions_to_angstrom(positions)] * 2)
    frames[1, :N_ATOMS] += np.random.default_rng(5).normal(scale=0.05, size=(N_ATOMS, 3))
    return frames


def assert_only_the_molecule_changed(
    before: openmm.System, after: openmm.System, positions: object, model: oh.ForceField
) -> None:
    """Without a change of charges and wells, everything that changes is the molecule's energy, by the force field."""
    frames = shaken(positions)
    energies, forces = predict(after, frames)
    old_energies, old_forces = predict(before, frames)
    alone = ethanol().model().predict(frames[:, :N_ATOMS])
    expected = model.predict(frames[:, :N_ATOMS])
    np.testing.assert_allclose(energies - old_energies, expected[0] - alone[0], rtol=0, atol=1e-5)
    changed = forces - old_forces
    np.testing.assert_allclose(changed[:, :N_ATOMS], expected[1] - alone[1], rtol=0, atol=1e-3)
    np.testing.assert_allclose(changed[:, N_ATOMS:], 0.0, rtol=0, atol=1e-9)
    assert np.abs(expected[1] - alone[1]).max() > 1.0


@pytest.mark.parametrize("cross", CROSS)
def test_the_fitted_force_field_replaces_sage_in_vacuum(cross: bool) -> None:
    model, system = fitted(cross), copied(ethanol().system)
    oh.replace(system, ethanol().topology, model)
    frames = shaken(ethanol().positions)
    energies, forces = predict(system, frames)
    expected = model.predict(frames)
    np.testing.assert_allclose(energies, expected[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(forces, expected[1], rtol=0, atol=1e-3)


@pytest.mark.parametrize("cross", CROSS)
def test_water_stays_as_it_was(cross: bool) -> None:
    model, system = fitted(cross, () if cross else KEPT), copied(box().system)
    oh.replace(system, box().topology, model, atoms=range(N_ATOMS))
    assert_only_the_molecule_changed(box().system, system, box().positions, model)


@pytest.mark.parametrize("cross", CROSS)
def test_fitted_charges_reach_water_only_if_asked_and_dynamics_run(cross: bool, tmp_path: Path) -> None:
    model, system = fitted(cross), copied(box().system)
    if not cross:
        with pytest.raises(MismatchError, match="it would act on other molecules or periodic images"):
            oh.replace(system, box().topology, model, atoms=range(N_ATOMS))
    oh.replace(system, box().topology, model, atoms=range(N_ATOMS), fitted_nonbonded_outside=not cross)
    force, old = (
        next(force for force in each.getForces() if isinstance(force, openmm.NonbondedForce))
        for each in (system, box().system)
    )
    for particle in range(N_ATOMS, system.getNumParticles()):
        assert force.getParticleParameters(particle) == old.getParticleParameters(particle)
    charges = [force.getParticleParameters(particle)[0]._value for particle in range(N_ATOMS)]
    assert sum(charges) == pytest.approx(0.0, abs=1e-9)
    assert (np.abs(charges - ethanol().charges).max() > 1e-3) == (not cross)

    oh.save_system(tmp_path / "box", system, box().topology, box().positions)
    loaded, topology, positions = oh.load_system(tmp_path / "box")
    assert predict(loaded, positions[None])[0] == pytest.approx(predict(system, positions[None])[0], rel=1e-9)
    integrator = openmm.LangevinMiddleIntegrator(300.0, 5.0, 0.0005)
    integrator.setRandomNumberSeed(1)
    simulation = app.Simulation(topology, loaded, integrator, openmm.Platform.getPlatformByName("CPU"))
    simulation.context.setPositions(positions / 10)
    simulation.minimizeEnergy(maxIterations=20)
    simulation.step(20)
    after = simulation.context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    lengths = np.linalg.norm(np.diff(after[model.bonds], axis=1), axis=-1)
    assert 0.8 < lengths.min() < lengths.max() < 1.8


@pytest.mark.parametrize("make", [solvated_by_generator, solvated_by_interchange])
def test_systems_of_openff_tools_take_it(make: object) -> None:
    """openmmforcefields' SystemGenerator and OpenFF's Interchange, with the force field fitted in vacuum."""
    model = fitted(True)
    before = make(ethanol().molecules[0], "2.3.0", ethanol().charges, box().topology, box().positions)  # type: ignore[operator]
    after = copied(before)
    oh.replace(after, box().topology, model, atoms=range(N_ATOMS))
    assert_only_the_molecule_changed(before, after, box().positions, model)


@pytest.mark.parametrize("smiles", ["CC(=O)NC", "Cc1ccccc1", "C=O"])
def test_the_three_impropers_of_a_centre_stay_equal_in_a_fit(smiles: str, tmp_path: Path) -> None:
    """GAFF makes the labels. OpenMM's ForceField applies one parameter to all three, and so does the file."""
    molecule = Molecule.from_smiles(smiles, name="molecule")
    charges = gasteiger(molecule)
    built = oh.build(molecule, base=SAGE, charges=charges)
    start = oh.ForceField.from_system(built.system, built.topology)
    centres = len({frozenset(atoms) for atoms in start.group("impropers").atoms.tolist()})
    assert len(start.group("impropers")) == 3 * centres
    frames = labelled(molecule, oh.build(molecule, base="gaff-2.11", charges=charges).model())
    model = oh.fit(start, frames, n_train=30, n_test=5, md_steps=0, progress=False).model
    terms = model.group("impropers")
    changed = model.parameters.values[terms.assignment] - start.parameters.values[start.group("impropers").assignment]
    assert np.abs(changed).max() > 0.01
    for atoms in terms.atoms:
        same = [set(other) == set(atoms) for other in terms.atoms]
        assert len(np.unique(terms.assignment[same], axis=0)) == 1
    model.to_ffxml(tmp_path / "fitted.xml")
    system = app.ForceField(str(tmp_path / "fitted.xml")).createSystem(built.topology)
    found = SystemModel(system, built.topology).predict(frames.positions)[0]
    np.testing.assert_allclose(found, model.predict(frames.positions)[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("factor", [1.5, None], ids=["another barrier", "one cosine more"])
def test_impropers_of_a_centre_that_differ_cannot_be_written(factor: float | None) -> None:
    molecule = Molecule.from_smiles("C=O")
    built = oh.build(molecule, base=SAGE, charges=gasteiger(molecule))
    (template,) = built.templates
    first, *rest = template.impropers
    changed = (first, first._replace(periodicity=1)) if factor is None else (first._replace(k=factor * first.k),)
    spoiled = with_changes(built, templates=(with_changes(template, impropers=(*changed, *rest)),))
    with pytest.raises(MismatchError, match="or three equal terms with it first"):
        spoiled.to_xml()
