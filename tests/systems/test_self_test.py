"""A backend whose stack crashes is reported as incompatible, and this process survives."""

from __future__ import annotations

from pathlib import Path

import openmm
import pytest

from openmm_hybrid.core.errors import MissingDependencyError
from openmm_hybrid.systems import plan
from openmm_hybrid.systems.backends import BACKENDS, pythonforce, torchforce
from openmm_hybrid.systems.backends.backend import BackendState
from openmm_hybrid.systems.backends.self_test import self_test
from tests.helpers.morse import PairMorse


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_wrong_force_fails() -> None:
    for energy, fails in (("0.5*(x^2+y^2+z^2)", False), ("0.6*(x^2+y^2+z^2)", True)):
        force = openmm.CustomExternalForce(energy)
        force.addParticle(0)
        if fails:
            with pytest.raises(SystemExit, match="of a spring are wrong"):
                self_test(force)
        else:
            self_test(force)


@pytest.mark.torchforce
def test_the_plugin_stack_works() -> None:
    state = BACKENDS.load("torchforce")().state()
    assert state.works
    assert "openmm 8.4" in state.detail
    assert not BACKENDS.load("pythonforce")().state().works


@pytest.mark.pythonforce
def test_the_modern_stack_works() -> None:
    assert BACKENDS.load("pythonforce")().state().works
    state = BACKENDS.load("torchforce")().state()
    assert state.status == "missing"
    assert "openmm-hybrid[torchforce]" in state.hint


@pytest.mark.parametrize(
    ("trial", "what"),
    [
        ("import os; os.abort()", "SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("raise SystemExit('energy 3 of a spring is wrong')", "energy 3 of a spring is wrong"),
    ],
)
def test_a_crashing_stack_is_incompatible_and_this_process_survives(
    trial: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchforce, "_SELF_TEST", trial)
    monkeypatch.setattr(torchforce, "installed", lambda name: "1.5")
    state = torchforce.TorchForceBackend().state()
    assert state.status == "incompatible"
    assert what in state.detail
    assert "openmm 8" in state.detail
    assert "needs openmm 8.4.* and torch 2.9.*: pip install 'openmm-hybrid[torchforce]'" in state.hint


def test_no_working_backend_is_an_error_that_names_every_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torchforce.TorchForceBackend, "state", lambda self: BackendState("incompatible", "SIGSEGV", "install A")
    )
    monkeypatch.setattr(
        pythonforce.PythonForceBackend, "state", lambda self: BackendState("missing", "too old", "install B")
    )
    both = (
        r"torchforce would and is incompatible \(SIGSEGV\); pythonforce would and is missing .*install A or install B"
    )
    with pytest.raises(MissingDependencyError, match=both):
        plan.plan(PairMorse((6, 8)), plan.choose("auto"))
    with pytest.raises(MissingDependencyError, match=r"torchforce is incompatible \(SIGSEGV\); install A"):
        plan.choose("torchforce")
