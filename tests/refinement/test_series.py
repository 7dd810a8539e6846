"""Refinement of several molecules together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import openmm_hybrid as oh
from openmm_hybrid.cli import app
from openmm_hybrid.core.errors import InputError, MismatchError

SMALL = oh.RefineSettings(
    n_conformers=1, n_first=60, n_scan=0, n_fresh=20, n_more=20, rounds=1, n_profile=0, hot_ps=0.0
)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[oh.Refined, ...]]:
    folder = tmp_path_factory.mktemp("series") / "out"
    return folder, oh.refine_series(["CO", "CCO"], folder, SMALL, progress=False)


def test_each_molecule_has_a_folder_of_its_own(series: tuple[Path, tuple[oh.Refined, ...]]) -> None:
    folder, results = series
    assert [result.path for result in results] == [folder / "1-CO", folder / "2-CCO"]
    assert [result.forcefield.n_atoms for result in results] == [6, 9]
    for result in results:
        assert oh.load(result.path).verdict == result.verdict
        assert result.rounds[0].own_force < 0.3 * result.rounds[0].base_force
        assert (result.path / "report.html").is_file()


def test_terms_of_equal_types_have_equal_parameters(series: tuple[Path, tuple[oh.Refined, ...]]) -> None:
    first, second = (
        dict(zip(result.forcefield.parameters.names, result.forcefield.parameters.values, strict=True))
        for result in series[1]
    )
    common = first.keys() & second.keys()
    assert {name for name in common if name.startswith("bonds.morse/c3-oh/")}
    assert {name for name in common if name.startswith("cross.angle/h1-c3-oh/")}
    for name in common:
        assert first[name] == second[name]


def test_a_molecule_alone_does_not_continue_the_series(series: tuple[Path, tuple[oh.Refined, ...]]) -> None:
    folder, results = series
    with pytest.raises(MismatchError, match="together"):
        oh.refine("CO", results[0].path, SMALL, progress=False)
    with pytest.raises(MismatchError, match="together"):
        oh.refine_series(["CO", "CCO", "CCCO"], folder, SMALL, progress=False)
    again = oh.refine_series(["CO", "CCO"], folder, SMALL, progress=False)
    np.testing.assert_array_equal(again[1].forcefield.parameters.values, results[1].forcefield.parameters.values)


def test_the_command_line_takes_several_molecules(series: tuple[Path, tuple[oh.Refined, ...]]) -> None:
    folder, results = series
    options = "--conformers 1 --first 60 --scan 0 --fresh 20 --more 20 --rounds 1 --profile 0 --hot-ps 0 --json"
    done = CliRunner().invoke(app, ["refine", "CO", "CCO", "-o", str(folder), *options.split()])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert list(found) == ["1-CO", "2-CCO"]
    assert found["2-CCO"]["verdict"] == results[1].verdict


def test_bad_series_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for molecules, words in ((["CO"], "two or more"), ("CO", "two or more"), (["CO", "OC"], "2 times")):
        with pytest.raises(InputError, match=words):
            oh.refine_series(molecules, folder, SMALL, progress=False)
    with pytest.raises(InputError, match=r"openff-2\.3\.0 share no parameters"):
        oh.refine_series(["CO", "CCO"], folder, replace(SMALL, base="openff-2.3.0"), progress=False)
    assert not folder.exists()
