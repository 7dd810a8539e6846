"""The doctor on this machine, and on ones where something is amiss."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from openmm_hybrid.cli import doctor
from openmm_hybrid.cli.doctor import Check
from openmm_hybrid.core.registry import Registry
from openmm_hybrid.core.stacks import PLUGIN_BUILDS, installed_builds


def test_a_crash_ends_the_trial_only() -> None:
    answer, problem = doctor._in_process("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    assert answer is None
    assert "SIGSEGV" in problem


def test_an_exception_is_told_by_its_last_line() -> None:
    assert doctor._in_process("raise ValueError('no kernels')") == (None, "ValueError: no kernels")


def test_a_trial_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_TIMEOUT", 0.5)
    assert "no answer" in doctor._in_process("import time\ntime.sleep(60)")[1]


def test_files_of_the_working_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise ImportError('not the library')")
    monkeypatch.chdir(tmp_path)
    assert doctor._in_process("answer = 1") == (1, "")


def test_a_backend_whose_packages_do_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Registry("backend", {"torchforce": "no_such_module:Backend"}, "none")
    monkeypatch.setattr(doctor, "BACKENDS", broken)
    assert doctor._backend("torchforce").status == "fails"


def test_one_backend_that_works_is_enough() -> None:
    """Versions that the other wants may break it."""
    works, missing = Check("works"), Check("missing", "absent", "pip install it")
    found = doctor._one_is_enough({"torchforce": works, "pythonforce": missing})
    assert found["torchforce"] == works
    assert found["pythonforce"].hint == "not needed, as torchforce works; in another environment: pip install it"
    broken = Check("incompatible", "SIGSEGV", "pip install others")
    found = doctor._one_is_enough({"torchforce": broken, "pythonforce": works})
    assert found["torchforce"].hint == "not needed, as pythonforce works; otherwise: pip install others"
    assert doctor._one_is_enough({"torchforce": missing}) == {"torchforce": missing}


def test_both_backends_that_work_are_left_alone() -> None:
    """OpenMM 8.5 with its plugin."""
    works = Check("works", "openmm 8.5.2")
    both = {"native": works, "torchforce": works, "pythonforce": works}
    assert doctor._one_is_enough(both) == both


def test_a_missing_program_and_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._program("no-such-program").status == "missing"
    assert doctor._package(("no-such-package",), "nothing", "install it") == Check(
        "missing", "no-such-package is not installed", "install it"
    )


def test_a_package_that_lacks_a_library() -> None:
    module = "os\nraise ImportError('libgomp.so.1: cannot open shared object file')"
    check = doctor._package(("numpy",), module, "install it")
    assert check.status == "fails"
    assert check.hint == "install the system package that holds libgomp.so.1"


def test_the_main_job_needs_one_learned_backend() -> None:
    works, missing = Check("works"), Check("missing", "absent", "install it")
    checks = {
        "platforms": {"Reference": works},
        "backends": {"torchforce": missing, "pythonforce": works},
        "programs": {"antechamber": works, "parmchk2": works, "sqm": missing},
        "packages": {"PySCF": works, "tblite": works, "OpenFF toolkit": missing},
    }
    assert doctor._lacks(checks) == ()
    checks["backends"]["pythonforce"] = missing
    assert len(doctor._lacks(checks)) == 1
    checks["programs"]["antechamber"] = missing
    assert any("antechamber" in lack for lack in doctor._lacks(checks))


def test_this_machine() -> None:
    """The test environments are complete: the whole command, as a user runs it."""
    command = [sys.executable, "-m", "openmm_hybrid.cli", "doctor", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(run.stdout)
    assert found["lacks"] == []
    assert run.returncode == 0
    assert found["versions"]["openmm"] == version("openmm")
    assert found["checks"]["platforms"]["Reference"]["status"] == "works"
    builds = [build.distribution for build in PLUGIN_BUILDS if build.distribution in found["versions"]]
    assert builds == [build.distribution for build in installed_builds()]
    backends = found["checks"]["backends"]
    assert backends["torchforce"]["status"] == ("works" if builds else "missing")
    since = tuple(map(int, version("openmm").split(".")[:2])) >= (8, 5)
    assert backends["pythonforce"]["status"] == ("works" if since else "missing")
    for check in backends.values():
        assert check["hint"].startswith("not needed") == (check["status"] != "works")
    for section in ("programs", "packages"):
        assert {check["status"] for check in found["checks"][section].values()} == {"works"}
