"""The run from one start: prepare, step, store, save, and stop in good order."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_hybrid.errors import HybridError, NumericalError
from openmm_hybrid.files import replacing
from openmm_hybrid.simulation.job import Job
from openmm_hybrid.simulation.minimize import minimize_context, place
from openmm_hybrid.simulation.reporters import Recorder, StartFiles, degrees_of_freedom, log_numbers
from openmm_hybrid.simulation.restart import Progress, made_on, read_progress, restore, save_checkpoint

ABSURD = 1000.0
"""kcal/mol per atom: a rise of the potential, or a kinetic energy (3·10⁵ K), above which a run has blown up."""

_SLICE = 0.5  # seconds of stepping between looks at Ctrl-C and the progress bar
_SAVE_EVERY = 15.0  # seconds between checkpoints, unless an interval is given


def _context(job: Job, index: int, steps_run: int) -> openmm.Context:
    """A context without positions; its random numbers are fixed by the job's seed and where the run stands.

    NVT: Langevin dynamics, LFMiddle discretisation (Zhang et al., J. Phys. Chem. A 123, 6056 (2019)). NVE: the same
    for the equilibration, then the Verlet integrator.
    """
    step = 1e-3 * job.timestep
    integrator = openmm.LangevinMiddleIntegrator(job.temperature, job.friction, step)
    integrator.setRandomNumberSeed(_seed(job.seed, index, steps_run, 1))
    if job.ensemble == "nve":
        both = openmm.CompoundIntegrator()
        both.addIntegrator(integrator)
        both.addIntegrator(openmm.VerletIntegrator(step))
        integrator = both
    return openmm.Context(job.system, integrator, *job.platform)


def run_start(
    job: Job, files: StartFiles, start: NDArray[np.float64], start_energy: float, advance: Callable[[int], None]
) -> None:
    """Run one start to its end, from its checkpoint if there is one.

    Parameters
    ----------
    start : (n_atoms, 3), Å
    start_energy : float
        Potential energy of `start`, kcal/mol; what a blown-up run is recognised by.
    advance : callable
        Told the number of steps done.

    Raises
    ------
    NumericalError
        The run blew up; frames, log and checkpoint up to the last good frame stay, and a PDB file of it.
    HybridError
        A file cannot be written.
    KeyboardInterrupt
        Ctrl-C, after a checkpoint.
    """
    done = read_progress(files.checkpoint)
    if done is not None and done.step >= job.n_steps:
        return
    context = _context(job, files.index, 0 if done is None else done.steps_run)
    if done is None:
        _prepare(job, context, start, files.index)
    else:
        restore(files.checkpoint, context)
    with Recorder(files, job.topology, timestep=job.timestep, interval=job.interval, after=done) as recorder:
        _Loop(job, files, context, recorder, start_energy, done).run(advance)


def _prepare(job: Job, context: openmm.Context, start: NDArray[np.float64], index: int) -> None:
    place(context, start)
    if job.minimize:
        minimize_context(context)
    context.setVelocitiesToTemperature(job.temperature, _seed(job.seed, index, 0, 2))


class _Loop:
    """The stepping of one start."""

    def __init__(
        self,
        job: Job,
        files: StartFiles,
        context: openmm.Context,
        recorder: Recorder,
        start_energy: float,
        done: Progress | None,
    ) -> None:
        self._job, self._files, self._context, self._recorder = job, files, context, recorder
        self._start_energy = start_energy
        self._step = -job.equilibration if done is None else done.step
        self._steps_before = 0 if done is None else done.steps_run
        self._seconds_before = 0.0 if done is None else done.seconds
        self._first_step, self._began = self._step, time.monotonic()
        self._saved_step, self._saved_at = self._step, self._began
        self._freedoms = degrees_of_freedom(job.system)
        self._good_step = self._step
        self._good_state: openmm.State | None = None

    def run(self, advance: Callable[[int], None]) -> None:
        job, integrator = self._job, self._context.getIntegrator()
        self._good_state = self._checked_state()
        with _interruptible() as interrupted:
            while self._step < job.n_steps:
                if job.ensemble == "nve":
                    integrator.setCurrentIntegrator(0 if self._step < 0 else 1)
                steps = self._stride()
                self._advance(steps)
                advance(steps)
                if self._step % job.interval == 0:
                    self._report()
                if interrupted() or self._due():
                    self._save()
                if interrupted():
                    raise KeyboardInterrupt(
                        f"stopped at {self._named(self._step)} of start {self._files.index}, "
                        f"saved in {self._files.folder}; call again with the same settings to go on"
                    )
        self._save()

    def _stride(self) -> int:
        """Steps to the next frame, checkpoint, or change of integrator, but not more than a short time takes."""
        job, step = self._job, self._step
        ends = [step - step % job.interval + job.interval, job.n_steps]
        if step < 0:
            ends.append(0)
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
        self._good_state, self._good_step = self._checked_state(), self._step
        if self._step > 0:
            picoseconds = 1e-3 * self._job.timestep * self._step
            self._recorder.append(self._good_state, log_numbers(self._good_state, picoseconds, self._freedoms))

    def _checked_state(self) -> openmm.State:
        """Positions and energies now.

        Raises
        ------
        NumericalError
            They are absurd.
        """
        try:
            state = self._context.getState(positions=True, energy=True)
        except openmm.OpenMMException as error:
            raise self._stopped(self._step, error) from error
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        _, potential, kinetic, total, _ = log_numbers(state, 0.0, self._freedoms)
        if not (np.isfinite(positions).all() and np.isfinite(total)):
            raise self._blown_up(self._step, "a position or energy is not finite")
        highest = max(potential - self._start_energy, kinetic) / self._job.system.getNumParticles()
        if highest > ABSURD:
            raise self._blown_up(self._step, f"{highest:.3g} kcal/mol per atom")
        return state

    def _stopped(self, step: int, error: Exception) -> HybridError:
        if "nan" in str(error).lower():
            return self._blown_up(step, str(error))
        return HybridError(f"OpenMM stopped start {self._files.index} before {self._named(step)}: {error}")

    def _blown_up(self, step: int, reason: str) -> NumericalError:
        """The error for the user, after the last good geometry has been kept."""
        number, good = self._files.index, self._files.last_good
        since, kept = self._named(self._good_step), ""
        if self._good_state is not None:
            with replacing(good) as temporary, temporary.open("w") as file:
                app.PDBFile.writeFile(self._job.topology, self._good_state.getPositions(), file, keepIds=True)
            kept = f"the last good frame, of {since}, is kept in {good}; "
        return NumericalError(
            f"the simulation of start {number} blew up between {since} and {self._named(step)}: {reason}",
            mend=f"{kept}take a shorter timestep, minimise first, or look whether the forces hold at this geometry",
        )

    def _named(self, step: int) -> str:
        return f"step {step}" if step > 0 else f"step {step + self._job.equilibration} of the equilibration"

    def _due(self) -> bool:
        if self._job.checkpoint_interval is not None:
            return self._step - self._saved_step >= self._job.checkpoint_interval
        return time.monotonic() - self._saved_at >= _SAVE_EVERY

    def _save(self) -> None:
        if self._good_step != self._step:
            self._checked_state()  # a checkpoint must not hold a state that has blown up since the last frame
        trajectory_bytes, log_bytes = self._recorder.sync()
        progress = Progress(
            step=self._step,
            frames=self._recorder.frames,
            trajectory_bytes=trajectory_bytes,
            log_bytes=log_bytes,
            steps_run=self._steps_before + self._step - self._first_step,
            seconds=self._seconds_before + time.monotonic() - self._began,
            made_on=made_on(self._context),
        )
        save_checkpoint(self._files.checkpoint, self._context, progress)
        self._saved_step, self._saved_at = self._step, time.monotonic()


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C only sets a mark inside the block, so that no file is left half-written; a second one stops at once."""
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
    """A seed for OpenMM: fixed by the numbers, positive (OpenMM takes 0 as a wish for chance)."""
    return 1 + int(np.random.SeedSequence(numbers).generate_state(1)[0]) % (2**31 - 2)
