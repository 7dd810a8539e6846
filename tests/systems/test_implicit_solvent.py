"""Implicit water against OpenMM's own construction, and its refusals."""

from __future__ import annotations

import numpy as np
import openmm
import pytest
from openmm import app, unit

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.systems.implicit_solvent import in_implicit_water


def _energy(system: openmm.System, positions: unit.Quantity) -> float:
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    return context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole)


def test_the_energy_is_that_of_openmms_obc2() -> None:
    """Alanine dipeptide with OpenMM's files of Amber and of OBC2."""
    molecule = oh.Molecule.from_smiles("CC(=O)NC(C)C(=O)NC")
    charges = np.random.default_rng(0).normal(size=molecule.n_atoms) * 0.3
    charges -= charges.mean()
    built = oh.build(molecule, base="openff-2.3.0", charges=charges, progress=False)
    solvated = in_implicit_water(built.system, built.topology, charges)
    own = openmm.XmlSerializer.clone(built.system)
    from openmm.app.internal.customgbforces import GBSAOBC2Force

    force = GBSAOBC2Force(SA="ACE")
    for charge, parameters in zip(charges, GBSAOBC2Force.getStandardParameters(built.topology), strict=True):
        force.addParticle([charge, *parameters])
    force.finalize()
    own.addForce(force)
    expected = _energy(own, built.positions)
    assert _energy(solvated, built.positions) == pytest.approx(expected, abs=1e-4)
    assert abs(expected - _energy(built.system, built.positions)) > 1.0
    assert built.system.getNumForces() == solvated.getNumForces() - 1


def test_what_does_not_fit_is_refused() -> None:
    built = oh.build(oh.Molecule.from_smiles("O"), base="openff-2.3.0", charges=[-0.8, 0.4, 0.4], progress=False)
    with pytest.raises(InputError, match="2 charges, 3 particles and 3 atoms"):
        in_implicit_water(built.system, built.topology, [0.1, -0.1])
    box = built.solvate(padding=12.0)
    with pytest.raises(InputError, match="periodic boundaries"):
        in_implicit_water(box.system, box.topology, np.zeros(box.system.getNumParticles()))
    assert isinstance(built.topology, app.Topology)
