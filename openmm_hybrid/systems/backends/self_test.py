"""The test that every backend whose forces hold code passes in a separate process, before it is used."""

from __future__ import annotations

import copy

import openmm


def self_test(force: openmm.Force) -> None:
    """Test a backend's force of the energy ½ Σ x² (nm, kJ/mol) in every way that has crashed before.

    Energy and forces are computed on the Reference platform for the force itself, for one read back from XML, and for a
    deepcopy.

    Raises
    ------
    SystemExit
        The energy or the forces are wrong.
    """
    system = openmm.System()
    system.addParticle(1.0)
    system.addForce(force)
    again = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    for candidate in (system, again, copy.deepcopy(system)):
        platform_used = openmm.Platform.getPlatformByName("Reference")
        context = openmm.Context(candidate, openmm.VerletIntegrator(0.001), platform_used)
        context.setPositions([[1.0, 2.0, 3.0]])
        state = context.getState(energy=True, forces=True)
        energy = state.getPotentialEnergy().value_in_unit_system(openmm.unit.md_unit_system)
        forces = state.getForces(asNumpy=True).value_in_unit_system(openmm.unit.md_unit_system)
        if abs(energy - 7.0) > 1e-9 or abs(forces - [[-1.0, -2.0, -3.0]]).max() > 1e-9:
            raise SystemExit(f"energy {energy} and forces {forces.tolist()} of a spring are wrong")
