"""Systems that OpenFF's own tools make of a molecule."""

from __future__ import annotations

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

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
