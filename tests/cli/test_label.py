"""`label` hands its options to the engine, and only those that the user gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import openmm_hybrid as oh
from openmm_hybrid.cli import app
from openmm_hybrid.core.errors import InputError
from tests.helpers.sgdml_data import water


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", ("gfn2", {})),
        ("--engine pyscf --method pbe --basis def2-svp", ("pyscf", {"method": "pbe", "basis": "def2-svp"})),
        ("--charge -1 --multiplicity 2", ("gfn2", {"charge": -1, "multiplicity": 2})),
    ],
)
def test_options_reach_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, expected: tuple[str, dict[str, Any]]
) -> None:
    asked = []

    def engine(name: str, **keywords: Any) -> None:
        asked.append((name, keywords))
        raise InputError("asked")

    monkeypatch.setattr(oh.reference, "engine", engine)
    monkeypatch.chdir(tmp_path)
    water(3).save("frames.npz")
    CliRunner().invoke(app, ["label", "frames.npz", "-o", "labels.npz", *options.split()])
    assert asked == [expected]


def test_a_stop_names_the_journal_and_how_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: Any, **keywords: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(oh.reference, "label", stop)
    monkeypatch.chdir(tmp_path)
    water(3).save("frames.npz")
    done = CliRunner().invoke(app, ["label", "frames.npz", "-o", "labels.npz"])
    assert done.exit_code == 130
    assert "labels.npz.journal; call again with the same settings to resume" in done.stderr
