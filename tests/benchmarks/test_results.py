"""Every committed result can be read, names the commit that it was measured at and has the script that made it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))

each_result = pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    """A committed result; constants that JSON does not have, such as NaN, are refused."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path.name} holds {constant}")

    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    return content


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def _history() -> None:
    """Skips where the whole history is not at hand: in an unpacked sdist and in a shallow clone."""
    try:
        shallow = git("rev-parse", "--is-shallow-repository").stdout.strip()
    except OSError:
        pytest.skip("git is not installed")
    if shallow != "false":
        pytest.skip("the commits are not all here: not a repository, or a shallow clone")


def test_there_are_results() -> None:
    assert RESULTS


@each_result
def test_a_result_has_figures_with_units(path: Path) -> None:
    result = read(path)
    assert set(result) >= {"name", "versions", "machine", "commit", "figures"}
    assert result["figures"]
    for name, figure in result["figures"].items():
        assert set(figure) >= {"value", "unit"}, name
        assert isinstance(figure["value"], int | float), name
        assert isinstance(figure["unit"], str), name


@each_result
def test_a_result_names_the_script_that_made_it(path: Path) -> None:
    name = read(path)["name"]
    module = {"study": "overview"}.get(name, name)  # `study all`, whose files are study_MOLECULE.json
    scripts = [ROOT / "benchmarks" / f"{name}.py", ROOT / "openmm_hybrid" / "studies" / f"{module}.py"]
    assert any(script.is_file() for script in scripts), name
    assert path.stem == name or path.stem.startswith(f"{name}_")


@each_result
@pytest.mark.usefixtures("_history")
def test_a_result_names_a_commit_of_this_history(path: Path) -> None:
    result = read(path)
    assert result.get("dirty", False) in (True, False)
    assert git("merge-base", "--is-ancestor", result["commit"], "HEAD").returncode == 0, result["commit"]
