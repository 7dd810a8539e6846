"""A System in implicit water: the generalized Born model OBC2."""

from __future__ import annotations

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import app
from openmm.app.internal.customgbforces import GBSAOBC2Force

from openmm_hybrid.core.errors import InputError

_DIELECTRIC = 78.5  # of water, as in OpenMM's parameter files of implicit solvents


def in_implicit_water(system: openmm.System, topology: app.Topology, charges: ArrayLike) -> openmm.System:
    """A copy of a System without periodic boundaries, in the implicit water of Onufriev, Bashford and Case.

    Model OBC2 (Proteins 55, 383 (2004)) with mbondi radii and OpenMM's surface-area term.

    Parameters
    ----------
    system : openmm.System
    topology : openmm.app.Topology
    charges : (n_particles,), e

    Raises
    ------
    InputError
        The numbers of charges, particles and atoms differ, or the System has periodic boundaries.
    """
    values = np.asarray(charges, dtype=np.float64)
    counts = (values.shape, (system.getNumParticles(),), (topology.getNumAtoms(),))
    if len(set(counts)) > 1:
        raise InputError(
            f"{values.size} charges, {counts[1][0]} particles and {counts[2][0]} atoms", expected="equal numbers"
        )
    if system.usesPeriodicBoundaryConditions():
        raise InputError("the System has periodic boundaries", expected="one without, for implicit water")
    copied = openmm.XmlSerializer.clone(system)
    force = openmm.GBSAOBCForce()
    force.setSolventDielectric(_DIELECTRIC)
    for charge, (radius, screen) in zip(values.tolist(), GBSAOBC2Force.getStandardParameters(topology), strict=True):
        force.addParticle(charge, radius, screen)
    copied.addForce(force)
    return copied
