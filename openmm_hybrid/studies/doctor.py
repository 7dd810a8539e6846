"""What of this package can run on this machine, and what to do about the rest.

Every check that loads compiled code runs in a process of its own: a clash of binaries ends that process, not the
user's.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from openmm_hybrid.errors import HybridError
from openmm_hybrid.studies.result import PACKAGES, machine, versions

_TIMEOUT = 120.0  # seconds for one check; compiling the first OpenCL kernel takes the longest
_MORE_PACKAGES = ("ase", "mdtraj", "openmmforcefields", "openff-toolkit", "acpype", "scipy", "h5py")

_PLATFORMS = """
try:
    import torch  # openmmtorch's plugins need torch's libraries in the process
except ImportError:
    pass
import openmm
names = [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]
answer = {"names": names, "failures": list(openmm.Platform.getPluginLoadFailures())}
"""
_CONTEXT = """
import openmm
platform = openmm.Platform.getPlatformByName(sys.argv[1])
system = openmm.System()
system.addParticle(1.0)
context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
properties = {name: platform.getPropertyValue(context, name) for name in platform.getPropertyNames()}
answer = properties.get("DeviceName", "")
"""
_CUDA = """
import torch
answer = torch.cuda.get_device_name() if torch.cuda.is_available() else None
"""


@dataclass(frozen=True)
class Check:
    """The state of one thing.

    Parameters
    ----------
    status : str
        "works", "missing" (not installed), "incompatible" (installed, but not in a version that works here) or
        "fails" (installed, yet does not run).
    detail : str
        Version, path, device, or what went wrong.
    mend : str
        What to do about it; empty where nothing is to be done.
    """

    status: str
    detail: str = ""
    mend: str = ""


@dataclass(frozen=True)
class Report:
    """Everything that `examine` found.

    Parameters
    ----------
    versions : mapping of package to version
    machine : mapping
        Processor, cores, system.
    checks : mapping of section ("platforms", "backends", "programs", "packages", "gpu") to name to Check
    lacks : tuple of str
        What the package's main job (GAFF with RESP charges, GFN2-xTB labels, a correction in OpenMM) lacks here, one
        line each; empty if it can run.
    """

    versions: Mapping[str, str]
    machine: Mapping[str, Any]
    checks: Mapping[str, Mapping[str, Check]]
    lacks: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Can the main job run on this machine?"""
        return not self.lacks

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready dictionary."""
        return {"name": "doctor", "ready": self.ready, **asdict(self)}


def examine() -> Report:
    """Check versions, platforms, backends, programs, packages and GPUs. Takes some seconds; changes nothing."""
    with ThreadPoolExecutor() as pool:
        listing = pool.submit(_in_process, _PLATFORMS)
        sections = {
            "backends": pool.submit(_backends),
            "programs": pool.submit(_each, _PROGRAMS),
            "packages": pool.submit(_each, _IMPORTS),
            "gpu": pool.submit(_gpu),
        }
        platforms = _platforms(listing.result())
        checks = {"platforms": platforms} | {name: section.result() for name, section in sections.items()}
    return Report(_versions(), machine(), checks, _lacks(checks))


def _versions() -> dict[str, str]:
    found = versions()
    for package in (*PACKAGES, *_MORE_PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _in_process(code: str, *arguments: str) -> tuple[Any, str]:
    """Run `code`, which sets `answer`, in its own process: (answer, "") or (None, what went wrong)."""
    program = f"import json, sys\n{code}\nprint(json.dumps(answer))\n"
    try:
        run = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"no answer after {_TIMEOUT:.0f} s"
    if run.returncode < 0:
        return None, f"the process was ended by {signal.Signals(-run.returncode).name}"
    if run.returncode > 0:
        lines = run.stderr.strip().splitlines()
        return None, lines[-1] if lines else f"exit status {run.returncode}"
    return json.loads(run.stdout.splitlines()[-1]), ""


def _platforms(listing: tuple[Any, str]) -> dict[str, Check]:
    answer, problem = listing
    if problem:
        return {"OpenMM": Check("fails", problem, 'pip install --force-reinstall "openmm>=8.4"')}
    with ThreadPoolExecutor() as pool:
        contexts = list(pool.map(lambda name: _in_process(_CONTEXT, name), answer["names"]))
    found = {}
    for name, (device, trouble) in zip(answer["names"], contexts, strict=True):
        mend = "install the device's driver, or use another platform" if trouble else ""
        found[name] = Check("fails" if trouble else "works", trouble or device, mend)
    for line in answer["failures"]:
        library, _, reason = line.removeprefix("Error loading library ").partition(": ")
        found[f"plugin {Path(library).name}"] = Check("fails", reason, "see the backends below")
    return found


def _backends() -> dict[str, Check]:
    from openmm_hybrid.backends import BACKENDS

    states = {name: BACKENDS.load(name)().state(refresh=True) for name in BACKENDS.names()}
    return {name: Check(state.status, state.detail, state.mend) for name, state in states.items()}


def _gpu() -> dict[str, Check]:
    name, problem = _in_process(_CUDA)
    if problem:
        return {"torch.cuda": Check("fails", problem, "install torch again: pip install --force-reinstall torch")}
    none = Check(
        "missing", "torch sees no NVIDIA GPU", 'with a GPU and its driver: pip install "openmm-hybrid[cuda12]"'
    )
    return {"torch.cuda": Check("works", name) if name else none}


def _program(name: str) -> Check:
    """Does an AmberTools program start?"""
    from openmm_hybrid.errors import MissingDependencyError
    from openmm_hybrid.gaff.amber import find_program, run_program

    try:
        path = str(find_program(name))
    except MissingDependencyError as error:
        return Check("missing", error.problem, error.mend)
    try:
        with tempfile.TemporaryDirectory() as folder:
            run_program(name, ["-h"], Path(folder))
    except MissingDependencyError as error:
        return Check("fails", error.problem, error.mend)
    except HybridError:
        return Check("works", path)  # some print their help with another exit status than 0
    return Check("works", path)


def _package(distribution: str, module: str, mend: str) -> Check:
    """Can a package be imported?"""
    try:
        installed = version(distribution)
    except PackageNotFoundError:
        return Check("missing", f"{distribution} is not installed", mend)
    _, problem = _in_process(f"import {module}\nanswer = True")
    if not problem:
        return Check("works", installed)
    library = re.search(r"(lib[\w+-]+\.so[\w.]*)", problem)
    package = f"install the system package that holds {library.group(1)}" if library else mend
    return Check("fails", f"{installed}: {problem}", package)


_PROGRAMS: Mapping[str, Callable[[], Check]] = {
    "antechamber": lambda: _program("antechamber"),
    "parmchk2": lambda: _program("parmchk2"),
    "sqm": lambda: _program("sqm"),
}
_IMPORTS: Mapping[str, Callable[[], Check]] = {
    "PySCF": lambda: _package("pyscf", "pyscf.gto", 'pip install "openmm-hybrid[gaff]"'),
    "tblite": lambda: _package(
        "tblite", "tblite.interface", 'pip install "openmm-hybrid[labels]", apt install libgomp1'
    ),
    "ASE": lambda: _package("ase", "ase", "pip install ase"),
    "OpenFF toolkit": lambda: _package(
        "openff-toolkit",
        "openff.toolkit",
        "optional; on conda-forge only: conda env create -f environment.yml",
    ),
}


def _each(checks: Mapping[str, Callable[[], Check]]) -> dict[str, Check]:
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return dict(zip(checks, pool.map(lambda check: check(), checks.values()), strict=True))


def _lacks(checks: Mapping[str, Mapping[str, Check]]) -> tuple[str, ...]:
    """What the main job needs and does not find."""
    needed = {
        **{name: checks["programs"][name] for name in ("antechamber", "parmchk2")},
        **{name: checks["packages"][name] for name in ("PySCF", "tblite")},
    }
    lacks = [f"{name}: {check.detail}; {check.mend}" for name, check in needed.items() if check.status != "works"]
    carriers = {name: checks["backends"][name] for name in ("torchforce", "pythonforce")}
    if not any(check.status == "works" for check in carriers.values()):
        mends = " or ".join(check.mend for check in carriers.values() if check.mend)
        lacks.append(f"a backend that carries learned terms: {mends}")
    if not any(check.status == "works" for check in checks["platforms"].values()):
        lacks.append("an OpenMM platform that works")
    return tuple(lacks)


def print_report(report: Report) -> None:
    """Print the report as tables for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"works": "green", "missing": "yellow", "incompatible": "red", "fails": "red"}
    console = Console(highlight=False)
    console.print("  ".join(f"{name} {number}" for name, number in report.versions.items()), markup=False)
    console.print("  ".join(f"{name}: {value}" for name, value in report.machine.items()), markup=False)
    for section, checks in report.checks.items():
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), title=section, title_justify="left")
        table.add_column(min_width=16)
        table.add_column(min_width=12)
        table.add_column(overflow="fold")
        for name, check in checks.items():
            mend = f"\n→ {check.mend}" if check.mend else ""
            table.add_row(name, Text(check.status, style=colours.get(check.status, "")), Text(check.detail + mend))
        console.print()
        console.print(table)
    console.print()
    if report.ready:
        console.print("The main job (GAFF, labels, correction, hybrid sampling) can run on this machine.", markup=False)
    for lack in report.lacks:
        console.print(f"The main job lacks {lack}", markup=False)
