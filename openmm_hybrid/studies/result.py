"""The JSON that studies and benchmarks leave behind: named figures with units, and where they were measured."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from openmm_hybrid.files import replacing

PACKAGES = ("openmm-hybrid", "openmm", "openmmtorch", "torch", "numpy", "rdkit", "tblite", "pyscf")


def document(name: str, figures: Mapping[str, tuple[float, str]], **details: Any) -> dict[str, Any]:
    """A result as a JSON-ready dictionary.

    Parameters
    ----------
    name : str
        Of the study or benchmark.
    figures : mapping of str to (value, unit)
        A pure number has the unit "1".
    **details
        Whatever explains the figures; taken over as it is.
    """
    return {
        "name": name,
        "versions": versions(),
        "machine": machine(),
        "commit": commit(),
        "figures": {key: {"value": value, "unit": unit} for key, (value, unit) in figures.items()},
        **details,
    }


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write a dictionary as indented JSON, whole or not at all. NaN is refused, as JSON has none."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    return Path(path)


def versions() -> dict[str, str]:
    """Installed versions of Python and of the packages that figures depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Processor, cores and system that the figures were measured on."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = (line for line in cpuinfo.read_text().splitlines() if line.startswith("model name"))
        model = next(lines, "").partition(":")[2].strip()
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
    }


def commit() -> str:
    """The commit of the checkout that this file lies in; "unknown" outside one."""
    answer = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or "unknown"
