"""Checkpoints, from which a run resumes as if it had never stopped.

A checkpoint is one zip file with three members:

- ``state.xml``: positions, velocities, box and parameters, for any platform and OpenMM version;
- ``context.chk``: OpenMM's binary checkpoint, which also holds the state of the random numbers, for the same platform
  and version only;
- ``run.json``: step, frames, and the lengths of trajectories and logs at that moment.

It is replaced whole, so a good one exists at every moment. When the run resumes, trajectory and log are cut back to the
lengths in the checkpoint.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import openmm

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import DAMAGE, check_zip, replacing
from openmm_hybrid.core.same_job import ignored, note_job
from openmm_hybrid.systems.xml import read_xml

SETTINGS = "settings.json"
_AFRESH = "start again with overwrite=True (--overwrite)"


@dataclass(frozen=True)
class Written:
    """Frames in the trajectory and log of one start, and the files' lengths in bytes."""

    frames: int
    trajectory_bytes: int
    log_bytes: int


@dataclass(frozen=True)
class Progress:
    """Progress of the run of one start, or of the replicas in one context.

    Parameters
    ----------
    step : int
        Steps done of the stored part; negative during equilibration.
    written : tuple of Written
        For each start, at this step.
    steps_run : int
        Steps run in total, including the equilibration.
    seconds : float
        Wall-clock time spent on them.
    made_on : str
        OpenMM's version, platform and device, which the binary checkpoint is bound to.
    exchanges : tuple of (attempts, exchanges)
        For each pair of neighbouring temperatures; empty without replica exchange.
    """

    step: int
    written: tuple[Written, ...]
    steps_run: int
    seconds: float
    made_on: str
    exchanges: tuple[tuple[int, int], ...] = ()


def save_checkpoint(path: Path, context: openmm.Context, progress: Progress) -> None:
    """Write a checkpoint of `context`; the old one is kept until the new one is complete."""
    state = context.getState(positions=True, velocities=True, parameters=True, integratorParameters=True)
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        archive.writestr("run.json", json.dumps(asdict(progress), indent=1))
        archive.writestr("state.xml", openmm.XmlSerializer.serialize(state))
        archive.writestr("context.chk", context.createCheckpoint())


def read_progress(path: Path) -> Progress | None:
    """Progress of the run at its last checkpoint; None without a checkpoint."""
    if not path.is_file():
        return None
    try:
        stored = json.loads(_member(path, "run.json"))
        written = tuple(Written(**entry) for entry in stored.pop("written"))
        exchanges = tuple((int(tried), int(done)) for tried, done in stored.pop("exchanges", ()))
        return Progress(**stored, written=written, exchanges=exchanges)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise _damaged(path) from error


def restore(path: Path, context: openmm.Context) -> None:
    """Set `context` to the checkpoint: bit for bit on the same platform and version, otherwise the plain state."""
    progress = read_progress(path)
    if progress is not None and progress.made_on == made_on(context):
        try:
            context.loadCheckpoint(_member(path, "context.chk"))
        except (openmm.OpenMMException, ValueError) as error:
            raise _damaged(path) from error
        return
    text = _member(path, "state.xml").decode(errors="replace")
    context.setState(read_xml(text, path, openmm.State, hint=_AFRESH))


def made_on(context: openmm.Context) -> str:
    """OpenMM's version, platform and device, which a binary checkpoint of `context` is bound to."""
    platform = context.getPlatform()
    names = [name for name in ("Threads", "Precision", "DeviceName") if name in platform.getPropertyNames()]
    properties = [f"{name}={platform.getPropertyValue(context, name)}" for name in names]
    return " ".join([f"OpenMM {openmm.version.version}", platform.getName(), *properties])


def _member(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(archive, path)
            return archive.read(name)
    except DAMAGE as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(f"the checkpoint {path} is damaged", hint=_AFRESH)


def check_same_run(folder: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Compare `settings` with those of the run in `folder`, if there is one; then write them there.

    A longer run of the same kind (larger ``n_steps``) resumes at the end of the old one. With `overwrite` the old run's
    files are removed first.

    Raises
    ------
    MismatchError
        The folder holds a run with other settings; the message says which.
    InputError
        The folder's settings.json is damaged, or not that of a run, or there is a topology.pdb without a run.
    """
    for temporary in folder.glob(".*-*.*"):  # left by a process killed while it wrote; the lock keeps others out now
        if temporary.name.startswith((".checkpoint_", ".settings-", ".topology-", ".last_good_")):
            temporary.unlink()
    if _foreign(folder / SETTINGS):
        raise InputError(
            f"{folder / SETTINGS} is not the settings of a sampling run, and would be overwritten",
            hint="choose another folder",
        )
    if overwrite and (folder / SETTINGS).is_file():
        _remove_run(folder)
    if not (folder / SETTINGS).is_file() and (folder / "topology.pdb").exists():
        raise InputError(
            f"{folder} holds a topology.pdb, but no sampling run",
            expected="an empty folder, or that of a run",
            hint="choose another folder, or move this file away",
        )
    note_job(folder / SETTINGS, settings, what="sampling run", hint=_OTHER, rules=_RULES)


def _longer(found: Any, wanted: Any) -> str:
    possible = isinstance(found, int) and wanted >= found
    return "" if possible else f"n_steps {found} there, {wanted} now (longer is possible)"


def _close(found: Any, wanted: Any) -> str:
    # The last bits of an energy differ between platforms and machines; another model differs by far more.
    close = (math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-2) for a, b in zip(found or [], wanted, strict=False))
    return "" if found is not None and len(found) == len(wanted) and all(close) else "energy of the start differs"


_RULES = {"n_steps": _longer, "energies": _close, "platform": ignored, "net_charge": ignored}
_OTHER = "use the same settings, another folder, or overwrite=True (--overwrite)"


# Checkpoints first and settings last: after a removal that is cut short, no other run can resume from the rest.
_NAMES = (
    r"checkpoint_\d+\.zip",
    r"trajectory_\d+\.(dcd|xtc)",
    r"log_\d+\.csv",
    r"last_good_\d+\.pdb",
    r"topology\.pdb",
    r"settings\.json",
)


def _remove_run(folder: Path) -> None:
    present = sorted(folder.iterdir())
    for name in _NAMES:
        for found in present:
            if re.fullmatch(name, found.name):
                found.unlink()


def _foreign(path: Path) -> bool:
    """Whether there is a whole settings.json that is no run's; a damaged one may be that of a run."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return not isinstance(found, dict) or "n_starts" not in found
