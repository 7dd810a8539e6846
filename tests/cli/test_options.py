"""What every verb keeps: help for each option, "~" in paths, choices in the help, JSON, quiet and verbose."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from openmm_hybrid.cli import app, doctor, files, info, prepare, run, train
from openmm_hybrid.cli.options import expand, names_of
from openmm_hybrid.cli.recipes import RECIPES
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.sgdml.solvers import SOLVERS
from openmm_hybrid.studies import STUDIES
from openmm_hybrid.systems.backends import BACKENDS
from tests.helpers.sgdml_data import water


def verbs() -> Iterator[tuple[str, Any]]:
    """Every verb with its name, families and studies included."""
    for name, verb in get_command(app).commands.items():  # type: ignore[attr-defined]
        if name == "study":
            yield from ((f"study {study}", verb.get_command(None, study)) for study in STUDIES.names())
        elif hasattr(verb, "commands"):
            yield from ((f"{name} {part}", each) for part, each in verb.commands.items())
        else:
            yield name, verb


VERBS = dict(verbs())


def help_of(line: str) -> str:
    """The help of a verb without the frame of its tables."""
    done = CliRunner().invoke(app, [*line.split(), "--help"], env={"COLUMNS": "300", "TERMINAL_WIDTH": "300"})
    assert done.exit_code == 0, done.output
    return re.sub(r"[│\s]+", " ", done.stdout)


@pytest.mark.parametrize("name", VERBS)
def test_every_option_has_a_sentence_of_help(name: str) -> None:
    verb = VERBS[name]
    assert verb.help.strip().split("\n\n")[0].endswith(".")
    for parameter in verb.params:
        if parameter.name == "help":
            continue
        assert parameter.help, f"{name}: {parameter.name} has no help"
        assert parameter.help.endswith("."), f"{name}: {parameter.name}: {parameter.help}"


@pytest.mark.parametrize(
    "verb",
    [
        prepare.build,
        prepare.label,
        files.replace,
        files.export,
        files.convert,
        run.sample,
        info.info,
        train.forcefield,
        train.correction,
    ],
)
def test_home_folder_is_expanded_in_every_path(verb: Callable[..., None]) -> None:
    paths = [
        hint
        for hint in get_type_hints(verb, include_extras=True).values()
        if get_origin(hint) is Annotated and Path in (hint.__origin__, *get_args(hint.__origin__))
    ]
    assert paths
    assert all(hint.__metadata__[0].callback is expand for hint in paths)


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("build", "resp|am1-bcc"),
        ("build", "gaff-2.2.20|gaff-2.11|gaff-1.81"),
        ("label", "gfn2|gfn1"),
        ("train sgdml", "|".join(SOLVERS.names())),
        ("train sgdml", "auto|cpu|cuda"),
        ("train sgdml", "graph|data|none"),
        ("train sgdml", "auto|stratified|random"),
        ("train correction", "|".join(RECIPES)),
        ("sample", "|".join(("auto", *BACKENDS.names()))),
        ("sample", "nvt|nve"),
        ("sample", "dcd|xtc"),
        ("export", "float64|float32"),
        ("study table2", "gaff|morse|nn|spline|cross|sgdml"),
    ],
)
def test_help_lists_choices(line: str, choices: str) -> None:
    assert choices in help_of(line)


def test_names_come_from_registries_tuples_and_functions() -> None:
    assert names_of("auto|openmm_hybrid.systems.backends:BACKENDS") == ["auto", *BACKENDS.names()]
    assert names_of("openmm_hybrid.sgdml.solvers:SOLVERS") == list(SOLVERS.names())
    assert names_of("builtins:sorted:ba") == ["a", "b"]


def test_studies_are_listed_with_their_summaries() -> None:
    alone, listed = (CliRunner().invoke(app, line.split()) for line in ("study", "study --list"))
    assert alone.exit_code == listed.exit_code == 0
    assert alone.stdout == listed.stdout
    for name in STUDIES.names():
        assert f"{name} " in alone.stdout
        assert STUDIES.load(name).summary in alone.stdout
    assert set(json.loads(CliRunner().invoke(app, ["study", "--json"]).stdout)) == set(STUDIES.names())


def test_completion_is_offered() -> None:
    assert "--install-completion" in help_of("")
    assert "--show-completion" in help_of("")


def test_home_folder_in_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    water(30).save(tmp_path / "frames.npz")
    for line in (
        "train sgdml ~/frames.npz -o ~/model.npz --sigma 2 --n-train 12 --report ~/report.json",
        "export ~/model.npz -o ~/model.pt",
        "convert ~/frames.npz -o ~/frames.xyz",
        "study training ~/frames.npz -o ~/study --sigma 2 --n-train 12",
        "info ~/study",
    ):
        done = CliRunner().invoke(app, line.split())
        assert done.exit_code == 0, done.output
    for name in ("model.npz", "report.json", "model.pt", "frames.xyz", "study/training.json"):
        assert (tmp_path / name).is_file()


def test_json_in_place_of_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    water(30).save("frames.npz")
    for line in (
        "train sgdml frames.npz -o model.npz --sigma 2 --n-train 12 --json",
        "study training frames.npz -o study --sigma 2 --n-train 12 --json",
        "info study/training.json --json",
    ):
        content = json.loads(CliRunner().invoke(app, line.split()).stdout)
        assert "test.force_mae" in content or "test.force_mae" in content["figures"]


def test_quiet_and_verbose(monkeypatch: pytest.MonkeyPatch) -> None:
    def warn_and_fail() -> doctor.Report:
        warnings.warn("beware", stacklevel=1)
        raise InputError("no good")

    monkeypatch.setattr(doctor, "examine", warn_and_fail)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        lines = {
            way: CliRunner().invoke(app, [*way, "doctor"]).stderr.splitlines() for way in ((), ("-q",), ("--verbose",))
        }
    assert lines[()] == ["warning: beware", "error: no good."]
    assert lines[("-q",)] == ["error: no good."]
    assert lines[("--verbose",)][:2] == ["warning: beware", "error: no good."]
    assert "test_options.py" in lines[("--verbose",)][2]


def test_quiet_shows_no_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    water(30).save("frames.npz")
    line = "train sgdml frames.npz -o model.npz --sigma search --n-train 10 --n-valid 10"
    assert CliRunner().invoke(app, line.split()).stderr
    assert not CliRunner().invoke(app, ["-q", *line.split()]).stderr


def test_wrong_choices_name_the_option_the_choices_and_the_nearest_one() -> None:
    done = CliRunner().invoke(app, ["sample", "eth", "-o", "out", "--ensemble", "nvp"])
    assert done.exit_code == 2
    assert done.stderr == "error: --ensemble is 'nvp'; expected one of nvt, nve; did you mean nvt?\n"
    done = CliRunner().invoke(app, ["build", "CO", "-o", "out", "--base", "gaff-9"])
    assert done.stderr.startswith("error: unknown GAFF version '9'; expected one of '2.2.20', '2.11', ")


def test_values_of_the_wrong_type_are_one_line_in_our_words() -> None:
    done = CliRunner().invoke(app, ["sample", "eth", "-o", "out", "--duration", "long"])
    assert done.exit_code == 2
    assert "--duration" in done.stderr
    assert "Value error" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
