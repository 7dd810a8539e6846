"""SystemModel: an OpenMM System as an EnergyModel."""

from __future__ import annotations

import warnings

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray
from openmm import app, unit

from openmm_hybrid import Molecule, gaff
from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.models.system import SystemModel
from openmm_hybrid.testing import EnergyModelSuite
from tests.helpers.gaff_molecules import gasteiger


class TestSystemModel(EnergyModelSuite):
    """The conformance suite."""

    @pytest.fixture
    def molecule(self) -> Molecule:
        return Molecule.from_smiles("CC(=O)OC")

    @pytest.fixture
    def model(self, molecule: Molecule) -> SystemModel:
        return gaff.build(molecule, charges=gasteiger(molecule)).model()

    @pytest.fixture
    def positions(self, molecule: Molecule) -> NDArray[np.float64]:
        rng = np.random.default_rng(0)
        return molecule.positions + rng.normal(scale=0.05, size=(4, molecule.n_atoms, 3))

    def test_terms_add_up(self, model: SystemModel, positions: NDArray[np.float64]) -> None:
        terms = model.energy_terms(positions[0])
        assert set(terms) >= {"bonds", "angles", "propers", "impropers", "nonbonded"}
        assert sum(terms.values()) == pytest.approx(float(model.predict(positions[0])[0]), abs=1e-9)

    def test_quantities_are_converted(self, model: SystemModel, positions: NDArray[np.float64]) -> None:
        """What `BuiltSystem.positions` and a State hand out is in nm."""
        nanometers = positions * 0.1 * unit.nanometer
        np.testing.assert_allclose(model.predict(nanometers)[0], model.predict(positions)[0], rtol=1e-9)
        expected = model.energy_terms(positions[0])
        assert model.energy_terms(nanometers[0]) == pytest.approx(expected, rel=1e-9)

    def test_atomic_numbers(self, model: SystemModel, molecule: Molecule) -> None:
        np.testing.assert_array_equal(model.atomic_numbers, molecule.atomic_numbers)


def test_improper_energy_by_hand() -> None:
    """k (1 + cos(2φ − π)) = 2 k sin²φ about the carbon of formaldehyde, which is its only improper."""
    formaldehyde = Molecule.from_smiles("C=O")
    built = gaff.build(formaldehyde, charges=gasteiger(formaldehyde))
    force = next(force for force in built.system.getForces() if isinstance(force, openmm.PeriodicTorsionForce))
    (improper,) = [force.getTorsionParameters(i) for i in range(force.getNumTorsions())]
    assert improper[2] == 0
    positions = formaldehyde.positions.copy()
    positions[0] += 0.2 * np.cross(positions[2] - positions[0], positions[3] - positions[0])
    b1, b2, b3 = np.diff(positions[list(improper[:4])], axis=0)
    normals = np.cross(b1, b2), np.cross(b2, b3)
    cosine = normals[0] @ normals[1] / np.linalg.norm(normals[0]) / np.linalg.norm(normals[1])
    k = improper[6]._value / 4.184
    assert built.model().energy_terms(positions)["impropers"] == pytest.approx(2 * k * (1 - cosine**2), rel=1e-9)
    assert k in (1.1, 10.5)


def test_the_reciprocal_space_is_non_bonded_in_any_group() -> None:
    system, topology, force = openmm.System(), app.Topology(), openmm.NonbondedForce()
    residue = topology.addResidue("ION", topology.addChain())
    for charge in (1.0, -1.0):
        system.addParticle(23.0)
        force.addParticle(charge, 0.3, 0.1)
        topology.addAtom("NA", app.element.sodium, residue)
    force.setNonbondedMethod(force.PME)
    force.setReciprocalSpaceForceGroup(2)
    system.addForce(force)
    model, positions = SystemModel(system, topology), np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]])
    assert model.energy_terms(positions) == {"nonbonded": pytest.approx(model.predict(positions)[0])}


def test_topology_of_another_system() -> None:
    with pytest.raises(MismatchError, match="0 particles, the topology 1"):
        topology = app.Topology()
        topology.addAtom("C", app.element.carbon, topology.addResidue("C", topology.addChain()))
        SystemModel(openmm.System(), topology)


def test_constraints_in_place_of_bonds_are_named() -> None:
    ethanol = Molecule.from_smiles("CCO")
    built = gaff.build(ethanol, charges=gasteiger(ethanol), constraints="HBonds")
    with pytest.warns(UserWarning, match="constraints in place of 6 bonds"):
        built.model()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gaff.build(ethanol, charges=gasteiger(ethanol)).solvate(padding=7, cutoff=6).model()
