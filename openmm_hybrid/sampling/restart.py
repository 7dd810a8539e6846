"""Checkpoints: what a run needs to go on as if it had never stopped.

A checkpoint is one zip file: ``state.xml`` (positions, velocities, box, parameters; any platform and OpenMM version
reads it), ``context.chk`` (OpenMM's binary checkpoint, which holds the random numbers' state too; the same platform and
version read it) and ``run.json`` (step, frames, and the lengths of trajectories and logs at that moment). It is
replaced whole, so that there is a good one at every moment; what trajectory and log hold beyond it is cut off when the
run goes on.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import openmm

from openmm_hybrid.core.errors import HybridError, InputError, MismatchError
from openmm_hybrid.core.files import replacing
from openmm_hybrid.systems.xml import read_xml

SETTINGS = "settings.json"
_AFRESH = "start again with overwrite=True (--overwrite)"


@dataclass(frozen=True)
class Written:
    """What a start's trajectory and log hold: frames, and the files' lengths in bytes."""

    frames: int
    trajectory_bytes: int
    log_bytes: int


@dataclass(frozen=True)
class Progress:
    """Where the run of one start, or of the replicas in one context, stands.

    Parameters
    ----------
    step : int
        Steps of the stored part done; negative during equilibration.
    written : tuple of Written
        For each start, at this step.
    steps_run : int
        Steps run in all, with the equilibration.
    seconds : float
        Wall-clock time spent on them.
    made_on : str
        OpenMM's version, platform and device: what the binary checkpoint is bound to.
    exchanges : tuple of (attempts, exchanges)
        Of each replica's temperature with the next one's; empty where none are exchanged.
    """

    step: int
    written: tuple[Written, ...]
    steps_run: int
    seconds: float
    made_on: str
    exchanges: tuple[tuple[int, int], ...] = ()


def save_checkpoint(path: Path, context: openmm.Context, progress: Progress) -> None:
    """Write a checkpoint of `context`; the old one stays until the new one is complete."""
    state = context.getState(positions=True, velocities=True, parameters=True, integratorParameters=True)
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        archive.writestr("run.json", json.dumps(asdict(progress), indent=1))
        archive.writestr("state.xml", openmm.XmlSerializer.serialize(state))
        archive.writestr("context.chk", context.createCheckpoint())


def read_progress(path: Path) -> Progress | None:
    """Where the run stood at its last checkpoint; None without a checkpoint."""
    if not path.is_file():
        return None
    try:
        stored = json.loads(_member(path, "run.json"))
        written = tuple(Written(**each) for each in stored.pop("written"))
        exchanges = tuple((int(tried), int(done)) for tried, done in stored.pop("exchanges", ()))
        return Progress(**stored, written=written, exchanges=exchanges)
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path) from error


def restore(path: Path, context: openmm.Context) -> None:
    """Set `context` to the checkpoint: in every bit where platform and version are the same, else the plain state."""
    progress = json.loads(_member(path, "run.json"))
    if progress["made_on"] == made_on(context):
        context.loadCheckpoint(_member(path, "context.chk"))
        return
    text = _member(path, "state.xml").decode(errors="replace")
    context.setState(read_xml(text, path, openmm.State, hint=_AFRESH))


def made_on(context: openmm.Context) -> str:
    """What a binary checkpoint of `context` is bound to."""
    platform = context.getPlatform()
    names = [name for name in ("Threads", "Precision", "DeviceName") if name in platform.getPropertyNames()]
    properties = [f"{name}={platform.getPropertyValue(context, name)}" for name in names]
    return " ".join([f"OpenMM {openmm.version.version}", platform.getName(), *properties])


def _member(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (zipfile.BadZipFile, KeyError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(f"the checkpoint {path} is damaged", hint=_AFRESH)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep the output folder for this process; where the file system has no locks, nothing is kept.

    Raises
    ------
    InputError
        Another process is writing there.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise HybridError(f"cannot write to {folder}: {error.strerror}", hint="choose another folder") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another process is running a simulation in {folder}", hint="wait for it, or choose another folder"
            ) from None
        except OSError:  # a network file system without locks
            pass
        yield


def check_same_run(folder: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Compare `settings` with those of the run in `folder`, if there is one; then write them there.

    A longer run of the same kind (larger ``n_steps``) goes on from the old one's end. With `overwrite` the old run's
    files are removed first.

    Raises
    ------
    MismatchError
        The folder holds a run with other settings; the message says which.
    """
    path = folder / SETTINGS
    for temporary in folder.glob(".*-*.*"):  # of a process killed while it wrote; nobody else writes here now
        if temporary.name.startswith((".checkpoint_", ".settings-", ".topology-", ".last_good_")):
            temporary.unlink()
    if overwrite:
        _remove_run(folder)
    elif path.is_file():
        try:
            old = json.loads(path.read_text())
        except ValueError as error:
            raise InputError(
                f"{path} is damaged", hint="choose another folder or overwrite=True (--overwrite)"
            ) from error
        different = [_difference(key, old.get(key), value) for key, value in settings.items()]
        if any(different):
            raise MismatchError(
                f"the run in {folder} was made with other settings: {', '.join(filter(None, different))}",
                hint="use the same settings, another folder, or overwrite=True (--overwrite)",
            )
        if old == settings:
            return
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=1) + "\n")


def _difference(key: str, old: Any, new: Any) -> str:
    """What differs between the stored and the wanted value of one setting; empty if nothing does."""
    if key == "n_steps":
        return "" if old is not None and new >= old else f"n_steps {old} there, {new} now (longer is possible)"
    if key == "energies":
        # Bits of the energy differ between platforms and machines; another model differs by far more.
        close = (math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-2) for a, b in zip(old or [], new, strict=False))
        return "" if old is not None and len(old) == len(new) and all(close) else "energy of the start"
    if key == "platform" or old == new:  # the platform is noted, and may change
        return ""
    return key if isinstance(new, str) and len(new) == 64 else f"{key} {old} there, {new} now"


def _remove_run(folder: Path) -> None:
    # Checkpoints first and settings last: a removal that is cut short must leave nothing that another run goes on from.
    for pattern in ("checkpoint_*.zip", "trajectory_*", "log_*.csv", "last_good_*.pdb", "topology.pdb", SETTINGS):
        for path in folder.glob(pattern):
            path.unlink()
