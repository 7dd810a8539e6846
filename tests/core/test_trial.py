"""Code that ends its process is reported, and this process survives."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from openmm_hybrid.core.trial import probe, run_python


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "openmm-hybrid"


def test_output_and_arguments_of_a_process() -> None:
    ended = run_python("import sys; print(*sys.argv[1:])", "a", "b", time_limit=60)
    assert (ended.output, ended.problem, ended.crashed) == ("a b\n", "", False)
    ended = run_python("import time; time.sleep(60)", time_limit=0.2)
    assert (ended.problem, ended.crashed) == ("no answer after 0 s", False)
    ended = run_python("import os; os.kill(os.getpid(), 9)", time_limit=60)
    assert (ended.problem, ended.crashed) == ("the process was ended by SIGKILL", False)
    assert run_python("raise SystemExit(3)", time_limit=60).problem == "exit status 3"


def test_nothing_is_imported_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(tmp_path)
    assert os.path.exists("json.py")
    assert run_python("import json", time_limit=60).problem == ""


def test_outcomes_are_kept_by_code_and_versions(cache: Path, tmp_path: Path) -> None:
    count = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"
    runs = tmp_path / "runs"
    assert probe(count, ("numpy",)).ok
    assert probe(count, ("numpy",)).ok
    assert runs.read_text() == "x"
    probe(count, ("numpy", "scipy"))
    assert runs.read_text() == "xx"
    probe(count, ("numpy",), refresh=True)
    assert runs.read_text() == "xxx"
    for kept in cache.glob("*.json"):
        assert set(json.loads(kept.read_text())) == {"ok", "detail"}
        kept.write_text("{ damaged")
    assert probe(count, ("numpy",)).ok
    assert runs.read_text() == "xxxx"


def test_errors_that_python_shows_are_not_kept(cache: Path) -> None:
    """A missing shared library may appear without other versions; a crash is not."""
    assert not probe("import no_such_module", ("numpy",)).ok
    assert not list(cache.glob("*.json"))
    assert not probe("import os; os.abort()", ("numpy",)).ok
    assert len(list(cache.glob("*.json"))) == 1


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert probe("pass", ("numpy",)).ok
