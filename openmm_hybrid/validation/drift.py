"""Drift of the total energy at constant energy, beside the values that OpenMM publishes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.analysis.stability import energy_drift
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.sampling.minimize import set_positions
from openmm_hybrid.sampling.reporters import degrees_of_freedom
from openmm_hybrid.validation.context import Subject, energies
from openmm_hybrid.validation.result import Check
from openmm_hybrid.validation.settings import ValidateSettings

PUBLISHED = {"double": 1.1e-7, "mixed": 2.3e-5, "single": 4.3e-4}
"""Drift of OpenMM in three precisions, kT/ns per degree of freedom.

OpenMM User Guide, Testing and Validation: ubiquitin in OBC solvent, Verlet integrator, 0.5 fs.
"""
PRECISIONS = {"Reference": "double", "CPU": "single"}
"""Precision of a platform; "mixed" for the others, as this package sets it."""
_FACTOR = 10.0  # over the published values; our choice
_EQUILIBRATION = 2000  # steps with a thermostat before each run
_RECORDS = 200


def drift_check(subject: Subject, platform: str, settings: ValidateSettings) -> Check:
    """Mean drift of several runs from other velocities; its error is that of the mean, from their spread."""
    ((time, totals),) = constant_energy(subject, platform, settings, [settings.timestep], settings.drift_ps)
    drifts = np.array([_drift(subject, time, total, settings.temperature) for total in totals])
    precision = PRECISIONS.get(platform, "mixed")
    return Check(
        f"energy drift, {platform}",
        float(drifts.mean()),
        _FACTOR * PUBLISHED[precision],
        "kT/ns per degree of freedom",
        f"{_FACTOR:g} × OpenMM's {PUBLISHED[precision]:g} ({precision} precision)",
        float(drifts.std(ddof=1) / np.sqrt(len(drifts))),
    )


def _drift(subject: Subject, time: NDArray[np.float64], total: NDArray[np.float64], temperature: float) -> float:
    """Drift of one run, kT/ns per degree of freedom."""
    if not np.isfinite(total).all():
        return float("nan")
    slope = energy_drift(time, total, n_atoms=1).value  # kcal/mol/ps
    return 1e3 * slope / (BOLTZMANN * temperature * degrees_of_freedom(subject.system))


def constant_energy(
    subject: Subject, platform: str, settings: ValidateSettings, timesteps: Sequence[float], picoseconds: float
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Total energies of runs with the Verlet integrator.

    Parameters
    ----------
    timesteps : sequence of float, fs
    picoseconds : float
        Length of each run, at least 200 steps, of which 200 energies are recorded.

    Returns
    -------
    list
        For each time step the times (200,) in ps and the total energies (runs, 200) in kcal/mol. Run k starts from the
        same positions and velocities at each time step.
    """
    # Two contexts for all runs: those of a force field with cross terms take seconds to make.
    warm = openmm.LangevinMiddleIntegrator(settings.temperature, 10.0, 1e-3 * settings.timestep)
    warm.setRandomNumberSeed(settings.seed + 1)
    warming = subject.context(warm, platform)
    verlet = openmm.VerletIntegrator(1e-3 * timesteps[0])
    context = subject.context(verlet, platform)
    every = [max(1, round(1e3 * picoseconds / timestep / _RECORDS)) for timestep in timesteps]
    totals = np.empty((len(timesteps), settings.runs, _RECORDS))
    for run in range(settings.runs):
        set_positions(warming, subject.positions)
        warming.setVelocitiesToTemperature(settings.temperature, settings.seed + 1000 * run + 1)
        warm.step(_EQUILIBRATION)
        start = warming.getState(positions=True, velocities=True)
        for k, timestep in enumerate(timesteps):
            verlet.setStepSize(1e-3 * timestep)
            context.setPositions(start.getPositions())
            context.setVelocities(start.getVelocities())
            for record in range(_RECORDS):
                verlet.step(every[k])
                totals[k, run, record] = sum(energies(context))
    lengths = [1e-3 * timestep * steps for timestep, steps in zip(timesteps, every, strict=True)]
    return [
        (np.linspace(length, length * _RECORDS, _RECORDS), total) for length, total in zip(lengths, totals, strict=True)
    ]
