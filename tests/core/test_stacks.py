"""The builds of openmmtorch and the pip lines, in environments that cannot all be installed here."""

from __future__ import annotations

import pytest

from openmm_hybrid.core import stacks
from openmm_hybrid.core.stacks import PLUGIN_BUILDS, describe, installed_builds, plugin_hint, reinstall_line

OFFICIAL, CPU, CUDA = PLUGIN_BUILDS
SECOND_STACK = "pip install 'openmm==8.5.2' 'torch==2.12.1' 'acellera-openmmtorch-cpu==1.10'"


def environment(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    """Fake the installed distributions; _ in a name stands for -."""
    installed = {name.replace("_", "-"): version for name, version in versions.items()}
    monkeypatch.setattr(stacks, "installed", lambda name: installed.get(name, ""))


def test_each_build_has_a_line_with_all_versions() -> None:
    assert OFFICIAL.install_line == "pip install 'openmm==8.4.*' 'torch==2.9.*' 'openmmtorch==1.5'"
    assert CPU.install_line == SECOND_STACK
    assert CUDA.requirements == ("openmm[cuda13]==8.5.2", "torch==2.12.1", "acellera-openmmtorch-cu13==1.10")


def test_the_installed_build_is_found_by_any_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, openmm="8.5.2")
    assert installed_builds() == []
    environment(monkeypatch, openmm="8.5.2", acellera_openmmtorch_cu13="1.11")
    assert installed_builds() == [CUDA]
    assert describe([CUDA]) == "acellera-openmmtorch-cu13 1.11"


@pytest.mark.parametrize(
    ("openmm", "torch", "build", "version"),
    [
        ("8.6.1", "2.12.1", CPU, "1.10"),
        ("8.5.2", "2.13.0+cpu", CPU, "1.10"),
        ("8.5.2", "2.12.1", CPU, "1.9"),
        ("8.5.0", "2.12.1", CUDA, "1.10"),
        ("8.5.2", "2.9.1", OFFICIAL, "1.5"),
        ("8.40.0", "2.9.1", OFFICIAL, "1.5"),
        ("8.4.0.post2", "2.10.0", OFFICIAL, "1.5"),
        ("", "", OFFICIAL, "1.5"),
    ],
)
def test_a_build_among_other_versions_is_told_which_it_needs(
    openmm: str, torch: str, build: stacks.PluginBuild, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, openmm=openmm, torch=torch, **{build.distribution.replace("-", "_"): version})
    hint = plugin_hint(installed_builds())
    assert hint == (
        f"{build.distribution} {build.version} needs openmm {build.openmm} and torch {build.torch}: "
        f"{build.install_line}"
    )


def test_versions_that_fit_are_installed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, openmm="8.5.2", torch="2.12.1+cpu", acellera_openmmtorch_cpu="1.10")
    line = "pip install --force-reinstall --no-deps 'openmm==8.5.2' 'torch==2.12.1' 'acellera-openmmtorch-cpu==1.10'"
    assert plugin_hint(installed_builds()).endswith(f"install them again: {line}")
    environment(monkeypatch, openmm="8.4.0.post2", torch="2.9.1", openmmtorch="1.5")
    assert "'openmm==8.4.0.post2'" in plugin_hint(installed_builds())
    assert reinstall_line("openmm", "absent") == "pip install --force-reinstall --no-deps 'openmm==8.4.0.post2' absent"


@pytest.mark.parametrize(
    ("openmm", "build"), [("8.4.0", OFFICIAL), ("8.5.2", CPU), ("8.6.1", OFFICIAL), ("", OFFICIAL)]
)
def test_without_a_build_the_one_for_this_openmm_is_named(
    openmm: str, build: stacks.PluginBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, openmm=openmm)
    assert plugin_hint(installed_builds()).endswith(build.install_line)


@pytest.mark.parametrize(("openmm", "kept"), [("8.4.0.post2", OFFICIAL), ("8.5.2", CPU), ("8.6.1", OFFICIAL)])
def test_of_two_builds_the_one_for_this_openmm_is_kept(
    openmm: str, kept: stacks.PluginBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removing one of two leaves the other without files, so both are removed."""
    environment(monkeypatch, openmm=openmm, openmmtorch="1.5", acellera_openmmtorch_cpu="1.10")
    hint = plugin_hint(installed_builds())
    assert hint.endswith(f"pip uninstall -y openmmtorch acellera-openmmtorch-cpu && {kept.install_line}")
