"""Which OpenMM platform a simulation runs on."""

from __future__ import annotations

import openmm

from openmm_hybrid.errors import InputError

SMALL = 60
"""Atoms below which a system without a periodic box is quickest on the Reference platform (no transfers)."""

_GPU_LIKE = ("CUDA", "HIP", "OpenCL")


def choose_platform(system: openmm.System, name: str = "auto") -> tuple[openmm.Platform, dict[str, str]]:
    """A platform and its properties, for `openmm.Context`.

    "auto": Reference for fewer than 60 atoms without a periodic box (double precision, one thread); otherwise the
    fastest platform that takes the system, where OpenCL counts only if its device is not the CPU itself. GPU
    platforms run in mixed precision. The CPU platform takes OpenMM's own number of threads (all cores, or the
    environment variable OPENMM_CPU_THREADS).

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
                mend="choose one of these, or install the platform's plugin",
            )
        return present[name], platform_properties(name)
    if system.getNumParticles() < SMALL and not system.usesPeriodicBoundaryConditions():
        return present["Reference"], {}
    for platform in sorted(present.values(), key=lambda platform: -platform.getSpeed()):
        if _usable(platform, system):
            return platform, platform_properties(platform.getName())
    return present["Reference"], {}


def platform_properties(name: str) -> dict[str, str]:
    """Properties that this package sets on the platform: mixed precision on GPUs."""
    return {"Precision": "mixed"} if name in _GPU_LIKE else {}


def _indices() -> range:
    return range(openmm.Platform.getNumPlatforms())


def _usable(platform: openmm.Platform, system: openmm.System) -> bool:
    """Whether a context of the system can be made there, on a device that is worth it."""
    name = platform.getName()
    try:
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform, platform_properties(name))
    except openmm.OpenMMException:  # no device answers, or a force has no kernel for it
        return False
    # PoCL names its CPU devices "cpu-…" or "pthread-…"; OpenMM's own CPU platform is faster there.
    return name != "OpenCL" or not platform.getPropertyValue(context, "DeviceName").lower().startswith(
        ("cpu", "pthread")
    )
