"""Frames of a model's dynamics at constant temperature: many runs in one batch, which resumes from its file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.core.same_job import check_same_job
from openmm_hybrid.core.versioned_npz import NpzFormat, reading, write
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.langevin import Langevin
from openmm_hybrid.models.minima import relax_by
from openmm_hybrid.studies.subject import Predict, conformers, intact

Floats = NDArray[np.float64]

UNIT = 10
"""Steps between two possible stops; a multiple of it lies between two frames."""

_FORMAT = NpzFormat("openmm-hybrid thermal frames", version=1, what="frames of dynamics", hint="remove the file")
_FRICTION = 0.01  # 1/fs
_RELAXED = 0.5  # largest force of a start, kcal/mol/Å: the equilibration does the rest
_SAVE_EVERY = 5.0  # least seconds between two writings of unfinished runs
_PAUSE = 20.0  # least time between two writings, relative to the time that one takes


@final
@dataclass(frozen=True, eq=False)
class ThermalPlan:
    """Langevin dynamics of many runs that do not interact.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    bonds : (n_bonds, 2)
    temperature : float, K
    timestep : float, fs
    n_equilibration : int
        Units of `UNIT` steps before the first frame.
    stride : int
        Units between two frames.
    n_frames : int
        Frames of each run.
    n_runs : int
    seed : int
    """

    atomic_numbers: NDArray[np.int64] = field(repr=False)
    bonds: NDArray[np.int64] = field(repr=False)
    temperature: float
    timestep: float
    n_equilibration: int
    stride: int
    n_frames: int
    n_runs: int
    seed: int

    @property
    def interval(self) -> float:
        """Time between two frames, fs."""
        return self.stride * UNIT * self.timestep

    @property
    def total(self) -> int:
        """Number of units, with the equilibration."""
        return self.n_equilibration + self.n_frames * self.stride

    @property
    def job(self) -> dict[str, Any]:
        """The settings that decide the runs, as JSON holds them."""
        names = ("temperature", "timestep", "n_equilibration", "stride", "n_frames", "n_runs", "seed")
        return {name: getattr(self, name) for name in names}

    def integrator(self, unit: int) -> Langevin:
        """The integrator of a unit, with random numbers of its own."""
        rng = np.random.default_rng([self.seed, unit + 1])
        return Langevin(self.atomic_numbers, self.temperature, self.timestep, _FRICTION, rng)


@final
@dataclass(frozen=True, eq=False)
class _State:
    """All runs after a number of units, with the frames so far."""

    unit: int
    starts: Floats  # (n_runs, n_atoms, 3)
    positions: Floats
    velocities: Floats
    kept: NDArray[np.bool_]
    frames: Floats  # (n_runs, frames so far, n_atoms, 3)


def relaxed_conformers(predict: Predict, molecule: Molecule, n_conformers: int, seed: int) -> Floats:
    """Conformers of a molecule (n, n_atoms, 3), Å, each relaxed in a model.

    Those that do not relax, or lose a bond, are left out.

    Raises
    ------
    NumericalError
        None is left.
    """
    found = []
    for start in conformers(molecule, n_conformers, seed):
        try:
            positions, _ = relax_by(predict, start, max_force=_RELAXED)
        except NumericalError:
            continue
        if intact(positions[None], molecule.positions, molecule.bonds)[0]:
            found.append(positions)
    if not found:
        raise NumericalError(
            f"no conformer of {molecule.name} relaxes to a geometry with intact bonds",
            hint="give a geometry within the range of the model",
        )
    return np.array(found)


def thermal_frames(
    plan: ThermalPlan, predict: Predict, starts: Callable[[], Floats], path: Path, description: str, *, progress: bool
) -> Floats:
    """Carry out the runs of a plan, or resume them from their file.

    Parameters
    ----------
    plan : ThermalPlan
    predict : function
    starts : function
        Returns geometries (n, n_atoms, 3), Å, over which the runs are distributed. Called for new runs only.
    path : Path
        File for the runs. It is also written during the runs, and resumed runs have the result of undisturbed ones.
    description : str
        The work, for the progress bar.
    progress : bool

    Returns
    -------
    (n_kept, n_frames, n_atoms, 3), Å
        Frames of the runs that kept all bonds.

    Raises
    ------
    MismatchError
        The file belongs to other runs.
    NumericalError
        Fewer than half of the runs keep all bonds.
    """
    state = _read(path, plan) if path.is_file() else _first(plan, starts())
    last, pause = time.monotonic(), _SAVE_EVERY
    recorded, unfinished = [state.frames], state.unit < plan.total
    with progress_bar(
        plan.total * UNIT, description, "steps", done=state.unit * UNIT, enabled=progress and unfinished
    ) as advance:
        forces = predict(state.positions)[1] if unfinished else np.zeros(0)
        while state.unit < plan.total:
            state, forces = _advanced(plan, predict, state, forces)
            past = state.unit - plan.n_equilibration
            if past > 0 and past % plan.stride == 0:
                recorded.append(state.positions[:, None])
            began = time.monotonic()
            if state.unit == plan.total or began - last > pause:
                recorded = [np.concatenate(recorded, axis=1)]
                _write(path, plan, replace(state, frames=recorded[0]))
                last = time.monotonic()
                pause = max(_SAVE_EVERY, _PAUSE * (last - began))
            advance(UNIT)
    if 2 * state.kept.sum() < plan.n_runs:
        raise NumericalError(
            f"{plan.n_runs - state.kept.sum()} of {plan.n_runs} runs at {plan.temperature:g} K lost a bond",
            hint="lower the temperature or the timestep, or use a model that holds at this temperature",
        )
    return recorded[0][state.kept]


def _first(plan: ThermalPlan, starts: Floats) -> _State:
    r = starts[np.arange(plan.n_runs) % len(starts)]
    v = plan.integrator(-1).velocities(r.shape)
    nothing = np.zeros((plan.n_runs, 0, *r.shape[1:]))
    return _State(0, r, r, v, np.ones(plan.n_runs, dtype=bool), nothing)


def _advanced(plan: ThermalPlan, predict: Predict, state: _State, forces: Floats) -> tuple[_State, Floats]:
    """The state one unit later, and its forces."""
    integrator = plan.integrator(state.unit)
    r, v, f = state.positions, state.velocities, forces
    for _ in range(UNIT):
        r, v, f = integrator.step(lambda positions: predict(positions)[1], r, v, f)
    whole = [
        intact(found[None], start, plan.bonds)[0] for found, start in zip(r, state.starts, strict=True)
    ]  # relative to the start of each run
    kept = state.kept & np.array(whole)
    if not kept.all():  # a lost run rests at its start, so that its coordinates stay finite
        r, v = (np.where(kept[:, None, None], found, rest) for found, rest in ((r, state.starts), (v, 0.0)))
        f = predict(r)[1]
    return replace(state, unit=state.unit + 1, positions=r, velocities=v, kept=kept), f


def _write(path: Path, plan: ThermalPlan, state: _State) -> None:
    arrays = {
        "starts": state.starts,
        "positions": state.positions,
        "velocities": state.velocities,
        "kept": state.kept,
        "frames": state.frames,
    }
    write(path, _FORMAT, {"job": plan.job, "unit": state.unit}, arrays, compressed=False)


def _read(path: Path, plan: ThermalPlan) -> _State:
    shape = (plan.n_runs, len(plan.atomic_numbers), 3)
    with reading(path, _FORMAT) as (description, arrays):
        check_same_job(dict(description["job"]), plan.job, where=path, what="dynamics", hint="give another folder")
        unit = int(description["unit"])
        n_frames = max(unit - plan.n_equilibration, 0) // plan.stride
        return _State(
            unit,
            arrays.floats("starts", shape),
            arrays.floats("positions", shape),
            arrays.floats("velocities", shape),
            arrays.flags("kept", (plan.n_runs,)),
            arrays.floats("frames", (plan.n_runs, n_frames, *shape[1:])),
        )
