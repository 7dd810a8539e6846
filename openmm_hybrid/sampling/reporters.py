"""Trajectory and log of one start, written so that they can be truncated to any earlier frame.

The log is a CSV file with one line per frame; its numbers have all digits.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_hybrid.core.errors import HybridError, MismatchError
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.sampling.restart import Written

LOG_FIELDS = ("time", "potential", "kinetic", "total", "temperature")
"""Columns of the log, in ps, kcal/mol (the three energies) and K."""

_LOG_HEADER = ",".join(LOG_FIELDS) + "\n"
_MOST_STEPS = 1 << 31  # in the header of a DCD file


@dataclass(frozen=True)
class StartFiles:
    """Paths of the files of one start in the output folder; `replicas` consecutive starts share a checkpoint."""

    folder: Path
    index: int
    format: str
    replicas: int = 1

    @property
    def trajectory(self) -> Path:
        return self.folder / f"trajectory_{self.index}.{self.format}"

    @property
    def log(self) -> Path:
        return self.folder / f"log_{self.index}.csv"

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"checkpoint_{self.index // self.replicas}.zip"

    @property
    def last_good(self) -> Path:
        return self.folder / f"last_good_{self.index}.pdb"


class Recorder:
    """Writer of frames and log lines; a context manager that closes its files.

    Parameters
    ----------
    files : StartFiles
    topology : openmm.app.Topology
    timestep : float, fs
    interval : int
        Steps between frames.
    after : Written, optional
        Lengths of the files at the checkpoint of a resumed run; the files are truncated to them. Without it the files
        are created anew.

    Raises
    ------
    MismatchError
        A file is missing, or shorter than at the checkpoint.
    HybridError
        A file cannot be written.
    """

    def __init__(
        self,
        files: StartFiles,
        topology: app.Topology,
        *,
        timestep: float,
        interval: int,
        after: Written | None = None,
    ) -> None:
        self._files = files
        self.frames = after.frames if after else 0
        with _writing(files.trajectory):
            writer = _Dcd if files.format == "dcd" else _Xtc
            self._trajectory = writer(files.trajectory, topology, 1e-3 * timestep, interval, after)
        with _writing(files.log):
            if after:
                _cut(files.log, after.log_bytes)
            self._log = files.log.open("a" if after else "w", newline="")
            if not after:
                self._log.write(_LOG_HEADER)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        # The write that met a full disk has raised an error already; an error of closing must not replace it.
        for file in (self._trajectory, self._log):
            try:
                file.close()
            except OSError as closing:
                if error[0] is None:
                    raise _cannot_write(self._files.log, closing) from closing

    def append(self, positions: NDArray[np.float64], box: Any, log_line: tuple[float, ...]) -> None:
        """Store a frame: positions (n_atoms, 3) in nm, the box, and the numbers named by `LOG_FIELDS`."""
        with _writing(self._files.trajectory):
            self._trajectory.write(positions, box)
        with _writing(self._files.log):
            self._log.write(",".join(repr(float(number)) for number in log_line) + "\n")
            self._log.flush()
        self.frames += 1

    def sync(self) -> Written:
        """Flush all data to the disk and return the lengths of the files."""
        with _writing(self._files.trajectory):
            trajectory_bytes = self._trajectory.sync()
        with _writing(self._files.log):
            self._log.flush()
            os.fsync(self._log.fileno())
            return Written(self.frames, trajectory_bytes, self._files.log.stat().st_size)


class _Dcd:
    """OpenMM's DCD writer on a file that may be truncated; it takes positions in nm and stores float32."""

    def __init__(self, path: Path, topology: app.Topology, dt: float, interval: int, after: Written | None) -> None:
        if after:
            _cut(path, after.trajectory_bytes)
        self._file: BinaryIO = path.open("r+b" if after else "w+b")
        if after:
            # The header holds the number of frames and the last step (CHARMM's layout: int32 at bytes 8 and 20).
            # Where steps exceed int32, OpenMM's writer counts frames instead.
            last = after.frames if (after.frames + 1) * interval > _MOST_STEPS else after.frames * interval
            for offset, number in ((8, after.frames), (20, last)):
                self._file.seek(offset)
                self._file.write(struct.pack("<i", number))
        self._dcd = app.DCDFile(
            self._file, topology, dt, firstStep=interval, interval=interval, append=after is not None
        )

    def write(self, positions: NDArray[np.float64], box: Any) -> None:
        self._dcd.writeModel(positions, periodicBoxVectors=box)

    def sync(self) -> int:
        self._file.flush()
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        self._file.close()


class _Xtc:
    """OpenMM's XTC writer, which reopens the file for every frame and rounds to 0.001 nm."""

    def __init__(self, path: Path, topology: app.Topology, dt: float, interval: int, after: Written | None) -> None:
        self._path = path
        if after:
            _cut(path, after.trajectory_bytes)
        else:
            path.write_bytes(b"")
        append = path.stat().st_size > 0
        self._xtc = app.XTCFile(str(path), topology, dt, firstStep=interval, interval=interval, append=append)

    def write(self, positions: NDArray[np.float64], box: Any) -> None:
        before = self._path.stat().st_size
        self._xtc.writeModel(positions, periodicBoxVectors=box)
        if self._path.stat().st_size <= before:  # the C library reports no error
            raise OSError("the trajectory did not grow: no space is left, or it was removed")

    def sync(self) -> int:
        with self._path.open("rb") as file:
            os.fsync(file.fileno())
        return self._path.stat().st_size

    def close(self) -> None:
        """Do nothing: the file is not kept open."""


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an OSError or a damaged trajectory inside the block into a HybridError that names the file."""
    try:
        yield
    except (ValueError, struct.error) as error:
        if isinstance(error, HybridError):
            raise
        raise HybridError(f"{path} is damaged ({error})", hint="run again with overwrite=True (--overwrite)") from error
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> HybridError:
    return HybridError(
        f"cannot write {path}: {error.strerror or error}",
        hint="free space and call again: the run resumes from its last checkpoint, which is intact",
    )


def _cut(path: Path, length: int) -> None:
    present = path.stat().st_size if path.is_file() else 0
    if present < length:
        raise MismatchError(
            f"{path} has {present} bytes",
            expected=f"at least {length}, as at its checkpoint",
            hint="put the file back, or start again with overwrite=True (--overwrite)",
        )
    os.truncate(path, length)


def degrees_of_freedom(system: openmm.System) -> int:
    """Degrees of freedom: 3 per particle with mass, less constraints, less 3 with a CMMotionRemover."""
    massive = [system.getParticleMass(i).value_in_unit(unit.dalton) > 0 for i in range(system.getNumParticles())]
    constraints = (system.getConstraintParameters(i)[:2] for i in range(system.getNumConstraints()))
    removed = any(isinstance(force, openmm.CMMotionRemover) for force in system.getForces())
    return 3 * sum(massive) - sum(massive[i] or massive[j] for i, j in constraints) - 3 * removed


def log_line(time: float, potential: float, kinetic: float, n_dof: int) -> tuple[float, ...]:
    """Values of `LOG_FIELDS`: `time` in ps, energies in kcal/mol, and temperature 2 E_kin/(n_dof k) in K."""
    return time, potential, kinetic, potential + kinetic, 2.0 * kinetic / (max(n_dof, 1) * BOLTZMANN)
