"""Does a combination of packages work? Tried once, in a process of its own, and remembered by the versions.

Binary packages that do not fit together end the process (segmentation fault, abort) at the first force call, at the
serializer or in deepcopy, which no ``try`` catches.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import openmm

import openmm_hybrid
from openmm_hybrid.core.errors import HybridError
from openmm_hybrid.core.files import replacing

_TIME_LIMIT = 300.0


@dataclass(frozen=True)
class Outcome:
    """What a trial showed: whether it ran to its end, and how it ended if it did not."""

    ok: bool
    detail: str


def installed(distribution: str) -> str:
    """Version of an installed distribution, or an empty text."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def probe(code: str, distributions: tuple[str, ...], *, refresh: bool = False) -> Outcome:
    """Run Python code in a new process; what it showed is kept in the user's cache for these versions.

    Parameters
    ----------
    code : str
        Python source; it works if it ends with exit status 0.
    distributions : tuple of str
        Whose versions the outcome depends on, beside Python's and this package's.
    refresh : bool
        Run it even where an outcome is kept.
    """
    found = ", ".join(f"{name} {installed(name) or 'missing'}" for name in distributions)
    key = json.dumps([code, found, platform.python_version(), sys.prefix, openmm_hybrid.__version__])
    kept = cache_folder() / f"probe-{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
    if not refresh:
        before = _read(kept)
        if before is not None:
            return before
    outcome, final = _run(code, found)
    if final:
        try:
            with replacing(kept) as temporary:
                temporary.write_text(json.dumps(asdict(outcome)))
        except HybridError:
            pass  # A home that cannot be written to costs a few seconds at the next start, nothing else.
    return outcome


def cache_folder() -> Path:
    """The user's cache folder for this package: $XDG_CACHE_HOME/openmm-hybrid, ~/.cache/openmm-hybrid by default."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "openmm-hybrid"


def _read(kept: Path) -> Outcome | None:
    try:
        stored = json.loads(kept.read_text())
        return Outcome(ok=bool(stored["ok"]), detail=str(stored["detail"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _run(code: str, found: str) -> tuple[Outcome, bool]:
    """The outcome, and whether to keep it: an error that Python shows may be mended without other versions."""
    try:
        ended = subprocess.run(
            # -P: the packages are tried, not files of the same names in the working folder.
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome(ok=False, detail=f"the trial took longer than {_TIME_LIMIT:.0f} s with {found}"), False
    except OSError as error:
        return Outcome(ok=False, detail=f"the trial could not be started: {error}"), False
    if ended.returncode == 0:
        return Outcome(ok=True, detail=found), True
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        # SIGKILL and SIGTERM come from outside (memory, batch system), not from the packages.
        return Outcome(ok=False, detail=f"the process ended by {name} with {found}"), name not in ("SIGKILL", "SIGTERM")
    lines = ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"]
    return Outcome(ok=False, detail=f"{lines[-1]} with {found}"), False


def self_test(force: openmm.Force) -> None:
    """What a backend's trial does with a force that stands for ½ Σ x² (nm, kJ/mol): everything that has crashed before.

    Energy and forces on the Reference platform, of the force itself, of one read back from XML, and of a deepcopy.

    Raises
    ------
    SystemExit
        The energy or the forces are wrong.
    """
    system = openmm.System()
    system.addParticle(1.0)
    system.addForce(force)
    again = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    for candidate in (system, again, copy.deepcopy(system)):
        platform_used = openmm.Platform.getPlatformByName("Reference")
        context = openmm.Context(candidate, openmm.VerletIntegrator(0.001), platform_used)
        context.setPositions([[1.0, 2.0, 3.0]])
        state = context.getState(energy=True, forces=True)
        energy = state.getPotentialEnergy().value_in_unit_system(openmm.unit.md_unit_system)
        forces = state.getForces(asNumpy=True).value_in_unit_system(openmm.unit.md_unit_system)
        if abs(energy - 7.0) > 1e-9 or abs(forces - [[-1.0, -2.0, -3.0]]).max() > 1e-9:
            raise SystemExit(f"energy {energy} and forces {forces.tolist()} of a spring are wrong")
