"""Dynamics of many replicas of a molecule in one batch, kept in a file from which a stopped run resumes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.stability import Drift, energy_drift
from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.core.same_job import check_same_job
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.core.versioned_npz import NpzFormat, reading, write
from openmm_hybrid.models.langevin import ACCELERATION, Langevin, without_rigid_motion
from openmm_hybrid.studies.subject import Predict, intact

Floats = NDArray[np.float64]

UNIT = 10
"""Steps between two possible stops of runs at constant temperature."""

_FORMAT = NpzFormat("openmm-hybrid batched dynamics", version=1, what="dynamics of replicas", hint="remove the file")
_FRICTION = 0.01  # 1/fs
_SAVE_EVERY = 5.0  # least seconds between two writings of unfinished runs
_PAUSE = 20.0  # least time between two writings, relative to the time that one takes


@final
@dataclass(frozen=True, eq=False)
class BatchPlan:
    """Dynamics of replicas that do not interact.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    bonds : (n_bonds, 2)
    temperature : float, K
        Temperature of Langevin dynamics.
    timestep : float, fs
    unit : int
        Steps of a unit. A run can be stopped and resumed between two units.
    n_equilibration : int
        Units before the first frame.
    stride : int
        Units between two frames.
    n_frames : int
        Frames of each replica.
    n_runs : int
        Number of replicas.
    seed : int
        Seed of all random numbers.
    constant_energy : bool
        Whether the energy is constant after the equilibration. The translation and rotation of each replica are then
        removed, and the frames are velocities in place of positions.
    origin : str
        What the starts were made from, to tell the runs from those of other starts.
    linear : bool
        Whether the minimum is linear and has a bend, which is no rotation (see `without_rigid_motion`).
    """

    atomic_numbers: NDArray[np.int64] = field(repr=False)
    bonds: NDArray[np.int64] = field(repr=False)
    temperature: float
    timestep: float
    unit: int
    n_equilibration: int
    stride: int
    n_frames: int
    n_runs: int
    seed: int
    constant_energy: bool = False
    origin: str = ""
    linear: bool = False

    @property
    def interval(self) -> float:
        """Time between two frames, fs."""
        return self.stride * self.unit * self.timestep

    @property
    def total(self) -> int:
        """Number of units, with the equilibration."""
        return self.n_equilibration + self.n_frames * self.stride

    @property
    def masses(self) -> Floats:
        """Masses (n_atoms,), amu."""
        return ACCELERATION / self.integrator(0).inverse_masses[:, 0]

    @property
    def job(self) -> dict[str, Any]:
        """The settings that decide the runs, as JSON holds them."""
        names = ("temperature", "timestep", "unit", "n_equilibration", "stride", "n_frames", "n_runs", "seed")
        job = {name: getattr(self, name) for name in (*names, "constant_energy", "origin")}
        return job | {"linear": True} if self.linear else job  # the files of other molecules do not have it

    def integrator(self, unit: int) -> Langevin:
        """The integrator of a unit, with random numbers of its own."""
        friction = 0.0 if self.constant_energy and unit >= self.n_equilibration else _FRICTION
        rng = np.random.default_rng([self.seed, unit + 1])
        return Langevin(self.atomic_numbers, self.temperature, self.timestep, friction, rng)

    def n_recorded(self, unit: int) -> int:
        """Number of frames after a number of units."""
        return max(unit - self.n_equilibration, 0) // self.stride


@final
@dataclass(frozen=True, eq=False)
class Batch:
    """Replicas with all their frames.

    Parameters
    ----------
    starts : (n_runs, n_atoms, 3), Å
    frames : (n_runs, n_frames, n_atoms, 3)
        Positions, Å, float64; velocities, Å/fs, float32, of runs at constant energy.
    energies, kinetic : (n_runs, n_frames), kcal/mol
        Total and kinetic energies.
    kept : (n_runs,), bool
        Replicas that kept all bonds. The others rest at their starts from then on.
    """

    starts: Floats = field(repr=False)
    frames: NDArray[np.floating[Any]] = field(repr=False)
    energies: Floats = field(repr=False)
    kinetic: Floats = field(repr=False)
    kept: NDArray[np.bool_]

    def only(self, chosen: NDArray[np.bool_]) -> Batch:
        """Some of the replicas."""
        return Batch(
            self.starts[chosen], self.frames[chosen], self.energies[chosen], self.kinetic[chosen], self.kept[chosen]
        )

    def temperature(self, n_modes: int) -> float:
        """Mean kinetic temperature, K, from the number of degrees of freedom that move."""
        return float(2.0 * self.kinetic.mean() / (n_modes * BOLTZMANN))

    def drift(self, interval: float) -> Drift:
        """Mean energy drift of the replicas, and the root mean square of their fluctuations.

        Parameters
        ----------
        interval : float, fs
            Time between two frames.
        """
        n_atoms, times = self.starts.shape[1], 1e-3 * interval * np.arange(self.energies.shape[1])
        found = [energy_drift(times, energies, n_atoms) for energies in self.energies]
        values = np.array([drift.value for drift in found])
        error = np.sqrt(np.mean([drift.error**2 for drift in found]) / len(found))
        fluctuation = np.sqrt(np.mean([drift.fluctuation**2 for drift in found]))
        return Drift(float(values.mean()), float(error), float(fluctuation))


@final
@dataclass(frozen=True, eq=False)
class _State:
    """Replicas after a number of units."""

    unit: int
    starts: Floats  # (n_runs, n_atoms, 3)
    positions: Floats
    velocities: Floats
    energies: Floats  # (2, n_runs): total and kinetic
    kept: NDArray[np.bool_]


@final
@dataclass(frozen=True, eq=False)
class _Record:
    """The frames so far."""

    frames: NDArray[np.floating[Any]]  # (n_runs, frames so far, n_atoms, 3)
    energies: Floats  # (2, n_runs, frames so far)

    @classmethod
    def of(cls, plan: BatchPlan, state: _State) -> _Record:
        """The frame of a state."""
        frame = state.velocities.astype(np.float32) if plan.constant_energy else state.positions
        return cls(frame[:, None], state.energies[:, :, None])

    @classmethod
    def joined(cls, parts: list[_Record]) -> _Record:
        """Consecutive frames as one record."""
        frames, energies = ([getattr(part, name) for part in parts] for name in ("frames", "energies"))
        return cls(np.concatenate(frames, axis=1), np.concatenate(energies, axis=2))


def run_batch(
    plan: BatchPlan, predict: Predict, starts: Callable[[], Floats], path: Path, description: str, *, progress: bool
) -> Batch:
    """Carry out the runs of a plan, or resume them from their file.

    Parameters
    ----------
    plan : BatchPlan
    predict : function
    starts : function
        Returns geometries (n, n_atoms, 3), Å, over which the replicas are distributed. Called for new runs only.
    path : Path
        File for the runs. It is also written during the runs, so that a stop loses seconds, or one unit of a model that
        needs longer for it. A resumed run has the result of an undisturbed one.
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
    state, record = _read(path, plan) if path.is_file() else _first(plan, starts())
    last, pause = time.monotonic(), _SAVE_EVERY
    recorded, unfinished = [record], state.unit < plan.total
    with progress_bar(
        plan.total * plan.unit, description, "steps", done=state.unit * plan.unit, enabled=progress and unfinished
    ) as advance:
        forces = predict(state.positions)[1] if unfinished else np.zeros(0)
        while state.unit < plan.total:
            state, forces = _advanced(plan, predict, state, forces)
            past = state.unit - plan.n_equilibration
            if past > 0 and past % plan.stride == 0:
                recorded.append(_Record.of(plan, state))
            began = time.monotonic()
            if state.unit == plan.total or began - last > pause:
                recorded = [_Record.joined(recorded)]
                _write(path, plan, state, recorded[0])
                last = time.monotonic()
                pause = max(_SAVE_EVERY, _PAUSE * (last - began))
            advance(plan.unit)
    if 2 * state.kept.sum() < plan.n_runs:
        raise NumericalError(
            f"{description}: {plan.n_runs - state.kept.sum()} of {plan.n_runs} runs at {plan.temperature:g} K lost a"
            " bond",
            hint="lower the temperature or the timestep, or use a model that holds at this temperature",
        )
    (record,) = recorded
    return Batch(state.starts, record.frames, record.energies[0], record.energies[1], state.kept)


def _first(plan: BatchPlan, starts: Floats) -> tuple[_State, _Record]:
    r = starts[np.arange(plan.n_runs) % len(starts)]
    v = plan.integrator(-1).velocities(r.shape)
    state = _State(0, r, r, v, np.zeros((2, plan.n_runs)), np.ones(plan.n_runs, dtype=bool))
    one = _Record.of(plan, state)
    return state, _Record(one.frames[:, :0], one.energies[:, :, :0])


def _advanced(plan: BatchPlan, predict: Predict, state: _State, forces: Floats) -> tuple[_State, Floats]:
    """The state one unit later, and its forces."""
    integrator, potential = plan.integrator(state.unit), np.zeros(plan.n_runs)

    def forces_at(positions: Floats) -> Floats:
        potential[:], found = predict(positions)
        return found

    r, v, f = state.positions, state.velocities, forces
    if plan.constant_energy and state.unit == plan.n_equilibration:
        v = without_rigid_motion(r, v, plan.masses, linear=plan.linear)
    for _ in range(plan.unit):
        r, v, f = integrator.step(forces_at, r, v, f)
    whole = [intact(found[None], start, plan.bonds)[0] for found, start in zip(r, state.starts, strict=True)]
    kept = state.kept & np.array(whole)
    if not kept.all():  # a lost replica rests at its start, so that its coordinates stay finite
        r, v = (np.where(kept[:, None, None], found, rest) for found, rest in ((r, state.starts), (v, 0.0)))
        f = forces_at(r)
    kinetic = 0.5 * np.einsum("a,nai,nai->n", plan.masses, v, v) / ACCELERATION
    return _State(state.unit + 1, state.starts, r, v, np.array([potential + kinetic, kinetic]), kept), f


def _write(path: Path, plan: BatchPlan, state: _State, record: _Record) -> None:
    arrays = {
        "starts": state.starts,
        "positions": state.positions,
        "velocities": state.velocities,
        "kept": state.kept,
        "frames": record.frames,
        "energies": record.energies,
    }
    write(path, _FORMAT, {"job": plan.job, "unit": state.unit}, arrays, compressed=False)


def _read(path: Path, plan: BatchPlan) -> tuple[_State, _Record]:
    shape = (plan.n_runs, len(plan.atomic_numbers), 3)
    with reading(path, _FORMAT) as (description, arrays):
        check_same_job(dict(description["job"]), plan.job, where=path, what="dynamics", hint="give another folder")
        unit = int(description["unit"])
        n_frames = plan.n_recorded(unit)
        state = _State(
            unit,
            arrays.floats("starts", shape),
            arrays.floats("positions", shape),
            arrays.floats("velocities", shape),
            np.zeros((2, plan.n_runs)),
            arrays.flags("kept", (plan.n_runs,)),
        )
        frames = arrays.floats("frames", (plan.n_runs, n_frames, *shape[1:]))
        kind = np.float32 if plan.constant_energy else np.float64
        return state, _Record(frames.astype(kind), arrays.floats("energies", (2, plan.n_runs, n_frames)))
