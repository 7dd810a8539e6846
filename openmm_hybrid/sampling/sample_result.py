"""Results of a sampling run, read from its folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded, read_json
from openmm_hybrid.core.units import ANGSTROM_PER_NM
from openmm_hybrid.sampling.reporters import LOG_FIELDS, StartFiles
from openmm_hybrid.sampling.restart import SETTINGS, read_progress

_RESUME = "run again with overwrite=True (--overwrite)"


@dataclass(frozen=True)
class StartResult:
    """The run from one start. Arrays are read from the files on access.

    Parameters
    ----------
    files : StartFiles
    timestep : float, fs
    temperature : float, K
        Temperature of the thermostat.
    """

    files: StartFiles
    timestep: float
    temperature: float

    @property
    def positions(self) -> NDArray[np.float64]:
        """Frames (n_frames, n_atoms, 3), Å: float32 from DCD, rounded to 0.01 Å from XTC."""
        return read_trajectory(self.files.trajectory)

    @property
    def log(self) -> NDArray[np.void]:
        """One row per frame (n_frames,): time (ps), potential, kinetic, total (kcal/mol), temperature (K)."""
        return read_log(self.files.log)

    @property
    def speed(self) -> float:
        """Simulated ns per day of wall-clock time, over all steps up to the last checkpoint."""
        return _speed([self])


@dataclass(frozen=True)
class SampleResult:
    """A sampling run, returned by `sample` or read from a folder by `SampleResult.open`.

    Parameters
    ----------
    path : Path
        The output folder; ``topology.pdb`` in it opens the trajectories in any viewer.
    starts : tuple of StartResult
    """

    path: Path
    starts: tuple[StartResult, ...]

    @property
    def net_charge(self) -> int | None:
        """Net charge (e) of the System that was run; None if it is not known."""
        hint = "run again with overwrite=True (--overwrite)"
        found = read_json(self.path / SETTINGS, expected="the settings of a run", hint=hint).get("net_charge")
        if found is not None and (isinstance(found, bool) or not isinstance(found, int)):
            raise InputError(f"the net charge in {self.path / SETTINGS} is {found!r}", expected="an integer", hint=hint)
        return found

    @classmethod
    def open(cls, path: str | Path) -> SampleResult:
        """The run in a folder, finished or not.

        Raises
        ------
        InputError
            There is no run, its settings are damaged, or it has no trajectory yet.
        """
        folder = expanded(path)
        if not (folder / SETTINGS).is_file():
            raise InputError(f"there is no sampling run in {folder}", expected=f"a folder with a {SETTINGS}")
        try:
            settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
            form, together = str(settings["format"]), int(settings.get("replicas", 1))
            files = [StartFiles(folder, index, form, together) for index in range(settings["n_starts"])]
            timestep = float(settings["timestep"])
            temperatures = np.broadcast_to(np.array(settings["temperature"], dtype=np.float64), len(files)).tolist()
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, MemoryError):
            raise InputError(
                f"{folder / SETTINGS} is damaged", hint="run again with overwrite=True (--overwrite)"
            ) from None
        runs = zip(files, temperatures, strict=True)
        starts = tuple(StartResult(file, timestep, kelvin) for file, kelvin in runs if file.trajectory.is_file())
        if not starts:
            raise InputError(f"the run in {folder} has no trajectory yet", hint="resume it: call sample again")
        return cls(folder, starts)

    def at(self, temperature: float) -> SampleResult:
        """The starts at one temperature, K.

        Raises
        ------
        InputError
            No start has this temperature.
        """
        starts = tuple(start for start in self.starts if np.isclose(start.temperature, temperature))
        if not starts:
            present = ", ".join(f"{kelvin:g}" for kelvin in dict.fromkeys(start.temperature for start in self.starts))
            raise InputError(f"no start of {self.path} is at {temperature:g} K", expected=f"one of {present}")
        return SampleResult(self.path, starts)

    @property
    def exchange_rate(self) -> NDArray[np.float64]:
        """Acceptance rate (n_starts,) of the exchanges of each start with the next one; NaN without attempts."""
        checkpoints = dict.fromkeys(start.files.checkpoint for start in self.starts)
        counts = {path: _exchanges(path) for path in checkpoints}
        replicas = ((start.files.checkpoint, start.files.index % start.files.replicas) for start in self.starts)
        pairs = [counts[path][index] if counts[path] else (0, 0) for path, index in replicas]
        return np.array([done / tried if tried else np.nan for tried, done in pairs])

    @property
    def positions(self) -> NDArray[np.float64]:
        """Frames (n_frames, n_atoms, 3), Å, of all starts, one start after another."""
        return np.concatenate([start.positions for start in self.starts])

    @property
    def log(self) -> NDArray[np.void]:
        """Logs of all starts, with rows in the order of `positions`; ``start`` is the number of a start in the run."""
        parts = [start.log for start in self.starts]
        table = np.empty(
            sum(map(len, parts)), dtype=[("start", np.int64), *((name, np.float64) for name in LOG_FIELDS)]
        )
        numbers = np.array([start.files.index for start in self.starts], dtype=np.int64)
        table["start"] = np.repeat(numbers, [len(part) for part in parts])
        for name in LOG_FIELDS:
            table[name] = np.concatenate([part[name] for part in parts])
        return table

    @property
    def speed(self) -> float:
        """Simulated ns per day of wall-clock time, summed over all starts; every replica counts."""
        return _speed(self.starts)


def _speed(starts: Sequence[StartResult]) -> float:
    """Speed of all starts together, ns/day; replicas share the wall-clock time of their context."""
    nanoseconds, seconds = 0.0, {}
    for start in starts:
        progress = read_progress(start.files.checkpoint)
        if progress is not None:
            nanoseconds += 1e-6 * start.timestep * progress.steps_run
            seconds[start.files.checkpoint] = progress.seconds
    spent = sum(seconds.values())
    return 86400.0 * nanoseconds / spent if spent > 0 else 0.0


def _exchanges(checkpoint: Path) -> tuple[tuple[int, int], ...]:
    progress = read_progress(checkpoint)
    return () if progress is None else progress.exchanges


def read_log(path: Path) -> NDArray[np.void]:
    """A log as a structured array with the fields of `LOG_FIELDS` and one row per frame."""
    try:
        rows = [tuple(map(float, line.split(","))) for line in path.read_text(encoding="utf-8").splitlines()[1:]]
        return np.array(rows, dtype=[(name, np.float64) for name in LOG_FIELDS])
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged", hint=_RESUME) from error


def read_trajectory(path: Path) -> NDArray[np.float64]:
    """Positions (n_frames, n_atoms, 3) of a DCD or XTC file of a run, Å (float32, or 0.01 Å, on disk)."""
    if path.suffix == ".dcd":
        positions = _read_dcd(path)
    else:
        from mdtraj.formats import XTCTrajectoryFile

        try:
            with XTCTrajectoryFile(str(path)) as file:
                positions = np.asarray(file.read()[0], dtype=np.float64) * ANGSTROM_PER_NM
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            raise InputError(f"{path} is damaged", hint=_RESUME) from error
    if not np.isfinite(positions).all():
        raise InputError(f"{path} is damaged: a coordinate is not finite", hint=_RESUME)
    return positions


def _read_dcd(path: Path) -> NDArray[np.float64]:
    """Positions of a DCD file as OpenMM writes it (CHARMM's layout, little-endian, a header of 276 bytes).

    mdtraj reads it too, but prints to standard output, which is for the results of commands.
    """
    header = np.fromfile(path, dtype="<i4", count=69)
    if len(header) < 69 or header[0] != 84 or header[23] != 164:
        raise InputError(f"{path} is not a DCD file written by OpenMM", hint=_RESUME)
    n_frames, has_box, n_atoms = int(header[2]), bool(header[12]), int(header[67])
    if n_atoms < 1 or n_frames < 0:
        raise InputError(f"{path} is damaged: its header claims {n_frames} frames of {n_atoms} atoms", hint=_RESUME)
    frame_bytes = 3 * (4 * n_atoms + 8) + (56 if has_box else 0)
    stored = path.stat().st_size - 276
    if n_frames * frame_bytes > stored:
        raise InputError(
            f"{path} is damaged: its header claims {n_frames} frames of {n_atoms} atoms",
            expected=f"no more than its {stored} bytes",
            hint=_RESUME,
        )
    axes = [(axis, [("before", "<i4"), ("values", "<f4", (n_atoms,)), ("after", "<i4")]) for axis in "xyz"]
    frame = np.dtype([("box", "V56"), *axes] if has_box else axes)
    frames = np.fromfile(path, dtype=frame, count=n_frames, offset=276)
    return np.stack([frames[axis]["values"] for axis in "xyz"], axis=-1).astype(np.float64)
