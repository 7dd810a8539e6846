"""Choice of the OpenMM platform of a simulation, and of torch's number of threads."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import NM_PER_ANGSTROM
from openmm_hybrid.sampling.box import warn_of_missed_pairs
from openmm_hybrid.sampling.restart import SETTINGS

SMALL = 60
"""Particles below which "auto" without positions chooses Reference for a system without a periodic box."""

MEASURED = 5000
"""Particles up to which "auto" measures the platforms for a system without a periodic box."""

QUICK = 1e-4
"""Seconds per step on Reference below which the other platforms are not measured."""

GAIN = 1.2
"""Factor by which another platform must be faster to replace Reference, which is reproducible bit for bit."""

PlatformChoice = tuple[openmm.Platform, dict[str, str]]
"""A platform and its properties, for `openmm.Context`."""

_GPU_LIKE = ("CUDA", "HIP", "OpenCL")


def choose_platform(
    system: openmm.System,
    name: str = "auto",
    positions: NDArray[np.float64] | None = None,
    n_steps: float = np.inf,
) -> PlatformChoice:
    """Choose a platform and its properties, for `openmm.Context`.

    "auto" without a periodic box, for up to 5000 particles with positions, measures a few steps on Reference. If a step
    takes longer than 0.1 ms there, and the run longer than this measurement, it measures the other platforms too. It
    chooses Reference (double precision, one thread) unless another platform is 1.2 times faster. Without positions it
    chooses Reference for fewer than 60 particles. In all other cases it chooses the platform that OpenMM rates as the
    fastest among those that can run the system. OpenCL is considered only if its device is not the CPU itself. GPU
    platforms run in mixed precision. The CPU platform uses OpenMM's default number of threads (all cores, or the
    environment variable OPENMM_CPU_THREADS).

    Parameters
    ----------
    system : openmm.System
    name : str
        "auto" or the name of a platform.
    positions : (n_particles, 3), Å, optional
        Positions at which to measure.
    n_steps : float
        Length of the run, steps.

    Raises
    ------
    InputError
        OpenMM has no platform of this name here.

    Warns
    -----
    UserWarning
        The platform is CPU, which may miss pairs of atoms in the box; see `warn_of_missed_pairs`.
    """
    return measured_platform(system, name, positions, n_steps)[0]


def measured_platform(
    system: openmm.System,
    name: str = "auto",
    positions: NDArray[np.float64] | None = None,
    n_steps: float = np.inf,
) -> tuple[PlatformChoice, openmm.Context | None]:
    """As `choose_platform`, and the context in which the platform was measured; None if it was not.

    A context of a force with a long expression takes seconds to make. This one has a time step of almost zero, and the
    positions and velocities of the measurement.
    """
    (platform, properties), context = _chosen(system, name, positions, n_steps)
    if platform.getName() == "CPU":
        warn_of_missed_pairs(system)
    return (platform, properties), context


def _chosen(
    system: openmm.System, name: str, positions: NDArray[np.float64] | None, n_steps: float
) -> tuple[PlatformChoice, openmm.Context | None]:
    present = {platform.getName(): platform for platform in map(openmm.Platform.getPlatform, _indices())}
    if name != "auto":
        if name not in present:
            raise InputError(
                f"there is no OpenMM platform {name!r} here",
                expected=f"auto or one of {', '.join(present)}",
                hint="choose one of these, or install the platform's plugin",
            )
        return (present[name], platform_properties(name)), None
    n_particles = system.getNumParticles()
    reference: PlatformChoice = (present["Reference"], {})
    ranked = sorted(present.values(), key=lambda platform: -platform.getSpeed())
    if not system.usesPeriodicBoundaryConditions():
        if positions is not None and n_particles <= MEASURED:
            return _quickest(
                system, [other for other in ranked if other.getName() != "Reference"], reference, positions, n_steps
            )
        if n_particles < SMALL:
            return reference, None
    for platform in ranked:
        if _usable(platform, system):
            return (platform, platform_properties(platform.getName())), None
    return reference, None


def usable_platforms(system: openmm.System, named: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the platforms that can run the System, Reference first; OpenCL on the CPU only if `named`."""
    platforms = map(openmm.Platform.getPlatform, _indices())
    return tuple(
        platform.getName() for platform in platforms if _usable(platform, system, emulated=platform.getName() in named)
    )


def platform_of(folder: Path, name: str, *, overwrite: bool = False) -> str:
    """Name of the platform: for "auto" that of an earlier run in `folder`, if OpenMM has it here."""
    if name != "auto" or overwrite:
        return name
    try:
        recorded = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["platform"]
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
    ):  # no run yet, or one that `check_same_run` will refuse
        return name
    return recorded if recorded in [openmm.Platform.getPlatform(k).getName() for k in _indices()] else name


def platform_properties(name: str) -> dict[str, str]:
    """Properties that this package sets on a platform: mixed precision on GPUs."""
    return {"Precision": "mixed"} if name in _GPU_LIKE else {}


def _indices() -> range:
    return range(openmm.Platform.getNumPlatforms())


def _quickest(
    system: openmm.System,
    others: list[openmm.Platform],
    reference: PlatformChoice,
    positions: NDArray[np.float64],
    n_steps: float,
) -> tuple[PlatformChoice, openmm.Context | None]:
    began = time.perf_counter()
    best, context = _seconds(system, reference, positions)
    chosen = reference, context
    measuring = time.perf_counter() - began  # mostly for the context: OpenMM differentiates long expressions in seconds
    if best < QUICK or n_steps * best < measuring:
        return chosen
    best /= GAIN
    for platform in others:
        candidate = (platform, platform_properties(platform.getName()))
        seconds, context = _seconds(system, candidate, positions)
        if seconds < best:
            best, chosen = seconds, (candidate, context)
    return chosen


def _seconds(
    system: openmm.System, candidate: PlatformChoice, positions: NDArray[np.float64]
) -> tuple[float, openmm.Context | None]:
    """Shortest time of a step in five short trials, s, and their context; infinite if the platform cannot run it."""
    context = _context(*candidate, system)
    if context is None:
        return np.inf, None
    integrator, best, steps = context.getIntegrator(), np.inf, 1
    context.setPositions(positions * NM_PER_ANGSTROM)
    context.computeVirtualSites()
    try:
        integrator.step(2)  # the first steps compile kernels
        for _ in range(5):
            began = time.perf_counter()
            integrator.step(steps)
            context.getState(energy=False)  # waits for a GPU
            taken = (time.perf_counter() - began) / steps
            best, steps = min(best, taken), max(1, min(100, int(0.01 / max(taken, 1e-6))))
    except openmm.OpenMMException:  # the energy is not finite: the run itself will raise the error
        return np.inf, None
    return best, context


def _usable(platform: openmm.Platform, system: openmm.System, *, emulated: bool = False) -> bool:
    """Whether the platform can run the system, unless OpenCL emulates a GPU on the CPU and `emulated` is not given."""
    return _context(platform, platform_properties(platform.getName()), system, emulated=emulated) is not None


def _context(
    platform: openmm.Platform, properties: dict[str, str], system: openmm.System, *, emulated: bool = False
) -> openmm.Context | None:
    """A context with a time step of almost zero; None if the platform cannot run the system, as in `_usable`."""
    try:
        if platform.getName() == "OpenCL" and _on_the_cpu(platform) and not emulated:
            return None
        with printed_to_stderr():
            return openmm.Context(system, openmm.VerletIntegrator(1e-9), platform, properties)
    except openmm.OpenMMException:  # no device, or a force without a kernel
        return None


def _on_the_cpu(platform: openmm.Platform) -> bool:
    """PoCL names its CPU devices "cpu-…" or "pthread-…"; OpenMM's own CPU platform is faster there."""
    smallest = openmm.System()  # kernels of a larger system take seconds to compile
    smallest.addParticle(1.0)
    with printed_to_stderr():
        context = openmm.Context(smallest, openmm.VerletIntegrator(1e-9), platform)
    return platform.getPropertyValue(context, "DeviceName").lower().startswith(("cpu", "pthread"))


@contextmanager
def printed_to_stderr() -> Iterator[None]:
    """Redirect standard output to standard error, so that OpenMM's warning about PoCL does not mix with results."""
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


@contextmanager
def one_torch_thread(platform: openmm.Platform, replicas: int = 1) -> Iterator[None]:
    """Limit torch to one thread inside the block if one molecule runs on OpenMM's CPU platform.

    OpenMM's CPU platform and torch each have a pool of threads. After each evaluation torch's threads keep spinning for
    milliseconds on the cores that OpenMM's threads then wait for (docs/backends.md). On the other platforms torch has
    the cores to itself, and several replicas are enough work for more than one thread.

    Parameters
    ----------
    platform : openmm.Platform
    replicas : int
        Number of replicas in the context.
    """
    import torch

    before = torch.get_num_threads()
    if platform.getName() == "CPU" and replicas == 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
