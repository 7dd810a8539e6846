"""What is written down in more than one place says the same: versions, extras, system packages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from openmm_hybrid.core.stacks import PLUGIN_BUILDS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: PyPI's name → conda-forge's, where they differ.
CONDA_NAMES = {"matplotlib": "matplotlib-base", "torch": "pytorch"}


def test_makefile_names_the_plugin_stack_of_the_extra() -> None:
    makefile = (ROOT / "Makefile").read_text()
    versions = [each for each in PROJECT["optional-dependencies"]["torchforce"] if not each.startswith("openmmtorch")]
    assert versions
    assert all(f"'{each}'" in makefile for each in versions)


def test_extras_have_the_versions_of_the_plugin_builds() -> None:
    """An extra with a build of openmmtorch names the versions of OpenMM and torch that the package reports for it."""
    builds = {build.distribution: build for build in PLUGIN_BUILDS}
    found = set()
    for extra, requirements in PROJECT["optional-dependencies"].items():
        pins = dict(re.fullmatch(r"([\w-]+)(?:\[[^]]*\])?[=><]*(.*)", each).groups() for each in requirements)
        for build in (builds[name] for name in pins if name in builds):
            found.add(build.distribution)
            expected = {build.distribution: build.version, "openmm": build.openmm, "torch": build.torch}
            assert all(pins[name] == version for name, version in expected.items() if name in pins), extra
    assert "openmmtorch" in found


def test_conda_environment_has_every_dependency() -> None:
    lines = re.findall(r"^  - ([\w-]+)(?: >=(\S+))?$", (ROOT / "environment.yml").read_text(), flags=re.MULTILINE)
    listed = dict(lines)
    for requirement in PROJECT["dependencies"]:
        name, least = requirement.split(">=")
        assert listed[CONDA_NAMES.get(name, name)] == least, requirement


def test_installation_page_names_extras_and_system_packages() -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    packages = re.findall(r"\|\| echo ([\w-]+)", (ROOT / "tools" / "bootstrap.sh").read_text())
    assert packages
    assert all(package in page for package in packages)
    assert all(f"`{extra}`" in page for extra in PROJECT["optional-dependencies"])


def test_citation_is_of_the_last_release() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    releases = re.findall(
        r"^## \[(\d\S*)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE
    )
    version, date = releases[0]
    assert f"\nversion: {version}\n" in citation
    assert f"\ndate-released: {date}\n" in citation
    assert f"\nlicense: {PROJECT['license']}\n" in citation


def test_pre_commit_runs_the_lints_of_the_makefile() -> None:
    recipe = re.search(r"^lint-only:\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert recipe
    lints = [line.strip().replace("$(PLUGIN)", ".venv/bin") for line in recipe[1].splitlines()]
    hooks = re.findall(r"^ +entry: (.*)$", (ROOT / ".pre-commit-config.yaml").read_text(), flags=re.MULTILINE)
    assert hooks == lints
