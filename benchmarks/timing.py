"""Times of sides that take turns, and their ratios; stepping as one of the things to time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.sampling.platform import platform_properties

Timed = Callable[[int], list[float]]
"""Repeats its work a given number of times and returns the seconds of each repetition."""


def timed(call: Callable[[], object]) -> Timed:
    """A function that repeats `call` a given number of times and returns the seconds of each repetition."""

    def run(number: int) -> list[float]:
        seconds = []
        for _ in range(number):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        return seconds

    return run


def stepper(
    system: openmm.System,
    positions: Any,
    platform: str,
    threads: int,
    steps: int,
    *,
    relaxed: bool = False,
    timestep: float = 0.5,
    integrator: openmm.Integrator | None = None,
    substeps: int = 1,
) -> Timed:
    """A function that repeats `steps` steps a given number of times and returns the seconds per step of each.

    Langevin dynamics at 300 K with steps of `timestep` (fs) and 1/ps, or another `integrator`, each of whose steps
    counts as `substeps`; `positions` are in nm, and are minimised unless they are `relaxed`.
    """
    properties = {"Threads": str(threads)} if platform == "CPU" else platform_properties(platform)
    stepped = integrator or openmm.LangevinMiddleIntegrator(300.0, 1.0, 1e-3 * timestep)
    outer = max(1, steps // substeps)
    context = openmm.Context(system, stepped, openmm.Platform.getPlatformByName(platform), properties)
    context.setPositions(positions)
    if system.getNumConstraints():
        context.applyConstraints(1e-6)
    if not relaxed:
        openmm.LocalEnergyMinimizer.minimize(context, maxIterations=20)
    context.setVelocitiesToTemperature(300.0, 1)

    def batch() -> None:
        stepped.step(outer)
        context.getState(energy=True)  # waits for the last step

    run = timed(batch)
    return lambda number: [seconds / (outer * substeps) for seconds in run(number)]


def interleaved(
    sides: Mapping[str, Timed], rounds: int, repeats: Mapping[str, int], skipped: int
) -> dict[str, NDArray[Any]]:
    """Median time of each side in each round, ms; the first `skipped` times of a round are not counted."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            found[name].append(1e3 * float(np.median(run(repeats[name] + skipped)[skipped:])))
    return {name: np.array(times) for name, times in found.items()}


def ratio(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Median over rounds of first/second."""
    return float(np.median(first / second))


def rounded(times: Mapping[str, NDArray[Any]]) -> dict[str, list[float]]:
    """Times as they are kept in a document."""
    return {name: [round(float(value), 4) for value in values] for name, values in times.items()}
