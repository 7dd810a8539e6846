"""Systems that OpenFF's own tools make of a molecule."""

from __future__ import annotations

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_hybrid import Molecule


def by_interchange(
    molecule: Molecule, version: str, charges: NDArray[np.float64], *, constrained: bool = False
) -> openmm.System:
    """The System of one molecule in vacuum by OpenFF's Interchange."""
    from openff.interchange import Interchange
    from openff.toolkit import ForceField

    name = f"openff-{version}.offxml" if constrained else f"openff_unconstrained-{version}.offxml"
    openff = molecule.to_openff(charges)
    interchange = Interchange.from_smirnoff(ForceField(name), [openff], charge_from_molecules=[openff])
    return interchange.to_openmm_system(combine_nonbonded_forces=True)


def by_generator(
    molecule: Molecule, forcefield: str, charges: NDArray[np.float64], topology: app.Topology
) -> openmm.System:
    """The System of one molecule in vacuum by openmmforcefields' SystemGenerator."""
    from openmmforcefields.generators import SystemGenerator

    generator = SystemGenerator(
        small_molecule_forcefield=forcefield,
        molecules=[molecule.to_openff(charges)],
        forcefield_kwargs={"constraints": None, "rigidWater": False, "removeCMMotion": False},
        nonperiodic_forcefield_kwargs={"nonbondedMethod": app.NoCutoff},
    )
    return generator.create_system(topology, molecules=[molecule.to_openff(charges)])


def solvated_by_interchange(
    molecule: Molecule, version: str, charges: NDArray[np.float64], topology: app.Topology, positions: unit.Quantity
) -> openmm.System:
    """The System of a molecule and its water, which come after it, by OpenFF's Interchange with Sage's TIP3P."""
    from openff.interchange import Interchange
    from openff.toolkit import ForceField, Topology
    from openff.toolkit import Molecule as OpenFFMolecule
    from openff.units import unit as openff_unit

    solute = molecule.to_openff(charges)
    waters = sum(residue.name == "HOH" for residue in topology.residues())
    members = Topology.from_molecules([solute] + [OpenFFMolecule.from_smiles("O")] * waters)
    vectors = topology.getPeriodicBoxVectors().value_in_unit(unit.nanometer)
    members.box_vectors = openff_unit.Quantity(np.array(vectors), "nanometer")
    members.set_positions(openff_unit.Quantity(np.array(positions.value_in_unit(unit.nanometer)), "nanometer"))
    forcefield = ForceField(f"openff_unconstrained-{version}.offxml", "tip3p.offxml")
    interchange = Interchange.from_smirnoff(forcefield, members, charge_from_molecules=[solute])
    return interchange.to_openmm_system(combine_nonbonded_forces=True)


def solvated_by_generator(
    molecule: Molecule, version: str, charges: NDArray[np.float64], topology: app.Topology, positions: unit.Quantity
) -> openmm.System:
    """The System of a molecule and its water, which come after it, by openmmforcefields' SystemGenerator."""
    from openmmforcefields.generators import SystemGenerator

    generator = SystemGenerator(
        forcefields=["amber14/tip3p.xml"],
        small_molecule_forcefield=f"openff-{version}",
        molecules=[molecule.to_openff(charges)],
        forcefield_kwargs={"constraints": None, "rigidWater": True, "removeCMMotion": False},
        periodic_forcefield_kwargs={"nonbondedMethod": app.PME, "nonbondedCutoff": 0.8 * unit.nanometer},
    )
    return generator.create_system(topology, molecules=[molecule.to_openff(charges)])
