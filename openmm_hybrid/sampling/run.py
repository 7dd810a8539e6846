"""The run of one start, or of the replicas in one context: prepare, step, store frames, save checkpoints, stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_hybrid.core.errors import HybridError, NumericalError
from openmm_hybrid.core.files import replacing
from openmm_hybrid.core.units import ANGSTROM_PER_NM
from openmm_hybrid.sampling.blow_up import Cause, find_cause, timestep_hint
from openmm_hybrid.sampling.box import shrunk
from openmm_hybrid.sampling.exchange import Exchange
from openmm_hybrid.sampling.integrators import (
    RunIntegrator,
    draw_velocities,
    langevin,
    langevin_per_particle,
)
from openmm_hybrid.sampling.job import Job
from openmm_hybrid.sampling.minimize import ABSURD, minimize_context, set_positions
from openmm_hybrid.sampling.reporters import Recorder, StartFiles, degrees_of_freedom, log_line
from openmm_hybrid.sampling.restart import Progress, made_on, read_progress, restore, save_checkpoint
from openmm_hybrid.sampling.snapshot import Copies, Snapshot, observe, recentre
from openmm_hybrid.sampling.structure import Structure

_SHORTER = "use a shorter timestep, minimise first, or check the forces at this geometry"

_SLICE = 0.5  # seconds of stepping between checks for Ctrl-C and updates of the progress bar
_SAVE_EVERY = 15.0  # seconds between checkpoints, unless an interval is given


@dataclass(frozen=True)
class Batch:
    """The starts that one context steps: one start, or one per replica.

    Parameters
    ----------
    files : tuple of StartFiles
    starts : (n_starts, n_atoms, 3), Å
    energies : (n_starts,)
        Potential energy of `starts`, kcal/mol; a run that rises far above it has blown up.
    temperatures : (n_starts,), K
    """

    files: tuple[StartFiles, ...]
    starts: NDArray[np.float64]
    energies: NDArray[np.float64]
    temperatures: NDArray[np.float64]

    @property
    def name(self) -> str:
        """Name of the starts for messages, such as "start 3" or "starts 0 to 31"."""
        first, last = self.files[0].index, self.files[-1].index
        return f"start {first}" if first == last else f"starts {first} to {last}"


def run_batch(job: Job, batch: Batch, advance: Callable[[int], None]) -> None:
    """Run the starts of a batch to their end, from their checkpoint if there is one.

    Parameters
    ----------
    job : Job
    batch : Batch
    advance : callable
        Function that is called with the number of steps done, summed over the starts.

    Raises
    ------
    NumericalError
        The run blew up; frames, log and checkpoint up to the last good frame are kept, and a PDB file of that frame.
    HybridError
        A file cannot be written.
    KeyboardInterrupt
        Ctrl-C was pressed; a checkpoint has been written.
    """
    checkpoint = batch.files[0].checkpoint
    done = read_progress(checkpoint)
    if done is not None and done.step >= job.n_steps:
        return
    copies = None if job.replicas == 1 else Copies(job.alone)
    context = _context(job, batch, 0 if done is None else done.steps_run)
    if done is None:
        _prepare(job, batch, context, copies)
    else:
        restore(checkpoint, context)
    with ExitStack() as stack:
        recorders = []
        for k, files in enumerate(batch.files):
            after = None if done is None else done.written[k]
            recorder = Recorder(files, job.topology, timestep=job.timestep, interval=job.interval, after=after)
            recorders.append(stack.enter_context(recorder))
        look = observe if copies is None else copies.observe
        _Loop(job, batch, context, look, recorders, done).run(advance)


def _context(job: Job, batch: Batch, steps_run: int) -> openmm.Context:
    """A context without positions; its random numbers are fixed by the seed of the job and the steps already run."""
    integrator = _integrator(job, batch, _seed(job.seed, batch.files[0].index, steps_run, 1))
    context = openmm.Context(job.stepped, integrator, *job.platform)
    for name, value in job.parameters.items():
        context.setParameter(name, value)
    return context


def _integrator(job: Job, batch: Batch, seed: int) -> openmm.Integrator:
    temperature = float(batch.temperatures[0])
    shortest = job.timestep / max((evaluations for _, evaluations in job.respa), default=1)
    if (batch.temperatures == temperature).all():
        thermostat = langevin(temperature, job.friction, shortest)
    else:
        thermostat = langevin_per_particle(_particle_temperatures(job, batch), job.friction, shortest)
    thermostat.setRandomNumberSeed(seed)
    nve = job.ensemble == "nve"
    return RunIntegrator(thermostat, job.timestep, job.respa, constant_energy=nve) if nve or job.respa else thermostat


def _particle_temperatures(job: Job, batch: Batch) -> NDArray[np.float64]:
    """Temperature of each particle of the context, K."""
    return np.repeat(batch.temperatures, job.system.getNumParticles())


def _prepare(job: Job, batch: Batch, context: openmm.Context, copies: Copies | None) -> None:
    starts = batch.starts if copies is None or not job.minimize else copies.minimized(batch.starts, job.topology)
    set_positions(context, starts.reshape(-1, 3))
    if copies is None and job.minimize:
        minimize_context(context, topology=job.topology)
    draw_velocities(context, _particle_temperatures(job, batch), _seed(job.seed, batch.files[0].index, 0, 2))


class _Loop:
    """The stepping of one batch."""

    def __init__(
        self,
        job: Job,
        batch: Batch,
        context: openmm.Context,
        look: Callable[[openmm.Context], Snapshot],
        recorders: list[Recorder],
        done: Progress | None,
    ) -> None:
        self._job, self._batch, self._context, self._recorders = job, batch, context, recorders
        self._look = look
        self._step = -job.equilibration if done is None else done.step
        self._steps_before = 0 if done is None else done.steps_run
        self._seconds_before = 0.0 if done is None else done.seconds
        self._first_step, self._began = self._step, time.monotonic()
        self._saved_step, self._saved_at = self._step, self._began
        self._n_dof = degrees_of_freedom(job.system)
        self._good_step = self._step
        self._good: Snapshot | None = None
        self._good_state = b""
        seed = _seed(job.seed, batch.files[0].index, 0, 3)
        self._ladders = Exchange(batch.temperatures, seed, () if done is None else done.exchanges)

    def run(self, advance: Callable[[int], None]) -> None:
        job, integrator = self._job, self._context.getIntegrator()
        self._keep(self._checked())
        advance(0)  # contexts may take seconds
        with _interruptible() as interrupted:
            while self._step < job.n_steps:
                if job.ensemble == "nve":
                    integrator.keep_energy(self._step >= 0)
                steps = self._stride()
                self._advance(steps)
                advance(steps * len(self._batch.files))
                if self._step % job.interval == 0:
                    self._report()
                if job.exchange is not None and self._step % job.exchange == 0:
                    self._exchange(job.exchange)
                if interrupted() or self._due():
                    self._save()
                if interrupted():
                    raise KeyboardInterrupt(
                        f"stopped at {self._named(self._step)} of {self._batch.name}, "
                        f"saved in {self._batch.files[0].folder}; call again with the same settings to resume"
                    )
        self._save()

    def _stride(self) -> int:
        """Steps to the next frame, exchange, checkpoint or change of integrator, limited to `_SLICE` seconds."""
        job, step = self._job, self._step
        ends = [step - step % job.interval + job.interval, job.n_steps]
        if step < 0:
            ends.append(0)
        if job.exchange is not None:
            ends.append(step - step % job.exchange + job.exchange)
        if job.checkpoint_interval is not None:
            ends.append(self._saved_step + job.checkpoint_interval)
        run, seconds = step - self._first_step, time.monotonic() - self._began
        affordable = int(_SLICE * run / max(seconds, 1e-6)) if run else 10
        return max(1, min(min(ends) - step, affordable))

    def _advance(self, steps: int) -> None:
        try:
            self._context.getIntegrator().step(steps)
        except openmm.OpenMMException as error:
            raise self._stopped(self._step + steps, error) from error
        self._step += steps

    def _report(self) -> None:
        """Store the state, unless this is still the equilibration."""
        good = self._checked()
        self._keep(good)
        if self._step > 0:
            picoseconds = 1e-3 * self._job.timestep * self._step
            energies = zip(good.potential.tolist(), good.kinetic.tolist(), strict=True)
            for recorder, positions, (potential, kinetic) in zip(
                self._recorders, good.positions, energies, strict=True
            ):
                recorder.append(positions, good.box, log_line(picoseconds, potential, kinetic, self._n_dof))
        if self._job.free:
            recentre(self._context, good)

    def _keep(self, good: Snapshot) -> None:
        self._good, self._good_step, self._good_state = good, self._step, self._context.createCheckpoint()

    def _exchange(self, every: int) -> None:
        found = self._good if self._good is not None and self._good_step == self._step else self._checked()
        self._ladders.attempt(self._context, found.potential, (self._step + self._job.equilibration) // every)

    def _checked(self) -> Snapshot:
        """Current positions and energies.

        Raises
        ------
        NumericalError
            They or the forces are not finite, or an energy is above `ABSURD`.
        """
        try:
            found = self._look(self._context)
        except openmm.OpenMMException as error:
            raise self._stopped(self._step, error) from error
        for k, files in enumerate(self._batch.files):
            name = f"start {files.index}"
            if not found.finite(k):
                raise self._blown_up(self._step, name, self._why_not_finite(found, k))
            potential, kinetic = float(found.potential[k]), float(found.kinetic[k])
            highest = max(potential - self._batch.energies[k], kinetic) / self._job.system.getNumParticles()
            if highest > ABSURD:
                raise self._blown_up(self._step, name, (f"{highest:.3g} kcal/mol per atom", ""))
        return found

    def _why_not_finite(self, found: Snapshot, start: int) -> Cause:
        """Cause that the geometry itself shows; the positions may be finite although a force is not."""
        if not np.isfinite(found.positions[start]).all():
            return "a position is not finite", ""
        positions = found.positions[start] * ANGSTROM_PER_NM
        return self._structure().why_not_finite(positions, found.forces[start])

    def _structure(self) -> Structure:
        return Structure.of(self._job.system, self._job.topology)

    def _stopped(self, step: int, error: Exception) -> HybridError:
        text = str(error).lower()
        if "nan" in text:
            return self._blown_up(step, self._batch.name, (str(error), ""))
        if "periodic box size has decreased" in text and self._good is not None:
            box = np.array(self._good.box.value_in_unit(unit.angstrom))
            problem, hint = shrunk(self._job.system, box)
            return NumericalError(f"{self._batch.name} stopped before {self._named(step)}: {problem}", hint=hint)
        return HybridError(f"OpenMM stopped {self._batch.name} before {self._named(step)}: {error}")

    def _blown_up(self, step: int, name: str, reason: Cause) -> NumericalError:
        """The error of a blown-up run; the last good geometries are written first."""
        since, kept = self._named(self._good_step), ""
        if self._good is not None:
            for files, positions in zip(self._batch.files, self._good.positions, strict=True):
                with replacing(files.last_good) as temporary, temporary.open("w") as file:
                    app.PDBFile.writeFile(self._job.topology, positions * unit.nanometer, file, keepIds=True)
            kept = f"the last good frame, of {since}, is kept in {self._batch.files[0].last_good}; "
            steps = step - self._good_step
            found = find_cause(self._context, self._good_state, steps, self._structure(), self._batch.starts)
            reason = found or reason
        hint = timestep_hint(self._job.system, *self._job.bond_timestep) or reason[1] or _SHORTER
        return NumericalError(
            f"the simulation of {name} blew up between {since} and {self._named(step)}: {reason[0]}",
            hint=f"{kept}{hint}",
        )

    def _named(self, step: int) -> str:
        return f"step {step}" if step > 0 else f"step {step + self._job.equilibration} of the equilibration"

    def _due(self) -> bool:
        if self._job.checkpoint_interval is not None:
            return self._step - self._saved_step >= self._job.checkpoint_interval
        return time.monotonic() - self._saved_at >= _SAVE_EVERY

    def _save(self) -> None:
        if self._good_step != self._step:
            self._checked()  # a checkpoint must not hold a state that has blown up since the last frame
        progress = Progress(
            step=self._step,
            written=tuple(recorder.sync() for recorder in self._recorders),
            steps_run=self._steps_before + self._step - self._first_step,
            seconds=self._seconds_before + time.monotonic() - self._began,
            made_on=made_on(self._context),
            exchanges=() if self._job.exchange is None else self._ladders.counts,
        )
        save_checkpoint(self._batch.files[0].checkpoint, self._context, progress)
        self._saved_step, self._saved_at = self._step, time.monotonic()


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Inside the block Ctrl-C only sets a flag, so that no file is left incomplete; a second Ctrl-C stops at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def _seed(*numbers: int) -> int:
    """A positive seed for OpenMM, fixed by the numbers; OpenMM would replace 0 by a random seed."""
    return 1 + int(np.random.SeedSequence(numbers).generate_state(1)[0]) % (2**31 - 2)
