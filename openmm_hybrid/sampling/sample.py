"""`sample`: molecular dynamics from one or several starts, stored in a folder and resumable after any interruption."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike, NDArray
from openmm import app, unit

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded, replacing
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.system import net_charge
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.sampling.box import check_box
from openmm_hybrid.sampling.input_checks import (
    check_combination,
    check_thermostats,
    checked_starts,
    force_groups,
    one_of,
    outer_steps,
    real,
    replicated_starts,
    whole,
    whole_steps,
)
from openmm_hybrid.sampling.job import Job, settings_of
from openmm_hybrid.sampling.minimize import ABSURD, check_forces, periodic_box, potential_energy, set_positions
from openmm_hybrid.sampling.platform import measured_platform, one_torch_thread, platform_of
from openmm_hybrid.sampling.plausible import (
    check_timestep,
    duration_ps,
    friction_rate,
    temperatures_kelvin,
    timestep_fs,
)
from openmm_hybrid.sampling.reporters import StartFiles
from openmm_hybrid.sampling.restart import check_same_run, read_progress
from openmm_hybrid.sampling.run import Batch, run_batch
from openmm_hybrid.sampling.sample_result import SampleResult
from openmm_hybrid.sampling.structure import Structure
from openmm_hybrid.systems.attach import attach
from openmm_hybrid.systems.replicas import replicate, with_motion_removal_at_each_step, without_motion_removal
from openmm_hybrid.systems.system_files import Attachment


def sample(
    system: openmm.System,
    topology: app.Topology,
    positions: Any,
    *,
    # Forces
    models: Sequence[EnergyModel | Correction | Attachment] = (),
    parameters: Mapping[str, float] | None = None,
    # Length and ensemble
    n_steps: int | None = None,
    duration: Any = None,
    temperature: Any = 500.0,
    ensemble: str = "nvt",
    minimize: bool = True,
    equilibration: int = 2000,
    # Integrator
    timestep: Any = 0.5,
    outer_timestep: Any = None,
    friction: Any = 1.0,
    respa: Sequence[Sequence[int]] = (),
    seed: int = 0,
    # Replicas and parallel tempering
    replicas: int = 1,
    exchange: int | None = None,
    # Output
    output: str | Path,
    interval: int = 200,
    format: str = "dcd",
    checkpoint_interval: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
    # Hardware
    platform: str = "auto",
) -> SampleResult:
    """Run molecular dynamics and store frames and energies; the same call again resumes an interrupted run.

    Each start is minimised, gets velocities at its temperature, is equilibrated, and then runs for `n_steps`. A frame
    is stored after every `interval` steps. An interrupted run resumes from its last checkpoint, without a gap and
    without duplicate frames. On the Reference platform, frames and log then equal those of an uninterrupted run bit for
    bit, including the noise of the thermostat. A finished run returns at once; a larger `n_steps` extends it.

    With a barostat in the system, which must have the temperature of the run, "nvt" is a run at constant pressure.
    OpenMM does not save the step size that a barostat has adapted.

    Only `output` and a length (`n_steps` or `duration`) are required. The parameters come in groups: forces, length and
    ensemble, integrator, replicas and parallel tempering, output, hardware.

    Parameters
    ----------
    system : openmm.System
    topology : openmm.app.Topology
    positions : (n_atoms, 3) or (n_starts, n_atoms, 3), Å, or a Quantity
        Several starts run independently, one after another, or side by side as replicas.
    models : sequence of EnergyModel, Correction or Attachment
        Models whose forces are added to those of the system for this run; the system itself is not changed. A model
        acts on all atoms in their order; ``oh.Attachment(model, atoms=…)`` names its atoms, as `attach` does.
    parameters : mapping of str to float, optional
        Values of global parameters of the forces, such as {"lambda": 0.5}; the others keep their defaults.
    n_steps : int
        Steps of each start, rounded down to a multiple of `interval`. Give this or `duration`.
    duration : float
        Time of each start, ps.
    temperature : float, or (n_starts,), K
    ensemble : {"nvt", "nve"}
        "nvt": Langevin dynamics, LFMiddle (Zhang et al., J. Phys. Chem. A 123, 6056 (2019)). "nve": Verlet, for
        starts that run one after another.
    minimize : bool
        Minimise the energy of each start first.
    equilibration : int
        Steps before the first stored interval; they always use the thermostat.
    timestep : float, fs
    outer_timestep : float, fs, optional
        Multiple time steps for `models`: their forces act once per `outer_timestep`, a whole multiple of `timestep`,
        and the forces of the system once per `timestep` (see `respa`). A step is then an outer one: `n_steps`,
        `interval`, `equilibration`, `exchange` and `checkpoint_interval` count these. All replicas and temperatures
        are supported.
    friction : float, 1/ps
    respa : sequence of (force group, evaluations per step)
        Multiple time steps: with [(0, 4), (1, 1)] the forces of group 0 act four times per step, those of group 1
        once (r-RESPA: Tuckerman, Berne and Martyna, J. Chem. Phys. 97, 1990 (1992)). Every force group must be listed.
    seed : int
        Seed of velocities and noise; on the Reference platform the same seed gives the same run.
    replicas : int
        Number of starts that one context steps together, as copies that do not interact: one evaluation of each model
        then serves all copies, see `replicate`. A single start is repeated; each copy has its own velocities and noise.
        The system must be one molecule in vacuum, without attached torch forces (use `models`).
    exchange : int, optional
        Steps between attempts to exchange temperatures: parallel tempering, also known as temperature replica exchange
        (see `openmm_hybrid.sampling.exchange`). Neighbouring replicas with rising temperatures form a ladder: 300, 390,
        500, 300, 390, 500 are two ladders. Configurations move between files, temperatures do not: all frames of start
        3 are at 300 K. `SampleResult.at` selects a temperature.
    output : path
        Folder of the run: ``trajectory_0.dcd``, ``log_0.csv``, ``checkpoint_0.zip`` for start 0 and so on,
        ``settings.json``, ``topology.pdb``.
    interval : int
        Steps between frames.
    format : {"dcd", "xtc"}
        "dcd" stores float32 Å; "xtc" is smaller and rounds to 0.01 Å, which is too coarse for labelling. Molecules are
        stored unwrapped.
    checkpoint_interval : int, optional
        Steps between checkpoints; by default there is one about every 15 s.
    overwrite : bool
        Remove a run that is already in `output`.
    progress : bool
        Show a progress bar (plain lines if the output is not a terminal).
    platform : str
        "auto" or the name of a platform; see `choose_platform`. A run that is resumed with "auto" stays on its
        platform, which is recorded in ``settings.json``.

    Raises
    ------
    InputError
        An argument is out of range or likely to be in another unit, the periodic box is too small for the cutoff, the
        timestep is too long for a bond, atoms overlap, or an energy or force of a start is not finite. Nothing has been
        written.
    MismatchError
        System, topology and positions do not match; a barostat or thermostat in the system has another temperature, or
        the ensemble is "nve"; ladders for `exchange` are missing or split; or the folder holds a run with other
        settings.
    NumericalError
        The simulation blew up; the message names the step and, where the geometry shows it, the cause: fused atoms, a
        broken bond, a shrunk box. All good frames are kept.
    HybridError
        A file cannot be written; the last checkpoint is intact.
    KeyboardInterrupt
        Ctrl-C was pressed; a checkpoint has been written.

    Warns
    -----
    UserWarning
        A number without a unit is likely to be in another unit, the timestep is long for a bond, the outer timestep is
        above 2 fs, or a barostat may shrink the box below twice the cutoff.
    """
    steps = outer_steps(outer_timestep, inner := timestep_fs(timestep), models, respa)
    fs = steps * inner
    replicas = whole("replicas", replicas, 1)
    starts = replicated_starts(checked_starts(system, topology, positions), replicas)
    ensemble = one_of("ensemble", ensemble, ("nvt", "nve"))
    suffix = one_of("format", format, ("dcd", "xtc"))
    folder = expanded(output)
    n_steps = whole_steps(n_steps, duration_ps(duration), fs, whole("interval", interval, 1))
    settling = whole("equilibration", equilibration, 0)
    check_box(system, run=True)
    alone, stepped = _systems(system, topology, models, replicas, outside=steps > 1)
    groups = ((0, steps), (1, 1)) if steps > 1 else force_groups(respa, stepped)
    if groups and replicas == 1:
        alone = stepped = with_motion_removal_at_each_step(stepped)
    job = Job(
        system=alone,
        stepped=stepped,
        topology=topology,
        temperatures=temperatures_kelvin(temperature, len(starts)),
        timestep=fs,
        friction=friction_rate(friction),
        n_steps=n_steps,
        interval=interval,
        equilibration=settling,
        ensemble=ensemble,
        minimize=minimize,
        seed=whole("seed", seed, 0),
        checkpoint_interval=None
        if checkpoint_interval is None
        else whole("checkpoint_interval", checkpoint_interval, 1),
        choice=measured_platform(
            stepped,
            platform_of(folder, platform, overwrite=overwrite),
            starts[:replicas].reshape(-1, 3),
            (settling + n_steps) * len(starts) // replicas,
        ),
        replicas=replicas,
        exchange=None if exchange is None else whole("exchange", exchange, 1),
        free=replicas > 1 and any(isinstance(force, openmm.CMMotionRemover) for force in system.getForces()),
        respa=groups,
        outer_steps=steps,
        parameters={name: real(name, value, above=-np.inf) for name, value in (parameters or {}).items()},
    )
    check_thermostats(job)
    check_combination(job)
    check_timestep(job.system, Structure.of(job.system, topology), *job.bond_timestep)
    energies = _start_energies(job, starts)
    batches = _batches(job, starts, energies, folder, suffix)
    with lock_folder(folder):
        settings = {"format": suffix, "net_charge": net_charge(system), **settings_of(job, starts, energies)}
        check_same_run(folder, settings, overwrite=overwrite)
        _write_topology(folder, topology, starts[0])
        total = len(starts) * (job.equilibration + job.n_steps)
        done = sum(_steps_done(job, batch) for batch in batches)
        if done < total:
            what = f"sampling {len(starts)} × {1e-3 * fs * job.n_steps:g} ps"
            with (
                one_torch_thread(job.platform[0], replicas),
                progress_bar(total, what, "steps", done=done, enabled=progress) as advance,
            ):
                for batch in batches:
                    run_batch(job, batch, advance)
    return SampleResult.open(folder)


def _systems(
    system: openmm.System,
    topology: app.Topology,
    models: Sequence[EnergyModel | Correction | Attachment],
    replicas: int,
    *,
    outside: bool,
) -> tuple[openmm.System, openmm.System]:
    """Systems of one start and of all replicas, both with the models; the user's System is not changed.

    The models are in force group 1 and all other forces in group 0 if the models are `outside`.
    """
    if replicas == 1 and not models:
        return system, system
    attachments = _attachments(models)
    if replicas == 1:
        alone = stepped = copy.deepcopy(system)
    else:
        stepped, many = replicate(system, topology, replicas)
        alone = without_motion_removal(system)
    if outside:
        for force in [*alone.getForces(), *stepped.getForces()]:
            force.setForceGroup(0)
            if isinstance(force, openmm.NonbondedForce):
                force.setReciprocalSpaceForceGroup(-1)
        if any(attachment.force_group for attachment in attachments):
            raise InputError(
                "outer_timestep was given with a force group", expected="the default force group of models"
            )
        attachments = [with_changes(attachment, force_group=1) for attachment in attachments]
    for attachment in attachments:
        if replicas > 1:
            _attach(stepped, many, with_changes(attachment, atoms=_copied(attachment.atoms, system, replicas)))
        _attach(alone, topology, attachment)
    return alone, stepped


def _attachments(models: Sequence[EnergyModel | Correction | Attachment]) -> list[Attachment]:
    """The models as attachments; those without arguments of their own become one, which is evaluated at once."""
    found, parts = [], []
    for model in models:
        if isinstance(model, Attachment):
            found.append(model)
        else:
            parts.append(model.in_molecule() if isinstance(model, Correction) else model)
    return found if not parts else [Attachment(parts[0] if len(parts) == 1 else Sum(parts)), *found]


def _attach(system: openmm.System, topology: app.Topology, made: Attachment) -> None:
    attach(
        system,
        topology,
        made.model,
        atoms=made.atoms,
        backend=made.backend,
        force_group=made.force_group,
        scale=made.scale,
        dtype=made.dtype,
    )


def _copied(atoms: ArrayLike | None, system: openmm.System, replicas: int) -> NDArray[np.int64]:
    """Particles of a model in all replicas, (n_copies, n_atoms)."""
    n_particles = system.getNumParticles()
    first = np.atleast_2d(np.arange(n_particles) if atoms is None else np.asarray(atoms))
    return np.concatenate([first + n_particles * copy for copy in range(replicas)])


def _batches(job: Job, starts: NDArray[np.float64], energies: list[float], folder: Path, suffix: str) -> list[Batch]:
    """The starts, grouped by the context that steps them."""
    return [
        Batch(
            files=tuple(
                StartFiles(folder, index, suffix, job.replicas) for index in range(first, first + job.replicas)
            ),
            starts=starts[first : first + job.replicas],
            energies=np.array(energies[first : first + job.replicas]),
            temperatures=np.array(job.temperatures[first : first + job.replicas]),
        )
        for first in range(0, len(starts), job.replicas)
    ]


def _start_energies(job: Job, starts: NDArray[np.float64]) -> list[float]:
    """Potential energy of each start, kcal/mol; it must be below `ABSURD` per atom if not minimised.

    Energy and forces must be finite, and no atoms may overlap, across the faces of a periodic box either.
    """
    try:
        context = job.alone
    except openmm.OpenMMException as error:
        raise InputError(
            f"the platform {job.platform[0].getName()} cannot run the system: {error}",
            hint="choose another platform; if a force comes from a plugin, load the plugin before making the system",
        ) from error
    known = tuple(context.getParameters())
    for name, value in job.parameters.items():
        if name not in known:
            raise InputError(
                f"no force of the system has a global parameter {name!r}",
                expected=f"one of {', '.join(known) or 'none'}",
            )
        context.setParameter(name, value)
    energies, structure = [], Structure.of(job.system, job.topology)
    for number, start in enumerate(starts):
        set_positions(context, start)
        state = check_forces(context, structure, f"start {number}: ")
        energy, pair = potential_energy(state), structure.fused(start, periodic_box(job.system, state))
        if pair is not None:
            raise InputError(
                f"start {number}: {structure.fused_text(pair)[0]}", hint="check the geometry and the periodic box"
            )
        if energy > ABSURD * len(start) and not job.minimize:
            raise InputError(
                f"the energy of start {number} is {energy:.3g} kcal/mol",
                hint="check the geometry, the parameters and the box, or minimise first",
            )
        energies.append(energy)
    return energies


def _write_topology(folder: Path, topology: app.Topology, start: NDArray[np.float64]) -> None:
    path = folder / "topology.pdb"
    if not path.is_file():
        with replacing(path) as temporary, temporary.open("w") as file:
            app.PDBFile.writeFile(topology, start * unit.angstrom, file, keepIds=True)


def _steps_done(job: Job, batch: Batch) -> int:
    """Steps of a batch up to its checkpoint, summed over the starts."""
    progress = read_progress(batch.files[0].checkpoint)
    return 0 if progress is None else len(batch.files) * (job.equilibration + min(progress.step, job.n_steps))
