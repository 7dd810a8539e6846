"""Code that may end its process: run in a separate process, with the outcome cached by the packages' versions.

Binary packages that do not fit together end the process (segmentation fault, abort) at the first force call, in the
serializer or in deepcopy. No ``try`` catches that.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import final

import openmm_hybrid
from openmm_hybrid.core.errors import HybridError
from openmm_hybrid.core.files import fingerprint, replacing

_TIME_LIMIT = 300.0


@final
@dataclass(frozen=True)
class Outcome:
    """Outcome of a trial: whether the code ran to its end, with the versions or the reason why it did not."""

    ok: bool
    detail: str


@final
@dataclass(frozen=True)
class Ended:
    """End of a process.

    Parameters
    ----------
    output : str
        Text that it printed.
    problem : str
        Reason why it did not exit with status 0; empty if it did.
    crashed : bool
        True if a signal from inside the process ended it (SIGSEGV, SIGABRT), which only other packages can change.
    """

    output: str
    problem: str = ""
    crashed: bool = False


def run_python(code: str, *arguments: str, time_limit: float) -> Ended:
    """Run Python code in a new process, which imports nothing from the working folder.

    Parameters
    ----------
    code : str
        Python source.
    *arguments : str
        ``sys.argv[1:]`` of the process.
    time_limit : float
        Seconds after which the process is ended.
    """
    try:
        run = subprocess.run(
            [sys.executable, "-P", "-c", code, *arguments],  # -P: without the working folder on sys.path
            capture_output=True,
            text=True,
            timeout=time_limit,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ended("", f"no answer after {time_limit:.0f} s")
    except OSError as error:
        return Ended("", f"the process could not be started: {error}")
    if run.returncode == 0:
        return Ended(run.stdout)
    if run.returncode < 0:
        name = signal.Signals(-run.returncode).name
        # SIGKILL and SIGTERM come from outside (memory, batch system), not from the packages.
        return Ended(run.stdout, f"the process was ended by {name}", name not in ("SIGKILL", "SIGTERM"))
    lines = run.stderr.strip().splitlines() or [f"exit status {run.returncode}"]
    return Ended(run.stdout, lines[-1])


def installed(distribution: str) -> str:
    """Version of an installed distribution; empty if it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def probe(code: str, distributions: tuple[str, ...], *, refresh: bool = False) -> Outcome:
    """Try Python code in a new process; the outcome is cached in the user's folder for these versions.

    Parameters
    ----------
    code : str
        Python source. It works if its process exits with status 0.
    distributions : tuple of str
        Packages whose versions the outcome depends on, besides those of Python and this package.
    refresh : bool
        Run the code even if an outcome is cached.
    """
    found = ", ".join(f"{name} {installed(name) or 'missing'}" for name in distributions)
    key = json.dumps([code, found, platform.python_version(), sys.prefix, openmm_hybrid.__version__])
    cached = cache_folder() / f"probe-{fingerprint(key)[:24]}.json"
    if not refresh:
        before = _read(cached)
        if before is not None:
            return before
    ended = run_python(code, time_limit=_TIME_LIMIT)
    outcome = Outcome(ok=not ended.problem, detail=f"{ended.problem} with {found}" if ended.problem else found)
    # An error that Python shows (a missing library) may go away without other versions, so it is not cached.
    if outcome.ok or ended.crashed:
        try:
            with replacing(cached) as temporary:
                temporary.write_text(json.dumps(asdict(outcome)))
        except HybridError:
            pass  # Without a cache, the next start takes a few seconds longer.
    return outcome


def cache_folder() -> Path:
    """The user's cache folder for this package: $XDG_CACHE_HOME/openmm-hybrid, by default ~/.cache/openmm-hybrid."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "openmm-hybrid"


def _read(cached: Path) -> Outcome | None:
    try:
        stored = json.loads(cached.read_text())
        return Outcome(ok=bool(stored["ok"]), detail=str(stored["detail"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
