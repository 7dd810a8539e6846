"""Physical validity of dynamics by the package physical_validation.

P. T. Merz and M. R. Shirts, PLoS ONE 13, e0202764 (2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.analysis.free_energy import quiet_pymbar
from openmm_hybrid.core.errors import MissingDependencyError, NumericalError
from openmm_hybrid.core.units import BOLTZMANN, KJ_PER_KCAL
from openmm_hybrid.sampling.reporters import degrees_of_freedom
from openmm_hybrid.validation.context import BlowUpError, Subject, energies
from openmm_hybrid.validation.drift import constant_energy
from openmm_hybrid.validation.result import Check
from openmm_hybrid.validation.settings import ValidateSettings

_SIGMAS = 4.0  # a sound run is farther off once in 16 000 times
_CONVERGENCE = 0.2  # of the ratio of the fluctuations, which is 4 for half the time step; our choice
_EVERY = 40  # steps between the recorded energies of a run
_EQUILIBRATION = 4000  # steps
_LONGEST_TIMESTEP_PS = 5.0  # enough for the fluctuations of the fastest vibrations
_HOTTEST = 1.5  # largest ratio of the two temperatures


@final
@dataclass(frozen=True, eq=False)
class Sample:
    """Energies of a run at constant temperature.

    Parameters
    ----------
    temperature : float, K
        Temperature of the thermostat.
    potential, kinetic : (n_frames,), kcal/mol
    """

    temperature: float
    potential: NDArray[np.float64]
    kinetic: NDArray[np.float64]


def sample(subject: Subject, platform: str, settings: ValidateSettings, temperature: float, run: int = 0) -> Sample:
    """Langevin dynamics (LFMiddle) at one temperature, after an equilibration.

    Runs of other numbers have other velocities and noise.

    Raises
    ------
    BlowUpError
        An energy is not finite.
    openmm.OpenMMException
        The dynamics end.
    """
    integrator = openmm.LangevinMiddleIntegrator(temperature, settings.friction, 1e-3 * settings.timestep)
    seed = settings.seed + 1000 * run + 7
    integrator.setRandomNumberSeed(seed)
    context = subject.context(integrator, platform)
    context.setVelocitiesToTemperature(temperature, seed)
    integrator.step(_EQUILIBRATION)
    rows = []
    for _ in range(max(50, round(1e3 * settings.sample_ps / settings.timestep / _EVERY))):
        integrator.step(_EVERY)
        rows.append(energies(context))
        if not np.isfinite(rows[-1]).all():
            raise BlowUpError(f"dynamics at {temperature:.0f} K", settings.timestep)
    potential, kinetic = np.array(rows).T
    return Sample(temperature, potential, kinetic)


def kinetic_checks(subject: Subject, run: Sample, temperature: float, seed: int) -> list[Check]:
    """Mean and width of the kinetic energy against those of the canonical ensemble at `temperature` (K)."""
    validation = library()
    with _errors_named("the distribution of the kinetic energy"):
        found = validation.kinetic_energy.distribution(
            _data(validation, subject, run, temperature), strict=False, verbosity=0, bootstrap_seed=seed + 1
        )
    return [
        Check(f"kinetic energy, {noun}", float(value), _SIGMAS, "σ", "physical_validation, our choice")
        for noun, value in zip(("mean", "width"), found, strict=True)
    ]


def ensemble_check(subject: Subject, run: Sample, other: Sample) -> Check:
    """Ratio of the distributions of the potential energy at two temperatures against that of Boltzmann's factors."""
    validation = library()
    with _errors_named("the ratio of the ensembles"):
        found = validation.ensemble.check(
            _data(validation, subject, run, run.temperature),
            _data(validation, subject, other, other.temperature),
            verbosity=0,
        )
    return Check(
        f"ensembles at {run.temperature:.0f} and {other.temperature:.0f} K",
        float(max(np.atleast_1d(found), key=abs)),
        _SIGMAS,
        "σ",
        "physical_validation, our choice",
    )


def second_temperature(run: Sample) -> float:
    """The temperature of the second ensemble, K: two standard deviations of the potential energy away, or less.

    ΔT = 2kT²/σ(U) balances overlap and signal (Shirts, J. Chem. Theory Comput. 9, 909 (2013)).
    """
    interval = 2.0 * BOLTZMANN * run.temperature**2 / max(float(run.potential.std()), 1e-9)
    return run.temperature + min(interval, (_HOTTEST - 1.0) * run.temperature)


def timestep_length(settings: ValidateSettings) -> float:
    """Length of all runs of `timestep_check` at one time step, ps."""
    return min(settings.drift_ps, _LONGEST_TIMESTEP_PS)


def timestep_check(subject: Subject, platform: str, settings: ValidateSettings) -> Check:
    """Fluctuations of the total energy at the time step and at half of it, which should have the ratio 4.

    Several short runs from other velocities tell more than a long one. The two runs of a pair start alike and then
    part, and in a small molecule the fluctuations depend on the vibrations that hold the energy.
    """
    steps = (settings.timestep, 0.5 * settings.timestep)
    runs = constant_energy(subject, platform, settings, steps, timestep_length(settings) / settings.runs)
    totals = {step: total for step, (_, total) in zip(steps, runs, strict=True)}
    for step, total in totals.items():
        if not np.isfinite(total).all():
            raise BlowUpError("dynamics at constant energy", step)
    return convergence_check(totals)


def convergence_check(totals: Mapping[float, NDArray[np.float64]]) -> Check:
    """Deviation of the ratio of the fluctuations of total energies from that of the squared time steps.

    Parameters
    ----------
    totals : mapping
        Time step, fs → total energies (n_runs, n_frames), kcal/mol; run k has the same start at each time step. The
        error is that of the jackknife over the runs.
    """
    steps = sorted(totals)
    centred = {step: total - total.mean(axis=1, keepdims=True) for step, total in totals.items()}
    n_runs = len(centred[steps[0]])
    value = _deviation(centred)
    without = [
        _deviation({step: np.delete(total, run, axis=0) for step, total in centred.items()})
        for run in range(n_runs if n_runs > 1 else 0)
    ]
    return Check(
        f"fluctuations at {' and '.join(f'{step:g}' for step in steps)} fs",
        value,
        _CONVERGENCE,
        "1",
        "Δt² of a symplectic integrator, our choice",
        float(np.sqrt((n_runs - 1) * np.var(without))) if without else 0.0,
    )


def _deviation(centred: Mapping[float, NDArray[np.float64]]) -> float:
    validation = library()
    data = []
    for timestep, total in centred.items():
        observed = validation.data.ObservableData(constant_of_motion=KJ_PER_KCAL * total.ravel())
        data.append(validation.data.SimulationData(units=_units(validation), dt=1e-3 * timestep, observables=observed))
    with _errors_named("the convergence with the time step"):
        return float(validation.integrator.convergence(data, verbose=False))


def _data(validation: Any, subject: Subject, run: Sample, temperature: float) -> Any:
    """The run as physical_validation's data, in kJ/mol, with `temperature` (K) as the one that it should have."""
    system = subject.system
    massive = sum(system.getParticleMass(index)._value > 0.0 for index in range(system.getNumParticles()))
    return validation.data.SimulationData(
        units=_units(validation),
        ensemble=validation.data.EnsembleData("NVT", natoms=massive, volume=1.0, temperature=temperature),
        system=validation.data.SystemData(
            natoms=massive,
            nconstraints=3 * massive - degrees_of_freedom(system),
            ndof_reduction_tra=0,
            ndof_reduction_rot=0,
        ),
        observables=validation.data.ObservableData(
            kinetic_energy=KJ_PER_KCAL * run.kinetic, potential_energy=KJ_PER_KCAL * run.potential
        ),
    )


def _units(validation: Any) -> Any:
    return validation.data.UnitData(
        kb=BOLTZMANN * KJ_PER_KCAL,
        energy_str="kJ/mol",
        energy_conversion=1.0,
        length_str="nm",
        length_conversion=1.0,
        volume_str="nm^3",
        volume_conversion=1.0,
        temperature_str="K",
        temperature_conversion=1.0,
        pressure_str="bar",
        pressure_conversion=1.0,
        time_str="ps",
        time_conversion=1.0,
    )


def library() -> Any:
    """The package physical_validation.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        with quiet_pymbar():
            import physical_validation
    except ImportError as error:
        raise MissingDependencyError(
            "this check needs physical_validation, which is not installed",
            hint="pip install 'openmm-hybrid[validation]', or leave out the checks kinetic, timestep and ensemble",
        ) from error
    return physical_validation


@contextmanager
def _errors_named(what: str) -> Iterator[None]:
    """Name what cannot be tested when physical_validation ends in an error of its own."""
    from physical_validation.util import error as failures

    try:
        yield
    except (failures.PhysicalValidationError, RuntimeError, ValueError) as error:
        raise NumericalError(
            f"physical_validation cannot test {what} ({error})", hint="make the runs longer: sample_ps"
        ) from error
