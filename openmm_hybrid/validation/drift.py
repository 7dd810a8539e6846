"""Drift of the total energy at constant energy, beside the values that OpenMM publishes."""

from __future__ import annotations

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.analysis.stability import energy_drift
from openmm_hybrid.core.units import BOLTZMANN
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
    drifts = np.array([run_drift(subject, platform, settings, run) for run in range(settings.runs)])
    precision = PRECISIONS.get(platform, "mixed")
    return Check(
        f"energy drift, {platform}",
        float(drifts.mean()),
        _FACTOR * PUBLISHED[precision],
        "kT/ns per degree of freedom",
        f"{_FACTOR:g} × OpenMM's {PUBLISHED[precision]:g} ({precision} precision)",
        float(drifts.std(ddof=1) / np.sqrt(len(drifts))),
    )


def run_drift(subject: Subject, platform: str, settings: ValidateSettings, run: int) -> float:
    """Drift of one run, kT/ns per degree of freedom."""
    time, total = constant_energy(subject, platform, settings, run, settings.timestep, settings.drift_ps)
    if not np.isfinite(total).all():
        return float("nan")
    slope = energy_drift(time, total, n_atoms=1).value  # kcal/mol/ps
    return 1e3 * slope / (BOLTZMANN * settings.temperature * degrees_of_freedom(subject.system))


def constant_energy(
    subject: Subject, platform: str, settings: ValidateSettings, run: int, timestep: float, picoseconds: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times (n_frames,) in ps and total energies (n_frames,) in kcal/mol of a run with the Verlet integrator.

    Runs of one number start from the same positions and velocities, whatever their time step is.
    """
    warm = openmm.LangevinMiddleIntegrator(settings.temperature, 10.0, 1e-3 * settings.timestep)
    seed = settings.seed + 1000 * run + 1
    warm.setRandomNumberSeed(seed)
    start = subject.context(warm, platform)
    start.setVelocitiesToTemperature(settings.temperature, seed)
    warm.step(_EQUILIBRATION)
    state = start.getState(positions=True, velocities=True)
    integrator = openmm.VerletIntegrator(1e-3 * timestep)
    context = subject.context(integrator, platform)
    context.setPeriodicBoxVectors(*state.getPeriodicBoxVectors())
    context.setPositions(state.getPositions())
    context.setVelocities(state.getVelocities())
    n_steps = max(_RECORDS, round(1e3 * picoseconds / timestep))
    every = n_steps // _RECORDS
    time, total = [], []
    for record in range(_RECORDS):
        integrator.step(every)
        time.append(1e-3 * timestep * every * (record + 1))
        total.append(sum(energies(context)))
    return np.array(time), np.array(total)
