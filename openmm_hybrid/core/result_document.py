"""The JSON that studies and benchmarks leave behind: named figures with units, and where they were measured."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from openmm_hybrid.core.files import replacing

PACKAGES = ("openmm-hybrid", "openmm", "openmmtorch", "torch", "numpy", "rdkit", "tblite", "pyscf")


def document(name: str, figures: Mapping[str, tuple[float, str]], **details: Any) -> dict[str, Any]:
    """A result as a JSON-ready dictionary; "dirty" marks figures of a checkout with changes after its commit.

    Parameters
    ----------
    name : str
        Of the study or benchmark.
    figures : mapping of str to (value, unit)
        A pure number has the unit "1".
    **details
        Whatever explains the figures; taken over as it is.
    """
    here = commit()
    changed = {"dirty": True} if here.endswith("+") else {}
    return {
        "name": name,
        "versions": versions(),
        "machine": machine(),
        "commit": here.removesuffix("+"),
        **changed,
        "figures": {key: {"value": value, "unit": unit} for key, (value, unit) in figures.items()},
        **details,
    }


def write_json(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write a dictionary as indented JSON, whole or not at all. NaN is refused, as JSON has none."""
    text = to_json(content)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return Path(path)


def to_json(content: Mapping[str, Any]) -> str:
    """A dictionary as indented JSON. NaN is refused (ValueError)."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of Python and of those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
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
    """The commit of this package's checkout, with "+" where its files have changed since; "unknown" without one."""
    here = Path(__file__)
    # An environment may lie inside a checkout of something else: the file itself must be under version control.
    if not _git(here.parent, "ls-files", here.name):
        return "unknown"
    changed = _git(here.parent, "status", "--porcelain", "--untracked-files=no", ":/")
    return _git(here.parent, "rev-parse", "--short=12", "HEAD") + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    """What git prints in a folder; nothing if it fails or is not installed."""
    try:
        answer = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return answer.stdout.strip()
