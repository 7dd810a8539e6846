"""The probe: a stack that crashes is reported, and this process lives on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openmm_hybrid.core import trial as probe
from openmm_hybrid.core.errors import MissingDependencyError
from openmm_hybrid.systems import plan
from openmm_hybrid.systems.backends import BACKENDS, pythonforce, torchforce
from openmm_hybrid.systems.backends.backend import BackendState
from tests.helpers.morse import PairMorse


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "openmm-hybrid"


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


def test_outcomes_are_kept_by_code_and_versions(cache: Path, tmp_path: Path) -> None:
    count = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"
    runs = tmp_path / "runs"
    assert probe.probe(count, ("numpy",)).ok
    assert probe.probe(count, ("numpy",)).ok
    assert runs.read_text() == "x"
    probe.probe(count, ("numpy", "scipy"))
    assert runs.read_text() == "xx"
    probe.probe(count, ("numpy",), refresh=True)
    assert runs.read_text() == "xxx"
    for kept in cache.glob("*.json"):
        assert set(json.loads(kept.read_text())) == {"ok", "detail"}
        kept.write_text("{ damaged")
    assert probe.probe(count, ("numpy",)).ok
    assert runs.read_text() == "xxxx"


def test_errors_that_python_shows_are_not_kept(cache: Path) -> None:
    """A missing shared library is mended without other versions; a crash is not."""
    assert not probe.probe("import no_such_module", ("numpy",)).ok
    assert not list(cache.glob("*.json"))
    assert not probe.probe("import os; os.abort()", ("numpy",)).ok
    assert len(list(cache.glob("*.json"))) == 1


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert probe.probe("pass", ("numpy",)).ok
