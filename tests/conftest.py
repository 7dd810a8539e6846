"""Fixtures for all tests, and the marks of tests that need one of the torch forces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from openmm_hybrid.core.stacks import installed_builds
from openmm_hybrid.tasks import DaskRunner, Runner, SerialRunner
from openmm_hybrid.tasks.dask_runner import local_cluster

ROOT = Path(__file__).parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that the stack of this environment cannot run."""
    openmm = tuple(int(part) for part in version("openmm").split(".")[:2])
    # TorchForce ends the process on OpenMM 8.6, also if a build of the plugin is installed there.
    plugin = len(installed_builds()) == 1 and openmm < (8, 6)
    needs = {
        "torchforce": (plugin, "a plugin stack (OpenMM 8.4 or 8.5 with its build of openmmtorch)"),
        "pythonforce": (openmm >= (8, 5), "PythonForce (OpenMM 8.5 or later)"),
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


@pytest.fixture(scope="module")
def dask() -> Iterator[DaskRunner]:
    """A runner on a cluster of two processes, which the tests of a module share since its start takes seconds."""
    pytest.importorskip("distributed", reason="Dask is not installed (extra cluster)")
    with local_cluster(workers=2, memory="2GB", threads=1, starts=2) as cluster:
        yield DaskRunner(scheduler=cluster.scheduler_address)


@pytest.fixture(params=["serial", "dask"])
def runner(request: pytest.FixtureRequest) -> Runner:
    """Each kind of runner."""
    found: Runner = SerialRunner() if request.param == "serial" else request.getfixturevalue("dask")
    return found
