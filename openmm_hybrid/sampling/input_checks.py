"""Checks of the arguments of `sample`, and their conversion to internal units."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit
from scipy.spatial import cKDTree

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import positions_to_angstrom, strip
from openmm_hybrid.sampling.exchange import neighbours
from openmm_hybrid.sampling.job import Job
from openmm_hybrid.sampling.structure import NEAREST

LONGEST_OUTER = 2.0
"""Outer timestep above which `sample` warns, fs; `benchmarks.hybrid_speed` measures the drift."""

_EWALD_SUMS = (openmm.NonbondedForce.Ewald, openmm.NonbondedForce.PME, openmm.NonbondedForce.LJPME)


def real(name: str, value: Any, *, above: float) -> float:
    """A finite number greater than `above`."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not (np.isfinite(found) and found > above):
        raise InputError(f"{name} is {value!r}", expected=f"a number greater than {above:g}")
    return found


def whole(name: str, value: Any, least: int) -> int:
    """A whole number, at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} is {value!r}", expected=f"a whole number, at least {least}")
    return int(value)


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """`value`, if it is one of the allowed words."""
    if value not in allowed:
        raise InputError(f"{name} is {value!r}", expected=f"one of {', '.join(allowed)}")
    return value


def whole_steps(n_steps: int | None, duration: Any, timestep: float, interval: int) -> int:
    """Steps to run: `n_steps` or `duration` / `timestep`, rounded down to whole intervals."""
    if (n_steps is None) == (duration is None):
        raise InputError("the length of the run is not clear", expected="either n_steps or duration (ps)")
    if n_steps is None:
        femtoseconds_each = 1.0 if hasattr(duration, "value_in_unit") else 1e3
        n_steps = round(real("duration", strip(duration, "time"), above=0.0) * femtoseconds_each / timestep)
    steps = whole("n_steps", n_steps, 1) // interval * interval
    if not steps:
        raise InputError(f"{n_steps} steps are fewer than the interval of {interval}", hint="run longer or store more")
    return steps


def check_thermostats(job: Job) -> None:
    """Refuse a barostat or thermostat in the system whose temperature is not that of the run."""
    for force in job.system.getForces():
        if not hasattr(force, "getDefaultTemperature"):
            continue
        name = type(force).__name__
        if job.ensemble == "nve":
            raise MismatchError(f"the system has a {name}, which changes the energy of an nve run", hint="remove it")
        fixed = force.getDefaultTemperature().value_in_unit(unit.kelvin)
        for temperature in dict.fromkeys(job.temperatures):
            if abs(fixed - temperature) > 1e-6 * temperature:
                raise MismatchError(
                    f"the {name} in the system is set to {fixed:g} K",
                    expected=f"the run's temperature of {temperature:g} K",
                    hint="set both to the same temperature",
                )


def checked_starts(system: openmm.System, topology: app.Topology, positions: Any) -> NDArray[np.float64]:
    """Positions as (n_starts, n_atoms, 3), Å, checked."""
    starts = positions_to_angstrom(positions)
    starts = starts[None] if starts.ndim == 2 else starts
    n_atoms = system.getNumParticles()
    if topology.getNumAtoms() != n_atoms:
        raise MismatchError(f"the topology has {topology.getNumAtoms()} atoms, the system {n_atoms}")
    if starts.ndim != 3 or starts.shape[1:] != (n_atoms, 3) or not len(starts):
        raise MismatchError(
            f"positions have shape {starts.shape}", expected=f"({n_atoms}, 3) or (n_starts, {n_atoms}, 3)"
        )
    massive = [i for i in range(n_atoms) if system.getParticleMass(i).value_in_unit(unit.dalton) > 0]
    for number, start in enumerate(starts):
        if not np.isfinite(start).all():
            raise InputError(f"start {number} has a position that is not finite")
        near = cKDTree(start[massive]).query_pairs(NEAREST, output_type="ndarray")
        if len(near):
            i, j = (massive[index] for index in near[0])
            gap = np.linalg.norm(start[i] - start[j])
            raise InputError(
                f"atoms {i} and {j} of start {number} overlap: they are {gap:.2g} Å apart",
                hint="positions without a unit are in Å; check the unit and the geometry",
            )
    return starts


def temperature_per_start(value: Any, n_starts: int) -> tuple[float, ...]:
    """Temperature of each start, K, from one number or one number per start."""
    plain = np.asarray(strip(value, "temperature"), dtype=object)
    if plain.ndim == 0:
        return (real("temperature", plain.item(), above=0.0),) * n_starts
    if plain.shape != (n_starts,):
        raise InputError(f"temperatures have shape {plain.shape}", expected=f"one number, or {n_starts}: one per start")
    return tuple(real("temperature", kelvin, above=0.0) for kelvin in plain.tolist())


def replicated_starts(starts: NDArray[np.float64], replicas: int) -> NDArray[np.float64]:
    """Starts for whole contexts of `replicas` each; a single start is repeated."""
    if len(starts) == 1:
        return np.repeat(starts, replicas, axis=0)
    if len(starts) % replicas:
        raise MismatchError(
            f"{len(starts)} starts cannot be divided among contexts of {replicas} replicas",
            expected="one start, or a multiple of the number of replicas",
        )
    return starts


def force_groups(respa: Sequence[Sequence[int]], system: openmm.System) -> tuple[tuple[int, int], ...]:
    """Checked pairs (force group, evaluations per step) of a run with multiple time steps."""
    if not respa:
        return ()
    pairs = tuple((whole("a force group of respa", g, 0), whole("the evaluations of respa", n, 1)) for g, n in respa)
    groups = [group for group, _ in pairs]
    used = _used_groups(system)
    if len(set(groups)) < len(groups) or set(groups) != used:
        raise MismatchError(
            f"respa names the force groups {sorted(groups)}",
            expected=f"each group of the System once: {sorted(used)}",
            hint="attach(force_group=…), setForceGroup and setReciprocalSpaceForceGroup set them",
        )
    steps = sorted(n for _, n in pairs)
    if any(large % small for small, large in pairwise(steps)):
        raise InputError(f"respa evaluates the groups {steps} times", expected="numbers that divide the larger ones")
    return pairs


def _used_groups(system: openmm.System) -> set[int]:
    """Force groups of all forces that act, with those of the reciprocal space of Ewald sums."""
    used = set()
    for force in system.getForces():
        if isinstance(force, openmm.CMMotionRemover) or hasattr(force, "getDefaultTemperature"):
            continue
        used.add(force.getForceGroup())
        if isinstance(force, openmm.NonbondedForce) and force.getNonbondedMethod() in _EWALD_SUMS:
            used.add(force.getReciprocalSpaceForceGroup())
    return used - {-1}  # −1: the reciprocal space is in the group of the force itself


def outer_steps(outer_timestep: Any, timestep: float, models: Sequence[object], respa: Sequence[Sequence[int]]) -> int:
    """Timesteps (fs) in an outer timestep: evaluations of the system's forces for each one of the models.

    Raises
    ------
    InputError
        The outer timestep is not a whole multiple of the timestep, there is no model, or `respa` is given too.

    Warns
    -----
    UserWarning
        The outer timestep is above `LONGEST_OUTER`.
    """
    if outer_timestep is None:
        return 1
    outer = real("outer_timestep", strip(outer_timestep, "time"), above=0.0)
    steps = round(outer / timestep)
    if steps < 1 or abs(outer - steps * timestep) > 1e-6 * timestep:
        raise InputError(
            f"the outer timestep is {outer:g} fs",
            expected=f"a whole multiple of the timestep of {timestep:g} fs, such as {max(2, steps) * timestep:g}",
            hint="a number without a unit is in fs",
        )
    if not models:
        raise InputError(
            "outer_timestep was given without models",
            expected="models=[…], whose forces act once per outer timestep",
            hint="for forces that are in the System already, give their force groups in respa",
        )
    if respa:
        raise InputError("outer_timestep and respa were both given", expected="one of them: outer_timestep sets respa")
    if steps > 1 and outer > LONGEST_OUTER:
        warnings.warn(
            f"the outer timestep is {outer:g} fs: above {LONGEST_OUTER:g} fs the impulses of the models resonate with "
            "flexible bonds, and the energy drifts (docs/sampling.md, Multiple time steps); check a run with "
            'ensemble="nve", or use 2 fs.',
            stacklevel=3,
        )
    return steps


def check_combination(job: Job) -> None:
    """Refuse settings that exclude each other."""
    if job.replicas > 1 and job.ensemble == "nve":
        raise MismatchError("replicas cannot run at constant energy", expected='ensemble="nvt", or replicas=1')
    if job.exchange is not None:
        _check_ladders(job)


def _check_ladders(job: Job) -> None:
    lower = neighbours(np.array(job.temperatures))
    if job.replicas == 1 or not len(lower):
        raise MismatchError(
            f"exchange was asked for, with {job.replicas} replicas and no start warmer than the one before it"
            if not len(lower)
            else "exchange was asked for, and the starts run one after another",
            expected="replicas, and temperatures such as 300, 390, 500, 300, 390, 500: two ladders",
        )
    cut = lower[(lower + 1) % job.replicas == 0]
    if len(cut):
        raise MismatchError(
            f"a ladder of temperatures is split: starts {cut[0]} and {cut[0] + 1} are in different contexts",
            expected=f"whole ladders in every {job.replicas} starts",
        )
