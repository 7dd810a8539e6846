"""The generic command of a study, for one that the package does not know."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from openmm_hybrid.cli import app, study
from openmm_hybrid.core.registry import Registry
from openmm_hybrid.testing import StudySuite
from tests.helpers.toy_study import CountSettings, CountStudy


class TestToyStudy(StudySuite):
    @pytest.fixture
    def study(self) -> CountStudy:
        return CountStudy()

    @pytest.fixture
    def settings(self, tmp_path: Path) -> CountSettings:
        (tmp_path / "a.txt").write_text("abc")
        return CountSettings((tmp_path / "a.txt",))

    @pytest.fixture
    def other_settings(self, settings: CountSettings) -> CountSettings:
        return CountSettings(settings.files, factor=2.0)


@pytest.fixture(autouse=True)
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        study, "STUDIES", Registry("study", {"toy-count": "tests.helpers.toy_study:CountStudy"}, "none")
    )
    Path("a.txt").write_text("abc")
    Path("b.txt").write_text("de")


def run(line: str) -> Any:
    return CliRunner().invoke(app, line.split(), env={"COLUMNS": "300", "TERMINAL_WIDTH": "300"})


def test_options_become_settings() -> None:
    options = "--factor 2 --unit bytes --kinds b --kinds a --offsets 1 --offsets 0.5 --strict --note x --pairs 1-2-3"
    done = run(f"study toy-count a.txt b.txt -o out {options} --extra ~/c.txt")
    assert done.exit_code == 0, done.output
    assert done.stdout == "total\n11.5\ntoy_count.json, toy_count.csv in out\n"
    settings = json.loads(Path("out/toy_count.json").read_text())["settings"]
    assert settings == {
        "files": ["a.txt", "b.txt"],
        "factor": 2.0,
        "times": 1,
        "unit": "bytes",
        "kinds": ["b", "a"],
        "offsets": [1.0, 0.5],
        "strict": True,
        "note": "x",
        "extra": str(Path("~/c.txt").expanduser()),
        "pairs": [1, 2, 3],
    }
    assert Path("out/toy_count.csv").read_text() == "total\n11.5\n"
    refused = run("study toy-count a.txt -o out")
    assert refused.exit_code == 2
    assert "belongs to another toy study: files" in refused.stderr


def test_help_and_list() -> None:
    shown = re.sub(r"[│\s]+", " ", run("study toy-count --help").stdout)
    for text in (
        "Count the characters of files.",
        "<characters|bytes>",
        "Kind of character. Repeat the option for more.",
    ):
        assert text in shown
    assert run("study").stdout == "toy-count  Count the characters of files.\n"


def test_other_choices_are_refused() -> None:
    done = run("study toy-count a.txt -o out --unit words")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "characters" in done.stderr
    assert not Path("out").exists()


def test_a_file_has_the_options_of_the_command_line() -> None:
    Path("options.toml").write_text(
        'files = ["a.txt", "b.txt"]\nfactor = 2\nkinds = ["b"]\noffsets = [1.0, 0.5]\nstrict = true\npairs = "1-2"\n'
    )
    done = run("study toy-count --config options.toml -o out")
    assert done.stdout.splitlines()[1] == "11.5", done.output
    settings = json.loads(Path("out/toy_count.json").read_text())["settings"]
    assert (settings["kinds"], settings["strict"], settings["pairs"]) == (["b"], True, [1, 2])
    done = run("study toy-count a.txt --config options.toml --factor 3 -o other")
    assert done.stdout.splitlines()[1] == "10.5"  # the command line comes first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("factors = 2", "has 'factors'"),
        ("[factor]\nx = 1", "has 'factor'"),
        ("factor = 'two'", "--factor"),
        ("factor = ", "cannot read"),
    ],
)
def test_a_wrong_file_of_options(content: str, message: str) -> None:
    Path("options.toml").write_text(content)
    refused = run("study toy-count a.txt --config options.toml -o out")
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert not Path("out").exists()
