"""Forces of OpenMM's platforms against those of Reference, for each force of the System alone."""

from __future__ import annotations

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.validation.context import Subject, forces
from openmm_hybrid.validation.result import Check

PUBLISHED = {
    "HarmonicBondForce": 2.88e-6,
    "HarmonicAngleForce": 2.25e-5,
    "PeriodicTorsionForce": 8.23e-7,
    "RBTorsionForce": 4.86e-6,
    "NonbondedForce": 1.49e-6,
    "NonbondedForce, PME": 3.99e-5,
    "GBSAOBCForce": 3.0e-6,
}
"""Median relative differences from Reference in single precision (OpenCL) that OpenMM's user guide lists by force."""
PUBLISHED_TOTAL = 2.53e-6
"""The same for the total force, with which we compare forces that the guide does not list."""
_FACTOR = 10.0  # over the published values, for other systems than theirs; our choice
_LARGEST = 1e-3  # largest deviation of one atom over the root mean square force; our choice
_GROUPS = 32  # force groups of OpenMM


def platform_checks(subject: Subject, platforms: tuple[str, ...]) -> list[Check]:
    """Median and largest difference of the forces of each platform from Reference, for each force of the System.

    The median is over the atoms of 2|F − F'|/(|F| + |F'|), as in OpenMM's user guide; atoms on which the force does
    not act are left out. A wrong force on one atom shows in the largest deviation.
    """
    wanted = [name for name in platforms if name != "Reference"]
    if not wanted:
        return []
    expected = _by_force(subject, "Reference")
    checks = []
    for platform in wanted:
        for force, right, found in zip(subject.system.getForces(), expected, _by_force(subject, platform), strict=True):
            checks += difference_checks(f"{platform}, {force.getName()}", found, right, published_median(force))
    return checks


def published_median(force: openmm.Force) -> float:
    """Median relative difference that OpenMM's user guide lists for a force of this kind in single precision."""
    kind = type(force).__name__
    if isinstance(force, openmm.NonbondedForce) and force.getNonbondedMethod() in (force.PME, force.LJPME):
        kind += ", PME"
    return PUBLISHED.get(kind, PUBLISHED_TOTAL)


def difference_checks(
    name: str, found: NDArray[np.float64], expected: NDArray[np.float64], published: float = PUBLISHED_TOTAL
) -> list[Check]:
    """The two checks of forces (n_particles, 3) in single or mixed precision, with a published median beside them."""
    deviations = np.linalg.norm(found - expected, axis=1)
    sizes = np.linalg.norm(expected, axis=1)
    if not np.isfinite(deviations).all():
        return [Check(f"forces, {name}, median", float("nan"), 0.0, "1", "finite numbers")]
    mean = 0.5 * (np.linalg.norm(found, axis=1) + sizes)
    acting = mean > 1e-6 * max(float(sizes.max(initial=0.0)), 1e-6)
    if not acting.any():
        return []
    median = float(np.median(deviations[acting] / mean[acting]))
    largest = float(deviations.max() / np.sqrt(np.mean(sizes[acting] ** 2) or 1.0))
    limit = _FACTOR * published
    return [
        Check(f"forces, {name}, median", median, limit, "1", f"{_FACTOR:g} × OpenMM's {published:g}"),
        Check(f"forces, {name}, largest", largest, _LARGEST, "1", "our choice"),
    ]


def _by_force(subject: Subject, platform: str) -> list[NDArray[np.float64]]:
    """Forces (n_particles, 3) of each force of the System."""
    system = openmm.XmlSerializer.clone(subject.system)
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setReciprocalSpaceForceGroup(-1)  # the group of the force itself
    found = []
    for first in range(0, system.getNumForces(), _GROUPS - 1):
        chosen = range(first, min(first + _GROUPS - 1, system.getNumForces()))
        for index in range(system.getNumForces()):
            system.getForce(index).setForceGroup(index - first if index in chosen else _GROUPS - 1)
        context = Subject(system, subject.positions).context(openmm.VerletIntegrator(0.001), platform)
        found += [forces(context, {group}) for group in range(len(chosen))]
    return found
