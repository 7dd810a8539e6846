"""All checks of a System."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import openmm

from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.core.units import positions_to_angstrom
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.sampling.box import check_box
from openmm_hybrid.sampling.minimize import minimize_context
from openmm_hybrid.sampling.platform import choose_platform, usable_platforms
from openmm_hybrid.validation import physical
from openmm_hybrid.validation.context import BlowUpError, Subject, energies, positions_of
from openmm_hybrid.validation.derivatives import force_check, parameter_checks
from openmm_hybrid.validation.drift import drift_check
from openmm_hybrid.validation.platforms import platform_checks
from openmm_hybrid.validation.result import Check, Validation
from openmm_hybrid.validation.settings import ValidateSettings

_WARM = 500  # steps from the minimum to the geometry of the checks
_TRIAL, _LONG = 4, 10.0  # steps that tell how long a run takes, and min of runs that are worth a warning


def validate(
    system: openmm.System,
    positions: Any,
    *,
    model: ForceField | None = None,
    settings: ValidateSettings | None = None,
    progress: bool = True,
) -> Validation:
    """Check a System and its dynamics.

    - platforms: forces of each platform against Reference, for each force of the System alone.
    - derivatives: forces against finite differences of the energy, and derivatives of a force field by its parameters.
    - drift: the total energy at constant energy on each platform, over several runs.
    - kinetic, timestep, ensemble: the distribution of the kinetic energy, the fluctuations of the total energy at two
      time steps, and the potential energies at two temperatures, by the package physical_validation.

    The checks act on a copy without thermostats, barostats and motion removal, from a geometry at the temperature.
    docs/validation.md describes the limits and their sources.

    Parameters
    ----------
    system : openmm.System
    positions : (n_particles, 3), Å, or Quantity
    model : ForceField, optional
        Force field whose derivatives by its parameters are checked, at the positions of the first particles.
    settings : ValidateSettings, optional
    progress : bool
        Show a progress bar.

    Returns
    -------
    Validation

    Raises
    ------
    InputError
        There is no such platform, the energy is not finite, or the box is too small for the cutoff.
    MismatchError
        The number of positions is not the number of particles, or the model has more atoms.
    MissingDependencyError
        physical_validation is not installed.
    NumericalError
        The positions cannot be relaxed, or the dynamics blow up before the first check.

    Warns
    -----
    UserWarning
        The dynamics on the Reference platform will take longer than ten minutes.
    """
    chosen = settings or ValidateSettings()
    start = positions_to_angstrom(positions)
    if start.shape != (system.getNumParticles(), 3):
        raise MismatchError(f"positions have shape {start.shape}", expected=f"({system.getNumParticles()}, 3)")
    if model is not None and model.n_atoms > len(start):
        raise MismatchError(f"the force field has {model.n_atoms} atoms, the System {len(start)} particles")
    check_box(system)
    subject = Subject.of(system, start)
    platforms = _platforms(subject.system, chosen.platforms)
    if {"kinetic", "timestep", "ensemble"} & set(chosen.checks):
        physical.library()  # before runs that take long
    fastest = choose_platform(subject.system, "auto" if not chosen.platforms else platforms[-1])[0].getName()
    subject = _at_temperature(subject, fastest, chosen)
    _warn_of_long_runs(subject, platforms, chosen)
    checks: list[Check] = []
    steps = list(_steps(subject, model, platforms, fastest, chosen))
    notes = [f"{kind} of the System was left out." for kind in subject.left_out]
    with progress_bar(len(steps), "validating", "checks", enabled=progress) as advance:
        for step in steps:
            found, missing = _made(step)
            checks += found
            notes += missing
            advance(1)
    return Validation(tuple(checks), {**chosen.as_dict(), "platforms": list(platforms)}, tuple(notes))


def _made(step: Callable[[], list[Check]]) -> tuple[list[Check], list[str]]:
    """The checks of a step, and the reason why one could not be made. Dynamics that end are a failed check."""
    try:
        return step(), []
    except BlowUpError as error:
        return [_ended(str(error).rstrip("."))], []
    except NumericalError as error:
        return [], [str(error)]
    except openmm.OpenMMException as error:
        return [_ended(f"dynamics ({error})")], []


def _ended(name: str) -> Check:
    return Check(name, float("nan"), 0.0, "1", "an energy that stays finite")


def _platforms(system: openmm.System, wanted: tuple[str, ...]) -> tuple[str, ...]:
    usable = usable_platforms(system, wanted)
    missing = [name for name in wanted if name not in usable]
    if missing:
        raise InputError(
            f"the platform {missing[0]!r} cannot run this System here", expected=f"some of {', '.join(usable)}"
        )
    return wanted or usable


def _at_temperature(subject: Subject, platform: str, settings: ValidateSettings) -> Subject:
    """The System at a relaxed geometry that thermal motion has distorted.

    Raises
    ------
    NumericalError
        The motion does not end at finite positions with a finite energy.
    """
    integrator = openmm.LangevinMiddleIntegrator(settings.temperature, 10.0, 1e-3 * settings.timestep)
    integrator.setRandomNumberSeed(settings.seed + 1)
    context = subject.context(integrator, platform)
    minimize_context(context, max_iterations=200)
    context.setVelocitiesToTemperature(settings.temperature, settings.seed + 1)
    try:
        integrator.step(_WARM)
        found, sums = positions_of(context), energies(context)
    except openmm.OpenMMException as error:
        raise BlowUpError(f"the dynamics to the geometry of the checks ({error})", settings.timestep) from error
    if not (np.isfinite(found).all() and np.isfinite(sums).all()):
        raise BlowUpError("the dynamics to the geometry of the checks", settings.timestep)
    return subject.at(found)


def _warn_of_long_runs(subject: Subject, platforms: tuple[str, ...], settings: ValidateSettings) -> None:
    """Tell how long the dynamics on the Reference platform will take, if they take long."""
    lengths = {
        "drift": settings.runs * settings.drift_ps if "Reference" in platforms else 0.0,
        "timestep": 3.0 * physical.timestep_length(settings),  # one run at the time step, one at half of it
    }
    picoseconds = {name: length for name, length in lengths.items() if length and name in settings.checks}
    if not picoseconds:
        return
    integrator = openmm.VerletIntegrator(1e-3 * settings.timestep)
    context = subject.context(integrator, "Reference")
    integrator.step(_TRIAL)  # torch compiles its modules in the first steps
    began = time.perf_counter()
    integrator.step(_TRIAL)
    per_picosecond = (time.perf_counter() - began) / _TRIAL * 1e3 / settings.timestep
    del context  # the integrator works for as long as its context is there
    minutes = {name: per_picosecond * length / 60.0 for name, length in picoseconds.items()}
    if sum(minutes.values()) > _LONG:
        times = " and ".join(f"{name} {value:.0f} min" for name, value in minutes.items())
        warnings.warn(
            f"dynamics of {len(subject.positions)} particles on the Reference platform will take: {times}; --drift-ps "
            "shortens them, --check chooses other checks, and --platform another platform for drift",
            stacklevel=3,
        )


def _steps(
    subject: Subject, model: ForceField | None, platforms: tuple[str, ...], fastest: str, settings: ValidateSettings
) -> Iterator[Callable[[], list[Check]]]:
    """The checks that the settings name, each as a function without arguments."""
    wanted = settings.checks
    if "platforms" in wanted:
        yield lambda: platform_checks(subject, platforms)
    if "derivatives" in wanted:
        yield lambda: [force_check(subject, settings.n_atoms, settings.seed)]
        if model is not None:
            yield lambda: parameter_checks(model, subject.positions[: model.n_atoms])
    if "drift" in wanted:
        for platform in platforms:
            yield lambda platform=platform: [drift_check(subject, platform, settings)]  # type: ignore[misc]
    if "timestep" in wanted:
        yield lambda: [physical.timestep_check(subject, "Reference", settings)]
    if {"kinetic", "ensemble"} & set(wanted):
        yield from _sampled(subject, fastest, settings)


def _sampled(subject: Subject, platform: str, settings: ValidateSettings) -> Iterator[Callable[[], list[Check]]]:
    """A run at constant temperature, and the checks of it; without the run there is nothing to check."""
    runs: list[physical.Sample] = []

    def run() -> list[Check]:
        runs.append(physical.sample(subject, platform, settings, settings.temperature))
        return []

    def kinetic() -> list[Check]:
        return physical.kinetic_checks(subject, runs[0], settings.temperature, settings.seed) if runs else []

    def ensemble() -> list[Check]:
        if not runs:
            return []
        other = physical.sample(subject, platform, settings, physical.second_temperature(runs[0]), 1)
        return [physical.ensemble_check(subject, runs[0], other)]

    yield run
    if "kinetic" in settings.checks:
        yield kinetic
    if "ensemble" in settings.checks:
        yield ensemble
