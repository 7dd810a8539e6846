"""Parameters follow the atoms' indices even where ForceField's graph matching exchanges atoms."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import openmm
import pytest
from openmm import app

from openmm_hybrid import Molecule, gaff
from openmm_hybrid.bases.assign_by_index import assign_terms, lay_out
from openmm_hybrid.core.errors import HybridError
from openmm_hybrid.models.system import SystemModel
from tests.helpers.gaff_molecules import gasteiger


def exchanged(built: gaff.BuiltSystem, constraints: object = None) -> openmm.System:
    """The System that ForceField creates when the template lists its atoms and bonds in another order."""
    root = ElementTree.fromstring(built.to_xml())
    for residue in root.findall("./Residues/Residue"):
        residue[:] = [residue[i] for i in np.random.default_rng(1).permutation(len(residue))]
    forcefield = app.ForceField(io.StringIO(ElementTree.tostring(root, encoding="unicode")))
    return forcefield.createSystem(built.topology, constraints=constraints)


def charges_of(system: openmm.System) -> np.ndarray:
    force = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    return np.array([force.getParticleParameters(i)[0]._value for i in range(system.getNumParticles())])


@pytest.mark.filterwarnings("ignore:the System has constraints in place of:UserWarning")
@pytest.mark.parametrize("smiles", ["c1ccccc1", "c1ccsc1", "CC(C)C", "CS(C)(=O)=O"])
@pytest.mark.parametrize("constraints", [None, app.HBonds])
def test_terms_are_put_back(smiles: str, constraints: object) -> None:
    molecule = Molecule.from_smiles(smiles)
    charges = np.linspace(-0.3, 0.3, molecule.n_atoms)
    built = gaff.build([molecule, molecule], charges=[charges, charges], constraints=constraints)
    system = exchanged(built, constraints)
    assert np.abs(charges_of(system) - built.charges).max() > 0.01  # or there is nothing to test
    assign_terms(system, lay_out(built.templates))
    np.testing.assert_allclose(charges_of(system), built.charges, rtol=1e-12)
    positions = np.concatenate([molecule.positions, molecule.positions + 4.0])
    positions += np.random.default_rng(0).normal(scale=0.05, size=positions.shape)
    found = SystemModel(system, built.topology).energy_terms(positions)
    for term, energy in built.model().energy_terms(positions).items():
        assert found[term] == pytest.approx(energy, abs=1e-9), term
    assert system.getNumConstraints() == built.system.getNumConstraints()


def test_constraints_get_the_lengths_of_their_bonds() -> None:
    molecule = Molecule.from_smiles("CCO")
    built = gaff.build(molecule, charges=gasteiger(molecule), constraints="AllBonds")
    lengths = {frozenset(term.atoms): term.equilibrium for term in built.templates[0].bonds}
    for index in range(built.system.getNumConstraints()):
        i, j, length = built.system.getConstraintParameters(index)
        assert length._value == pytest.approx(lengths[frozenset((i, j))], rel=1e-12)


def test_a_system_of_something_else() -> None:
    ethanol, methanol = (Molecule.from_smiles(smiles) for smiles in ("CCO", "CO"))
    built = [gaff.build(m, charges=gasteiger(m)) for m in (ethanol, methanol)]
    empty = openmm.System()
    empty.addForce(openmm.PeriodicTorsionForce())
    with pytest.raises(HybridError, match="0 torsion terms on the built molecules; expected"):
        assign_terms(empty, lay_out(built[0].templates))
    with pytest.raises(HybridError, match=r"no term of CO joins atoms"):
        assign_terms(built[0].system, lay_out(built[1].templates))
