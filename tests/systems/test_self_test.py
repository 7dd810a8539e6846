"""A backend whose stack crashes is reported as incompatible, and this process survives."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import openmm
import pytest

from openmm_hybrid.core import stacks
from openmm_hybrid.core.errors import MissingDependencyError
from openmm_hybrid.core.stacks import PLUGIN_BUILDS, PluginBuild, installed_builds
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
def test_a_plugin_stack_works() -> None:
    state = BACKENDS.load("torchforce")().state()
    (build,) = installed_builds()
    assert state.works
    for name in ("openmm", "torch", build.distribution):
        assert f"{name} {version(name)}" in state.detail


def test_pythonforce_works_where_openmm_has_it() -> None:
    """OpenMM 8.4 has none; 8.5 has one."""
    state = BACKENDS.load("pythonforce")().state()
    since = tuple(map(int, version("openmm").split(".")[:2])) >= (8, 5)
    assert (state.status, hasattr(openmm, "PythonForce")) == (("works", True) if since else ("missing", False))
    assert since or "came with OpenMM 8.5: pip install 'openmm>=8.6.1'" in state.hint


def test_a_broken_pythonforce_is_incompatible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmm, "PythonForce", object, raising=False)
    monkeypatch.setattr(pythonforce, "_SELF_TEST", "import os; os.abort()")
    state = pythonforce.PythonForceBackend().state()
    assert state.status == "incompatible"
    assert f"pip install --force-reinstall --no-deps 'openmm=={version('openmm')}'" in state.hint


def test_without_a_plugin_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchforce, "installed_builds", list)
    state = torchforce.TorchForceBackend().state()
    assert state.status == "missing"
    assert "openmmtorch, acellera-openmmtorch-cpu, acellera-openmmtorch-cu13" in state.detail
    assert "pip install 'openmm==" in state.hint


def test_two_plugins_in_one_environment_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their files have the same names, so nothing of them is loaded."""
    for name in ("openmmtorch-1.5", "acellera_openmmtorch_cpu-1.10"):
        distribution, number = name.split("-")
        folder = tmp_path / f"{name}.dist-info"
        folder.mkdir()
        text = f"Metadata-Version: 2.1\nName: {distribution.replace('_', '-')}\nVersion: {number}\n"
        (folder / "METADATA").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(torchforce, "probe", None)  # it is not even tried
    state = torchforce.TorchForceBackend().state(refresh=True)
    assert state.status == "incompatible"
    assert "openmmtorch 1.5 and acellera-openmmtorch-cpu 1.10 are installed together" in state.detail
    assert "pip uninstall -y openmmtorch acellera-openmmtorch-cpu && pip install 'openmm==8." in state.hint
    with pytest.raises(MissingDependencyError, match=r"torchforce is incompatible.*pip uninstall -y openmmtorch"):
        plan.choose("torchforce")
    with pytest.raises(MissingDependencyError, match=r"installed together.*pip uninstall -y openmmtorch"):
        torchforce.load_plugin()


@pytest.mark.parametrize("build", PLUGIN_BUILDS, ids=lambda build: build.distribution)
@pytest.mark.parametrize(
    ("trial", "what"),
    [
        ("import os; os.abort()", "SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("raise SystemExit('energy 3 of a spring is wrong')", "energy 3 of a spring is wrong"),
    ],
)
def test_a_crashing_stack_is_incompatible_and_this_process_survives(
    trial: str, what: str, build: PluginBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchforce, "_SELF_TEST", trial)
    monkeypatch.setattr(torchforce, "installed_builds", lambda: [build])
    monkeypatch.setattr(stacks, "installed", {"openmm": "8.6.1", "torch": "2.13.0", build.distribution: "1"}.get)
    state = torchforce.TorchForceBackend().state()
    assert state.status == "incompatible"
    assert what in state.detail
    assert "openmm 8" in state.detail
    assert f", {build.distribution} " in state.detail
    assert f"needs openmm {build.openmm} and torch {build.torch}: {build.install_line}" in state.hint


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
