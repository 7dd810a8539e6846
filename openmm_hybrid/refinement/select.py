"""Frames of a model's dynamics: sampling, intact ones, and those farthest from all that is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app
from scipy.spatial.distance import cdist, pdist

from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.sampling.sample import sample
from openmm_hybrid.sampling.sample_result import SampleResult

Floats = NDArray[np.float64]

BROKEN = 1.5
"""Length of a bond, relative to its largest length in the starts, from which on it counts as broken."""
HOT = 1.5
"""Temperature of the hot dynamics, relative to that of the others. Their frames hold the force field beyond its own."""
_TIMESTEP, _SETTLE = 1.0, 1000  # fs, and steps before the first frame


@final
@dataclass(frozen=True, eq=False)
class Pool:
    """Frames of a force field's own dynamics.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3), Å
        Frames with intact bonds; there may be none.
    n_broken : int
        Number of frames with a broken bond, which are left out.
    failure : str
        The error that ended the dynamics early, or an empty text.
    """

    positions: Floats
    n_broken: int
    failure: str


def sampled(
    system: openmm.System,
    topology: app.Topology,
    starts: Floats,
    folder: Path,
    *,
    duration: float,
    interval: int,
    temperature: float,
    seed: int,
    progress: bool,
) -> Pool:
    """Run dynamics of `duration` ps from each start; the same call again resumes or reads them.

    The starts run together; those in implicit water run one after another, since its force acts between all atoms.

    Parameters
    ----------
    system : openmm.System
    topology : openmm.app.Topology
    starts : (n_starts, n_atoms, 3), Å
    folder : Path
    duration : float, ps
    interval : int
        Steps of 1 fs between frames.
    temperature : float, K
    seed : int
    progress : bool
    """
    failure = ""
    implicit_water = any(isinstance(force, openmm.GBSAOBCForce) for force in system.getForces())
    try:
        result = sample(
            system, topology, starts, output=folder, duration=duration, temperature=temperature, timestep=_TIMESTEP,
            interval=interval, equilibration=_SETTLE, replicas=1 if implicit_water else len(starts), seed=seed,
            progress=progress,
        )  # fmt: skip
        frames = [start.positions.astype(np.float64) for start in result.starts]
    except NumericalError as error:
        failure = str(error)
        began = any(folder.glob("trajectory_0.*"))  # otherwise it failed before the first frame
        frames = [start.positions.astype(np.float64) for start in SampleResult.open(folder).starts] if began else []
    positions = np.concatenate([starts[:0], *frames])
    whole = intact(positions, topology, starts)
    return Pool(positions[whole], int((~whole).sum()), failure)


def intact(positions: Floats, topology: app.Topology, starts: Floats) -> NDArray[np.bool_]:
    """Mask (n_frames,) of the frames without a broken bond.

    A bond is broken from `BROKEN` times its largest length in the starts on.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3), Å
    topology : openmm.app.Topology
    starts : (n_starts, n_atoms, 3), Å
    """
    bonds = np.array([[bond[0].index, bond[1].index] for bond in topology.bonds()])
    at_rest = geometry.distance(starts, bonds).max(axis=0)
    lengths = geometry.distance(positions, bonds)
    return np.asarray((lengths < BROKEN * at_rest).all(axis=1))


def farthest(pool: Floats, known: Floats, count: int) -> NDArray[np.int64]:
    """Indices of `count` frames of a pool, each the farthest from all known frames and those chosen before it.

    The distance is that of all inverse interatomic distances. A pool without known frames starts with its first one.

    Parameters
    ----------
    pool : (n_frames, n_atoms, 3), Å
    known : (n_known, n_atoms, 3), Å
    count : int
        At most the number of frames.
    """
    if not len(pool):
        return np.zeros(0, dtype=np.int64)
    described = _inverse_distances(pool)
    nearest = np.full(len(pool), np.inf)
    if len(known):
        nearest = cdist(described, _inverse_distances(known)).min(axis=1)
    chosen: list[int] = []
    for _ in range(min(count, len(pool))):
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, np.linalg.norm(described - described[chosen[-1]], axis=1))
        nearest[chosen[-1]] = -1.0
    return np.array(chosen, dtype=np.int64)


def extended(known: Floats, pool: Floats, count: int) -> Floats:
    """Known frames (n_known, n_atoms, 3) and the `count` frames of a pool that are `farthest`."""
    return np.concatenate([known, pool[farthest(pool, known, count)]])


def _inverse_distances(positions: Floats) -> Floats:
    return np.array([1.0 / pdist(frame) for frame in positions])
