"""GAFF built here against prmtop files that AMBER's LEaP wrote (a peer), term by term."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import openmm
import pytest

from openmm_hybrid import Molecule, gaff
from tests.helpers.gaff_molecules import DRUGS, LEAP, gasteiger
from tests.helpers.leap import run_tleap

FILES = Path(__file__).parent / "leap"
#: kJ/mol. LEaP takes π as 3.141594 and writes eight digits, hence the wider bounds of angles and torsions.
BOUNDS = {"bonds": 1e-5, "angles": 5e-4, "propers": 1e-4, "impropers": 0.05, "nonbonded": 1e-5}
#: kJ/mol, once LEaP's π is undone: what its eight digits leave.
EXACT = {"bonds": 1e-9, "angles": 1e-5, "propers": 1e-6, "impropers": 1e-6, "nonbonded": 1e-6}
LEAP_PI = 3.141594
#: Of DRUGS: rings, conjugated types, halogens, sulfur, phosphorus, ions.
COMPARED = ("paracetamol", "diazepam", "celecoxib", "metronidazole", "halothane", "ethyl phosphate dianion", "warfarin")
COMPARED += ("methylguanidinium", "penicillin G", "nifedipine")
KJ = 4.184


@pytest.mark.filterwarnings("ignore:.*has no Lennard-Jones term in GAFF 1:UserWarning")
@pytest.mark.parametrize("name", LEAP)
def test_same_energies_as_leap(name: str) -> None:
    smiles, version = LEAP[name]
    molecule = Molecule.from_smiles(smiles, name=name)
    built = gaff.build(molecule, version=version, charges=gasteiger(molecule))
    rng = np.random.default_rng(0)
    positions = molecule.positions + rng.normal(scale=0.05, size=(molecule.n_atoms, 3))
    reference = gaff.from_prmtop(FILES / f"{name}.prmtop", positions)
    assert built.atom_types == reference.atom_types
    np.testing.assert_allclose(built.charges, reference.charges, atol=2e-8)
    found, expected = built.model().energy_terms(positions), reference.model().energy_terms(positions)
    for term, bound in BOUNDS.items():
        assert found.get(term, 0.0) * KJ == pytest.approx(expected.get(term, 0.0) * KJ, abs=bound), term
    assert expected["angles"] > 1.0
    undo_pi(reference.system)
    exact = reference.model().energy_terms(positions)
    for term, bound in EXACT.items():
        assert found.get(term, 0.0) * KJ == pytest.approx(exact.get(term, 0.0) * KJ, abs=bound), f"{term}, π undone"


@pytest.mark.parametrize("version", ["1.81", "2.11", "2.2.20"])
@pytest.mark.parametrize("name", COMPARED)
def test_same_energies_as_the_installed_leap(name: str, version: str, tmp_path: Path) -> None:
    """tleap is run here, so that its version is that of the other programs."""
    molecule = Molecule.from_smiles(DRUGS[name], name=name)
    charges = gasteiger(molecule)
    built = gaff.build(molecule, version=version, charges=charges)
    prmtop = run_tleap(tmp_path, molecule, built.atom_types, charges, version)
    positions = molecule.positions + np.random.default_rng(0).normal(scale=0.05, size=(molecule.n_atoms, 3))
    reference = gaff.from_prmtop(prmtop, positions)
    undo_pi(reference.system)
    found, expected = built.model().energy_terms(positions), reference.model().energy_terms(positions)
    for term, bound in EXACT.items():
        assert found.get(term, 0.0) * KJ == pytest.approx(expected.get(term, 0.0) * KJ, abs=bound), term


def undo_pi(system: openmm.System) -> None:
    """Angles and phases as if LEaP had turned degrees into radians with π itself."""
    factor = math.pi / LEAP_PI
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicAngleForce):
            for index in range(force.getNumAngles()):
                *atoms, angle, k = force.getAngleParameters(index)
                force.setAngleParameters(index, *atoms, angle * factor, k)
        elif isinstance(force, openmm.PeriodicTorsionForce):
            for index in range(force.getNumTorsions()):
                *head, phase, k = force.getTorsionParameters(index)
                force.setTorsionParameters(index, *head, phase * factor, k)


def test_masses_equal_leap() -> None:
    molecule = Molecule.from_smiles(LEAP["aspirin"][0])
    built = gaff.build(molecule, charges=gasteiger(molecule)).system
    reference = gaff.from_prmtop(FILES / "aspirin.prmtop", molecule.positions).system
    for atom in range(molecule.n_atoms):
        assert built.getParticleMass(atom) == reference.getParticleMass(atom)
