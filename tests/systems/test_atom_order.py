"""Models are attached in their own order of atoms, whatever the order of the topology."""

from __future__ import annotations

import warnings

import numpy as np
import openmm
import pytest

import openmm_hybrid as oh
from openmm_hybrid import Molecule, gaff
from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.correction import train
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
