"""JSON results of studies and benchmarks: named figures with units, and the machine and commit behind them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from openmm_hybrid.core.files import expanded, replacing
from openmm_hybrid.core.stacks import PLUGIN_BUILDS

_HERE = Path(__file__)

PACKAGES = (
    "openmm-hybrid",
    "openmm",
    *(build.distribution for build in PLUGIN_BUILDS),
    "torch",
    "numpy",
    "rdkit",
    "tblite",
    "pyscf",
)


def document(name: str, figures: Mapping[str, tuple[float, str]], **details: Any) -> dict[str, Any]:
    """A result as a JSON-ready dictionary; "dirty" marks figures of a checkout with changes after its commit.

    Parameters
    ----------
    name : str
        Name of the study or benchmark.
    figures : mapping of str to (value, unit)
        Values with their units; a pure number has the unit "1".
    **details
        More JSON-ready content, such as settings and tables.
    """
    return {
        "name": name,
        "versions": versions(),
        "machine": machine(),
        "commit": commit(),
        "dirty": dirty(),
        "figures": {key: {"value": value, "unit": unit} for key, (value, unit) in figures.items()},
        **details,
    }


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write a dictionary as indented JSON, whole or not at all. NaN is refused, as JSON has none."""
    text = to_json(content)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return expanded(path)


def to_json(content: Mapping[str, Any]) -> str:
    """A dictionary as indented JSON. NaN is refused (ValueError)."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of Python and of the installed packages among `packages`."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Processor, number of cores and operating system of this machine."""
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
    """The commit of this package's checkout, 12 digits; "unknown" if the package is not in a checkout of its own."""
    return _git(_HERE.parent, "rev-parse", "--short=12", "HEAD") if _tracked() else "unknown"


def dirty() -> bool:
    """True if files of the checkout have changed since the commit, so that the commit alone does not reproduce them."""
    return _tracked() and bool(_git(_HERE.parent, "status", "--porcelain", "--untracked-files=no", ":/"))


def _tracked() -> bool:
    # An environment may lie inside a checkout of something else: this file itself must be under version control.
    return bool(_git(_HERE.parent, "ls-files", _HERE.name))


def _git(folder: Path, *arguments: str) -> str:
    """The output of git in a folder; empty if git fails or is not installed."""
    try:
        answer = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return answer.stdout.strip()
