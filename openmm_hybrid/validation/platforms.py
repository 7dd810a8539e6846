"""Forces of OpenMM's platforms against those of Reference, for each force of the System alone."""

from __future__ import annotations

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.validation.context import Subject, forces
from openmm_hybrid.validation.result import Check

PUBLISHED = {"double": 9e-8, "single": 2.6e-6}
"""Largest median relative difference from Reference that OpenMM's user guide lists for a platform in this precision."""
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
        for (name, right), found in zip(expected, _by_force(subject, platform), strict=True):
            checks += difference_checks(f"{platform}, {name}", found[1], right)
    return checks


def difference_checks(name: str, found: NDArray[np.float64], expected: NDArray[np.float64]) -> list[Check]:
    """The two checks of forces (n_particles, 3) in single or mixed precision."""
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
    limit = _FACTOR * PUBLISHED["single"]
    return [
        Check(f"forces, {name}, median", median, limit, "1", f"{_FACTOR:g} × OpenMM's {PUBLISHED['single']:g}"),
        Check(f"forces, {name}, largest", largest, _LARGEST, "1", "our choice"),
    ]


def _by_force(subject: Subject, platform: str) -> list[tuple[str, NDArray[np.float64]]]:
    """Name and forces (n_particles, 3) of each force of the System."""
    system = openmm.XmlSerializer.clone(subject.system)
    found = []
    for first in range(0, system.getNumForces(), _GROUPS - 1):
        chosen = range(first, min(first + _GROUPS - 1, system.getNumForces()))
        for index in range(system.getNumForces()):
            system.getForce(index).setForceGroup(index - first if index in chosen else _GROUPS - 1)
        context = Subject(system, subject.positions).context(openmm.VerletIntegrator(0.001), platform)
        names = [system.getForce(index).getName() for index in chosen]
        found += [(name, forces(context, {group})) for group, name in enumerate(names)]
    return found
