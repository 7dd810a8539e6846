"""Sampling: molecular dynamics from one or several starts, stored, and able to go on after any stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit
from scipy.spatial import cKDTree

from openmm_hybrid.errors import InputError, MismatchError
from openmm_hybrid.files import replacing
from openmm_hybrid.progress import progress as show_progress
from openmm_hybrid.simulation.job import Job, settings_of
from openmm_hybrid.simulation.minimize import place, potential_energy
from openmm_hybrid.simulation.platform import choose_platform
from openmm_hybrid.simulation.reporters import StartFiles
from openmm_hybrid.simulation.restart import agree, claimed, read_progress
from openmm_hybrid.simulation.result import SampleResult
from openmm_hybrid.simulation.run import ABSURD, run_start
from openmm_hybrid.units import positions_to_angstrom, strip

NEAREST = 0.5
"""Å; atoms of a start that are nearer than this overlap (the shortest bond, H-H, has 0.74 Å)."""


def sample(
    system: openmm.System,
    topology: app.Topology,
    positions: Any,
    *,
    output: str | Path,
    n_steps: int | None = None,
    duration: Any = None,
    temperature: Any = 500.0,
    timestep: Any = 0.5,
    friction: Any = 1.0,
    interval: int = 200,
    equilibration: int = 2000,
    ensemble: str = "nvt",
    minimize: bool = True,
    seed: int = 0,
    format: str = "dcd",
    platform: str = "auto",
    checkpoint_interval: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> SampleResult:
    """Run molecular dynamics and store frames and energies; called again with the same settings, it goes on.

    Each start is minimised (unless told otherwise), given velocities of the temperature, equilibrated, and run for
    `n_steps`; a frame is stored after every `interval` steps. A run that was killed goes on from its last checkpoint
    without a gap or a duplicate frame; on the Reference platform every bit of the frames and the log is that of an
    uninterrupted run, the thermostat's noise included. A finished run is returned at once; with a larger `n_steps` it
    is continued. A barostat in the system, which must have the run's temperature, makes "nvt" a constant-pressure run;
    OpenMM does not save its adapted step.

    Parameters
    ----------
    system : openmm.System
    topology : openmm.app.Topology
    positions : (n_atoms, 3) or (n_starts, n_atoms, 3), Å, or a Quantity
        Several starts run one after another, independently.
    output : path
        Folder of the run: ``trajectory_0.dcd``, ``log_0.csv``, ``checkpoint_0.zip`` for start 0 and so on,
        ``settings.json``, ``topology.pdb``.
    n_steps : int
        Steps of each start. Steps after the last whole `interval` are left out. Give this or `duration`.
    duration : float
        Time of each start, ps.
    temperature : float, K
    timestep : float, fs
    friction : float, 1/ps
    interval : int
        Steps between frames.
    equilibration : int
        Steps before the first stored interval, always with the thermostat.
    ensemble : {"nvt", "nve"}
        "nvt": Langevin dynamics, LFMiddle (Zhang et al., J. Phys. Chem. A 123, 6056 (2019)). "nve": Verlet.
    minimize : bool
    seed : int
        Of velocities and noise; the same seed gives the same run on the Reference platform.
    format : {"dcd", "xtc"}
        "dcd" holds float32 Å; "xtc" is smaller and rounds to 0.01 Å, too coarse for labelling. Molecules are stored
        unwrapped.
    platform : str
        "auto" or a name; see `choose_platform`.
    checkpoint_interval : int, optional
        Steps between checkpoints; without it there is one about every 15 s.
    overwrite : bool
        Remove the run that is in `output` first.
    progress : bool
        Show a progress bar (plain lines where there is no terminal).

    Raises
    ------
    InputError
        An argument is out of range, atoms overlap, or a start's energy is not finite. Nothing has been written.
    MismatchError
        System, topology and positions do not belong together, a barostat or thermostat in the system has another
        temperature or meets "nve", or the folder holds a run with other settings.
    NumericalError
        The simulation blew up; the message names the step, and all good frames stay.
    HybridError
        A file cannot be written; the last checkpoint is intact.
    KeyboardInterrupt
        Ctrl-C, after a checkpoint.
    """
    fs = _number("timestep", strip(timestep, "time"), above=0.0)
    job = Job(
        system=system,
        topology=topology,
        temperature=_number("temperature", strip(temperature, "temperature"), above=0.0),
        timestep=fs,
        friction=_number("friction", strip(friction, "rate"), above=0.0),
        n_steps=_whole_steps(n_steps, duration, fs, _count("interval", interval, 1)),
        interval=interval,
        equilibration=_count("equilibration", equilibration, 0),
        ensemble=_one_of("ensemble", ensemble, ("nvt", "nve")),
        minimize=minimize,
        seed=_count("seed", seed, 0),
        checkpoint_interval=None
        if checkpoint_interval is None
        else _count("checkpoint_interval", checkpoint_interval, 1),
        platform=choose_platform(system, platform),
    )
    _check_thermostats(job)
    suffix = _one_of("format", format, ("dcd", "xtc"))
    starts = _starts(system, topology, positions)
    energies = _start_energies(job, starts)
    folder = Path(output)
    all_files = [StartFiles(folder, index, suffix) for index in range(len(starts))]
    with claimed(folder):
        agree(folder, {"format": suffix, **settings_of(job, starts, energies)}, overwrite=overwrite)
        _write_topology(folder, topology, starts[0])
        total = len(starts) * (job.equilibration + job.n_steps)
        done = sum(_steps_done(job, files) for files in all_files)
        if done < total:
            what = f"sampling {len(starts)} × {1e-3 * fs * job.n_steps:g} ps"
            with show_progress(total, what, "steps", done=done, show=progress) as advance:
                for files, start, energy in zip(all_files, starts, energies, strict=True):
                    run_start(job, files, start, energy, advance)
    return SampleResult.open(folder)


def _number(name: str, value: Any, *, above: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not (np.isfinite(number) and number > above):
        raise InputError(f"{name} is {value!r}", expected=f"a number greater than {above:g}")
    return number


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} is {value!r}", expected=f"a whole number, at least {least}")
    return int(value)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise InputError(f"{name} is {value!r}", expected=f"one of {', '.join(allowed)}")
    return value


def _whole_steps(n_steps: int | None, duration: Any, timestep: float, interval: int) -> int:
    """Steps to run: n_steps, or duration over timestep, down to whole intervals."""
    if (n_steps is None) == (duration is None):
        raise InputError("the length of the run is not clear", expected="either n_steps or duration (ps)")
    if n_steps is None:
        femtoseconds_each = 1.0 if hasattr(duration, "value_in_unit") else 1e3
        n_steps = round(_number("duration", strip(duration, "time"), above=0.0) * femtoseconds_each / timestep)
    steps = _count("n_steps", n_steps, 1) // interval * interval
    if not steps:
        raise InputError(f"{n_steps} steps are fewer than the interval of {interval}", mend="run longer or store more")
    return steps


def _check_thermostats(job: Job) -> None:
    """Barostats and thermostats in the system have a temperature of their own, which must be the run's."""
    for force in job.system.getForces():
        if not hasattr(force, "getDefaultTemperature"):
            continue
        name = type(force).__name__
        if job.ensemble == "nve":
            raise MismatchError(f"the system has a {name}, which changes the energy of an nve run", mend="remove it")
        own = force.getDefaultTemperature().value_in_unit(unit.kelvin)
        if abs(own - job.temperature) > 1e-6 * job.temperature:
            raise MismatchError(
                f"the {name} in the system is set to {own:g} K",
                expected=f"the run's temperature of {job.temperature:g} K",
                mend="change one of them",
            )


def _starts(system: openmm.System, topology: app.Topology, positions: Any) -> NDArray[np.float64]:
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
                mend="positions are taken in Å unless they carry a unit; check it, and the geometry",
            )
    return starts


def _start_energies(job: Job, starts: NDArray[np.float64]) -> list[float]:
    """Potential energy of each start, kcal/mol; it must be finite, and not absurd where nothing is minimised."""
    try:
        context = openmm.Context(job.system, openmm.VerletIntegrator(0.001), *job.platform)
    except openmm.OpenMMException as error:
        raise InputError(
            f"the platform {job.platform[0].getName()} does not take the system: {error}",
            mend="choose another platform; for forces of a plugin, load the plugin before openmm makes the system",
        ) from error
    energies = []
    for number, start in enumerate(starts):
        place(context, start)
        energy = potential_energy(context.getState(energy=True))
        if not np.isfinite(energy) or (energy > ABSURD * len(start) and not job.minimize):
            raise InputError(
                f"the energy of start {number} is {energy:.3g} kcal/mol",
                mend="check the geometry, the parameters and the box, or minimise",
            )
        energies.append(energy)
    return energies


def _write_topology(folder: Path, topology: app.Topology, start: NDArray[np.float64]) -> None:
    path = folder / "topology.pdb"
    if not path.is_file():
        with replacing(path) as temporary, temporary.open("w") as file:
            app.PDBFile.writeFile(topology, start * unit.angstrom, file, keepIds=True)


def _steps_done(job: Job, files: StartFiles) -> int:
    progress = read_progress(files.checkpoint)
    return 0 if progress is None else job.equilibration + min(progress.step, job.n_steps)
