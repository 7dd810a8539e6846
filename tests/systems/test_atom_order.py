"""Models are attached in their own order of atoms, whatever the order of the topology."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm import app

import openmm_hybrid as oh
from openmm_hybrid import Molecule, gaff
from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.correction import train
from openmm_hybrid.models.torchscript import export_torchscript
from tests.helpers.gaff_molecules import gasteiger


def built(smiles: str) -> gaff.BuiltSystem:
    molecule = Molecule.from_smiles(smiles)
    return gaff.build(molecule, charges=gasteiger(molecule))


def energy(system: openmm.System, positions: object) -> float:
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions)
    return float(context.getState(energy=True).getPotentialEnergy()._value)


def attached_energy(smiles: str) -> float:
    """Energy of the correction ethanol-rotors, which was made for C(C)O, kJ/mol."""
    system = built(smiles)
    before = energy(system.system, system.positions)
    oh.attach(system.system, system.topology, oh.load("ethanol-rotors"))
    return energy(system.system, system.positions) - before


@pytest.mark.parametrize("smiles", ["CCO", "OCC", "[H]OCC"])
def test_a_shipped_correction_finds_its_atoms(smiles: str) -> None:
    """The geometries are equal but for the order of the atoms; C(C)O needs no change."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = attached_energy("C(C)O")
    with pytest.warns(UserWarning, match="not in the model's order"):
        assert attached_energy(smiles) == pytest.approx(expected, abs=1e-3)


def test_several_copies() -> None:
    """Each copy is put into order by itself."""
    first, second = Molecule.from_smiles("C(C)O"), Molecule.from_smiles("OCC")
    charges = [gasteiger(first), gasteiger(second)]
    pair = gaff.build([first, second], charges=charges)
    before = energy(pair.system, pair.positions)
    with pytest.warns(UserWarning, match="not in the model's order"):
        oh.attach(pair.system, pair.topology, oh.load("ethanol-rotors"), atoms=[range(9), range(9, 18)])
    alone = attached_energy("C(C)O")
    assert energy(pair.system, pair.positions) - before == pytest.approx(2 * alone, abs=2e-3)


def test_another_isomer_is_refused() -> None:
    ether = built("COC")
    with pytest.raises(MismatchError, match="is not the molecule of the model: it has the bond"):
        oh.attach(ether.system, ether.topology, oh.load("ethanol-rotors"))
    with pytest.raises(MismatchError, match="is not the molecule of the model"):
        oh.replace(ether.system, ether.topology, oh.ForceField.load("ethanol-gaff"))


def test_frames_in_another_order_than_the_force_field_are_refused() -> None:
    other = built("C(C)O")
    positions = other.molecules[0].positions + np.random.default_rng(0).normal(scale=0.02, size=(12, 9, 3))
    energies, forces = other.model().predict(positions)
    frames = oh.Frames(other.molecules[0].atomic_numbers, positions, energies=energies, forces=forces)
    with pytest.raises(MismatchError, match=r"the bond \d-\d of the force field is .* Å long in the frames"):
        train(built("CCO").model(), frames, n_train=8)


def test_a_correction_of_some_atoms_keeps_its_molecule(tmp_path: object) -> None:
    """The bonds of the whole molecule are in its file."""
    ethanol = built("CCO")
    positions = ethanol.molecules[0].positions + np.random.default_rng(0).normal(scale=0.02, size=(12, 9, 3))
    energies, forces = ethanol.model().predict(positions)
    frames = oh.Frames(ethanol.molecules[0].atomic_numbers, positions, energies=1.1 * energies, forces=1.1 * forces)
    with pytest.raises(MismatchError):  # made for C(C)O
        train(oh.ForceField.load("ethanol-gaff"), frames, n_train=8)
    correction = train(ethanol.model(), frames, atoms=[0, 1, 2], n_train=8, molecule=ethanol.molecules[0])
    correction.save(f"{tmp_path}/part.npz")
    again = oh.load(f"{tmp_path}/part.npz")
    np.testing.assert_array_equal(again.bonds, ethanol.molecules[0].bonds)
    reversed_ = built("OCC")
    with pytest.warns(UserWarning, match="not in the model's order"):
        oh.attach(reversed_.system, reversed_.topology, again)


def without_bonds(topology: app.Topology) -> app.Topology:
    copied = app.Topology()
    residue = copied.addResidue("MOL", copied.addChain())
    for atom in topology.atoms():
        copied.addAtom(atom.name, atom.element, residue)
    return copied


@pytest.mark.parametrize("constraints", [None, "HBonds"])
def test_the_bonds_of_the_system_help_where_the_topology_has_none(constraints: str | None) -> None:
    expected, molecule = attached_energy("C(C)O"), Molecule.from_smiles("OCC")
    system = gaff.build(molecule, charges=gasteiger(molecule), constraints=constraints)
    before = energy(system.system, system.positions)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        oh.attach(system.system, without_bonds(system.topology), oh.load("ethanol-rotors"))
    assert any("not in the model's order" in str(warning.message) for warning in caught)
    assert energy(system.system, system.positions) - before == pytest.approx(expected, abs=1e-3)


def test_more_bonds_in_the_system_do_no_harm() -> None:
    """A Urey-Bradley term is a harmonic bond of a 1-3 pair."""
    system = built("C(C)O")
    bonds = next(force for force in system.system.getForces() if isinstance(force, openmm.HarmonicBondForce))
    bonds.addBond(1, 2, 0.24, 1000.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        oh.attach(system.system, without_bonds(system.topology), oh.load("ethanol-rotors"))


def test_no_bonds_at_all_are_named() -> None:
    system = built("C(C)O")
    bare = openmm.System()
    for _ in range(9):
        bare.addParticle(12.0)
    with pytest.warns(UserWarning, match="neither the topology nor the System has bonds"):
        oh.attach(bare, without_bonds(system.topology), oh.load("ethanol-rotors"))


@pytest.mark.torchforce
def test_an_exported_model_finds_its_atoms(tmp_path: Path) -> None:
    path = export_torchscript(oh.load("ethanol-rotors"), tmp_path / "m.pt")
    system = built("OCC")
    before = energy(system.system, system.positions)
    with pytest.warns(UserWarning, match="not in the model's order"):
        oh.attach(system.system, system.topology, oh.load(path))
    assert energy(system.system, system.positions) - before == pytest.approx(attached_energy("C(C)O"), abs=1e-3)
