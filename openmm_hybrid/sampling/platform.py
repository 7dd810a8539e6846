"""Which OpenMM platform a simulation runs on."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import NM_PER_ANGSTROM
from openmm_hybrid.sampling.restart import SETTINGS

SMALL = 60
"""Atoms below which a system without a periodic box is taken to be quickest on the Reference platform."""

MEASURED = 5000
"""Atoms up to which a system without a periodic box is tried on the platforms."""

QUICK = 1e-4
"""Seconds for a step below which no other platform than Reference is worth a trial: they take about that to start."""

GAIN = 1.2
"""How many times quicker another platform must be to be taken instead of Reference, which is exact to the last bit."""

_GPU_LIKE = ("CUDA", "HIP", "OpenCL")


def choose_platform(
    system: openmm.System, name: str = "auto", positions: NDArray[np.float64] | None = None
) -> tuple[openmm.Platform, dict[str, str]]:
    """A platform and its properties, for `openmm.Context`.

    "auto", with positions and without a periodic box: by a measurement of a few steps on Reference and, where a step
    takes longer than 0.1 ms there, on the others; Reference (double precision, one thread) unless another is 1.2 times
    quicker. Without positions: Reference for fewer than 60 atoms. Otherwise, in a periodic box or above 5000 atoms, the
    platform of the highest speed that takes the system. OpenCL counts only if its device is not the CPU itself. GPU
    platforms run in mixed precision. The CPU platform takes OpenMM's own number of threads (all cores, or the
    environment variable OPENMM_CPU_THREADS).

    Parameters
    ----------
    system : openmm.System
    name : str
        "auto" or the platform's.
    positions : (n_particles, 3), Å, optional
        At which to measure.

    Raises
    ------
    InputError
        There is no platform of this name here.
    """
    present = {platform.getName(): platform for platform in map(openmm.Platform.getPlatform, _indices())}
    if name != "auto":
        if name not in present:
            raise InputError(
                f"there is no OpenMM platform {name!r} here",
                expected=f"auto or one of {', '.join(present)}",
                hint="choose one of these, or install the platform's plugin",
            )
        return present[name], platform_properties(name)
    n_particles = system.getNumParticles()
    reference: tuple[openmm.Platform, dict[str, str]] = (present["Reference"], {})
    ranked = sorted(present.values(), key=lambda platform: -platform.getSpeed())
    if not system.usesPeriodicBoundaryConditions():
        if positions is not None and n_particles <= MEASURED:
            return _quickest(system, [each for each in ranked if each.getName() != "Reference"], reference, positions)
        if n_particles < SMALL:
            return reference
    for platform in ranked:
        if _usable(platform, system):
            return platform, platform_properties(platform.getName())
    return reference


def platform_of(folder: Path, name: str, *, overwrite: bool = False) -> str:
    """The platform to choose: with "auto" that of the run in `folder`, if there is one and it is here too."""
    if name != "auto" or overwrite:
        return name
    try:
        noted = json.loads((folder / SETTINGS).read_text())["platform"]
    except (OSError, ValueError, KeyError, TypeError):  # no run yet, or one that `check_same_run` will refuse
        return name
    return noted if noted in [openmm.Platform.getPlatform(k).getName() for k in _indices()] else name


def platform_properties(name: str) -> dict[str, str]:
    """Properties that this package sets on the platform: mixed precision on GPUs."""
    return {"Precision": "mixed"} if name in _GPU_LIKE else {}


def _indices() -> range:
    return range(openmm.Platform.getNumPlatforms())


def _quickest(
    system: openmm.System,
    others: list[openmm.Platform],
    reference: tuple[openmm.Platform, dict[str, str]],
    positions: NDArray[np.float64],
) -> tuple[openmm.Platform, dict[str, str]]:
    best, chosen = _seconds(system, reference, positions), reference
    if best < QUICK:
        return reference
    best /= GAIN
    for platform in others:
        candidate = (platform, platform_properties(platform.getName()))
        seconds = _seconds(system, candidate, positions)
        if seconds < best:
            best, chosen = seconds, candidate
    return chosen


def _seconds(
    system: openmm.System, candidate: tuple[openmm.Platform, dict[str, str]], positions: NDArray[np.float64]
) -> float:
    """Shortest time of a step in five short trials; infinite where the platform cannot run the system."""
    context = _context(*candidate, system)
    if context is None:
        return np.inf
    integrator, best, steps = context.getIntegrator(), np.inf, 1
    context.setPositions(positions * NM_PER_ANGSTROM)
    context.computeVirtualSites()
    try:
        integrator.step(2)  # what is made at the first step is not counted
        for _ in range(5):
            began = time.perf_counter()
            integrator.step(steps)
            context.getState(energy=False)  # waits for a GPU
            taken = (time.perf_counter() - began) / steps
            best, steps = min(best, taken), max(1, min(100, int(0.01 / max(taken, 1e-6))))
    except openmm.OpenMMException:  # the energy is not finite there: the run will tell
        return np.inf
    return best


def _usable(platform: openmm.Platform, system: openmm.System) -> bool:
    """Whether a context of the system can be made there, on a device that is worth it."""
    return _context(platform, platform_properties(platform.getName()), system) is not None


def _context(platform: openmm.Platform, properties: dict[str, str], system: openmm.System) -> openmm.Context | None:
    """A context whose steps change next to nothing."""
    try:
        if platform.getName() == "OpenCL" and _on_the_cpu(platform):
            return None
        return openmm.Context(system, openmm.VerletIntegrator(1e-9), platform, properties)
    except openmm.OpenMMException:  # no device answers, or a force has no kernel for it
        return None


def _on_the_cpu(platform: openmm.Platform) -> bool:
    """PoCL names its CPU devices "cpu-…" or "pthread-…"; OpenMM's own CPU platform is faster there."""
    smallest = openmm.System()  # kernels of a real one take seconds to compile
    smallest.addParticle(1.0)
    with _printed_to_stderr():
        context = openmm.Context(smallest, openmm.VerletIntegrator(1e-9), platform)
    return platform.getPropertyValue(context, "DeviceName").lower().startswith(("cpu", "pthread"))


@contextmanager
def _printed_to_stderr() -> Iterator[None]:
    """What OpenMM itself prints in the block goes to standard error: its warning of PoCL must not get among results."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # a process without standard output
        yield
        return
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
