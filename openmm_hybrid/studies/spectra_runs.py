"""Runs at constant energy for spectra: many replicas in one batch, kept in a file from which a stopped run resumes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.stability import Drift, energy_drift
from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.core.same_job import check_same_job
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.core.versioned_npz import NpzFormat, reading, write
from openmm_hybrid.models.langevin import ACCELERATION, Langevin, without_rigid_motion
from openmm_hybrid.studies.subject import Predict, intact

Floats = NDArray[np.float64]

_FORMAT = NpzFormat("openmm-hybrid spectra runs", version=1, what="runs of the study spectra", hint="remove the file")
_FRICTION = 0.01  # friction of the equilibration, 1/fs
_SAVE_EVERY = 5.0  # least seconds between two writings of an unfinished run
_PAUSE = 20.0  # least time between two writings, relative to the time that one takes


@final
@dataclass(frozen=True, eq=False)
class RunPlan:
    """The dynamics of all replicas at one temperature.

    Parameters
    ----------
    start : (n_atoms, 3), Å
        Geometry from which all replicas start.
    atomic_numbers : (n_atoms,)
    masses : (n_atoms,), amu
    bonds : (n_bonds, 2)
    temperature : float, K
    timestep : float, fs
    stride : int
        Steps between two frames.
    n_equilibration, n_frames : int
        Frames of the equilibration and of the run at constant energy.
    n_runs : int
        Number of replicas.
    seed : int
        All temperatures have the same random numbers, so that their differences are more precise than their values.
    """

    start: Floats = field(repr=False)
    atomic_numbers: NDArray[np.int64] = field(repr=False)
    masses: Floats = field(repr=False)
    bonds: NDArray[np.int64] = field(repr=False)
    temperature: float
    timestep: float
    stride: int
    n_equilibration: int
    n_frames: int
    n_runs: int
    seed: int

    @property
    def interval(self) -> float:
        """Time between two frames, fs."""
        return self.stride * self.timestep

    @property
    def total(self) -> int:
        """Number of frames, with the equilibration."""
        return self.n_equilibration + self.n_frames

    @property
    def job(self) -> dict[str, Any]:
        """The settings that decide the runs, as JSON holds them."""
        names = ("temperature", "timestep", "stride", "n_equilibration", "n_frames", "n_runs", "seed")
        return {name: getattr(self, name) for name in names} | {"start": fingerprint(self.start)}

    def integrator(self, unit: int) -> Langevin:
        """The integrator from frame `unit` to the next one, with random numbers of its own."""
        friction = _FRICTION if unit < self.n_equilibration else 0.0
        rng = np.random.default_rng([self.seed, unit + 1])
        return Langevin(self.atomic_numbers, self.temperature, self.timestep, friction, rng)


@final
@dataclass(frozen=True, eq=False)
class Runs:
    """Replicas at one temperature.

    Parameters
    ----------
    velocities : (n_runs, n_frames, n_atoms, 3), Å/fs, float32
        Velocities at constant energy.
    energies : (n_runs, n_frames), kcal/mol
        Total energies.
    kinetic : (n_runs, n_frames), kcal/mol
        Kinetic energies.
    kept : (n_runs,), bool
        Replicas that kept all bonds.
    """

    velocities: NDArray[np.float32] = field(repr=False)
    energies: Floats = field(repr=False)
    kinetic: Floats = field(repr=False)
    kept: NDArray[np.bool_]

    def only(self, chosen: NDArray[np.bool_]) -> Runs:
        """Some of the replicas."""
        return Runs(self.velocities[chosen], self.energies[chosen], self.kinetic[chosen], self.kept[chosen])

    def temperature(self, n_modes: int) -> float:
        """Mean kinetic temperature of the vibrations, K."""
        return float(2.0 * self.kinetic.mean() / (n_modes * BOLTZMANN))

    def drift(self, interval: float) -> Drift:
        """Mean energy drift of the replicas, and the root mean square of their fluctuations.

        Parameters
        ----------
        interval : float, fs
        """
        n_atoms, times = self.velocities.shape[2], 1e-3 * interval * np.arange(self.energies.shape[1])
        found = [energy_drift(times, energies, n_atoms) for energies in self.energies]
        values = np.array([drift.value for drift in found])
        error = np.sqrt(np.mean([drift.error**2 for drift in found]) / len(found))
        fluctuation = np.sqrt(np.mean([drift.fluctuation**2 for drift in found]))
        return Drift(float(values.mean()), float(error), float(fluctuation))


@final
@dataclass(frozen=True, eq=False)
class _State:
    """Replicas after a number of frames, with all that was recorded at constant energy."""

    unit: int
    positions: Floats
    velocities: Floats
    kept: NDArray[np.bool_]
    recorded: NDArray[np.float32]  # (n_runs, frames so far, n_atoms, 3)
    energies: Floats  # (2, n_runs, frames so far): total and kinetic


def run(plan: RunPlan, predict: Predict, path: Path, description: str, *, progress: bool) -> Runs:
    """Carry out the runs of a plan, or resume them from their file.

    The equilibration is Langevin dynamics. Then the translation and rotation of each replica are removed, and velocity
    Verlet follows at constant energy. A replica that loses a bond is stopped and does not count.

    Parameters
    ----------
    plan : RunPlan
    predict : function
    path : Path
        File for the runs. It is also written during the runs, so that a stop loses seconds. A resumed run has the
        result of an undisturbed one.
    description : str
        The work, for the progress bar.
    progress : bool

    Raises
    ------
    MismatchError
        The file belongs to other runs.
    NumericalError
        Fewer than half of the replicas keep all bonds.
    """
    state = _read(path, plan) if path.is_file() else _first(plan)
    last, pause = time.monotonic(), _SAVE_EVERY
    recorded, energies = [state.recorded], [state.energies]
    progress = progress and state.unit < plan.total
    with progress_bar(plan.total, description, "frames", done=state.unit, enabled=progress) as advance:
        forces = predict(state.positions)[1] if state.unit < plan.total else np.zeros(0)
        while state.unit < plan.total:
            if state.unit == plan.n_equilibration:
                still = without_rigid_motion(state.positions, state.velocities, plan.masses)
                state = replace(state, velocities=still)
            state, forces, frame = _advanced(plan, predict, state, forces)
            if state.unit > plan.n_equilibration:
                recorded.append(state.velocities[:, None].astype(np.float32))
                energies.append(frame[:, :, None])
            began = time.monotonic()
            if state.unit == plan.total or began - last > pause:
                recorded, energies = [np.concatenate(recorded, axis=1)], [np.concatenate(energies, axis=2)]
                _write(path, plan, replace(state, recorded=recorded[0], energies=energies[0]))
                last = time.monotonic()
                pause = max(_SAVE_EVERY, _PAUSE * (last - began))
            advance(1)
    if 2 * state.kept.sum() < plan.n_runs:
        raise NumericalError(
            f"{plan.n_runs - state.kept.sum()} of {plan.n_runs} runs at {plan.temperature:g} K lost a bond",
            hint="lower the temperature or the timestep, or use a model that holds at this temperature",
        )
    return Runs(recorded[0], energies[0][0], energies[0][1], state.kept)


def _first(plan: RunPlan) -> _State:
    r = np.repeat(plan.start[None], plan.n_runs, axis=0)
    v = plan.integrator(-1).velocities(r.shape)
    nothing = np.zeros((plan.n_runs, 0, len(plan.start), 3), dtype=np.float32)
    return _State(0, r, v, np.ones(plan.n_runs, dtype=bool), nothing, np.zeros((2, plan.n_runs, 0)))


def _advanced(plan: RunPlan, predict: Predict, state: _State, forces: Floats) -> tuple[_State, Floats, Floats]:
    """The state one frame later, its forces, and the total and kinetic energies (2, n_runs)."""
    integrator, energies = plan.integrator(state.unit), np.zeros(plan.n_runs)

    def forces_at(positions: Floats) -> Floats:
        energies[:], found = predict(positions)
        return found

    r, v, f = state.positions, state.velocities, forces
    for _ in range(plan.stride):
        r, v, f = integrator.step(forces_at, r, v, f)
    kept = state.kept & intact(r, plan.start, plan.bonds)
    if not kept.all():  # a lost replica rests at the start, so that its coordinates stay finite
        r, v = (np.where(kept[:, None, None], found, rest) for found, rest in ((r, plan.start), (v, 0.0)))
        f = predict(r)[1]
    kinetic = 0.5 / ACCELERATION * np.einsum("a,nai,nai->n", plan.masses, v, v)
    made = replace(state, unit=state.unit + 1, positions=r, velocities=v, kept=kept)
    return made, f, np.array([energies + kinetic, kinetic])


def _write(path: Path, plan: RunPlan, state: _State) -> None:
    arrays = {
        "positions": state.positions,
        "velocities": state.velocities,
        "kept": state.kept,
        "recorded": state.recorded,
        "energies": state.energies,
    }
    write(path, _FORMAT, {"job": plan.job, "unit": state.unit}, arrays, compressed=False)


def _read(path: Path, plan: RunPlan) -> _State:
    shape = (plan.n_runs, *plan.start.shape)
    with reading(path, _FORMAT) as (description, arrays):
        found: Mapping[str, Any] = dict(description["job"])
        unit = int(description["unit"])
        check_same_job(found, plan.job, where=path, what="spectra study", hint="give another folder")
        n_frames = max(unit - plan.n_equilibration, 0)
        return _State(
            unit,
            arrays.floats("positions", shape),
            arrays.floats("velocities", shape),
            arrays.flags("kept", (plan.n_runs,)),
            arrays.floats("recorded", (plan.n_runs, n_frames, *plan.start.shape)).astype(np.float32),
            arrays.floats("energies", (2, plan.n_runs, n_frames)),
        )
