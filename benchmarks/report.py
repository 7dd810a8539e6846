"""The one shape in which every benchmark prints what it measured."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("openmm-hybrid", "openmm", "torch", "openmmtorch", "numpy")


def report(name: str, figures: Mapping[str, tuple[float, str]], details: Mapping[str, Any] | None = None) -> str:
    """JSON text {"name", "versions", "machine", "commit", "figures": {name: {"value", "unit"}}, "details"}.

    Parameters
    ----------
    name : str
        Of the benchmark.
    figures : mapping of str to (value, unit)
    details : mapping, optional
        Whatever explains the figures; must be JSON.
    """
    record: dict[str, Any] = {
        "name": name,
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count()} cores",
        "commit": _commit(),
        "figures": {key: {"value": value, "unit": unit} for key, (value, unit) in figures.items()},
    }
    if details:
        record["details"] = dict(details)
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown processor"


def _commit() -> str:
    """Hash of the commit that the sources are at, with "+" where they have changed since."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty=+"]
    run = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"
