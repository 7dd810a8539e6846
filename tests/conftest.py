"""Fixtures for all tests, and the marks of tests that need one of the two stacks."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _has(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _modern() -> bool:
    return tuple(int(part) for part in version("openmm").split(".")[:2]) >= (8, 6)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that the stack of this environment cannot run."""
    needs = {
        "torchforce": (_has("openmmtorch") and not _modern(), "the plugin stack (openmmtorch 1.5, OpenMM 8.4)"),
        "pythonforce": (_modern(), "the modern stack (OpenMM 8.6 or later)"),
    }
    for item in items:
        for mark, (present, what) in needs.items():
            if mark in item.keywords and not present:
                item.add_marker(pytest.mark.skip(reason=f"needs {what}"))


@pytest.fixture(scope="session")
def reference_data() -> Callable[[str], Path]:
    """Path of a file of the published reference data; the test is skipped if the file is missing."""
    folder = Path(os.environ.get("OPENMM_HYBRID_DATA", ROOT.parent / "shared" / "data"))

    def path(name: str) -> Path:
        if not (folder / name).is_file():
            pytest.skip(f"{name} is not in {folder} (set OPENMM_HYBRID_DATA)")
        return folder / name

    return path
