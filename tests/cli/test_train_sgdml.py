"""The verbs `train sgdml`, `study learning-curve` and `convert`, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

from openmm_hybrid.cli import app
from openmm_hybrid.sgdml import load, train
from tests.helpers.sgdml_data import water


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    water(60).save("frames.npz")
    return tmp_path


def run(line: str) -> Any:
    return CliRunner().invoke(app, line.split())


def test_errors_and_report() -> None:
    done = run(
        "train sgdml frames.npz -o m.npz --sigma 2 --n-train 20 --n-valid 10 --n-test 15 --report r.json --seed 3"
    )
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["train", "20"], ["valid", "10"], ["test", "15"]]
    report = json.loads(Path("r.json").read_text())
    assert report["figures"]["test.force_mae"]["value"] == pytest.approx(float(lines[3].split()[2]), rel=0.01)
    model = load("m.npz")
    same = train(water(60), sigma=2, n_train=20, n_valid=10, seed=3, progress=False)
    np.testing.assert_array_equal(model.idxs_train, same.idxs_train)


def test_search() -> None:
    done = run("train sgdml frames.npz -o m.npz --sigma search --n-train 12 --n-valid 20")
    assert done.exit_code == 0, done.stderr
    starred = [line for line in done.stderr.splitlines() if line.endswith("*")]
    assert len(starred) == 1
    assert float(starred[0].split()[0]) == load("m.npz").sigma


@pytest.mark.parametrize(
    ("options", "n_perms", "n_atoms"),
    [("--perms none", 1, 3), ("--perms data", 2, 3), ("--atoms 1-2", 2, 2), ("--atoms 2,0 --selection random", 1, 2)],
)
def test_symmetries_and_atoms(options: str, n_perms: int, n_atoms: int) -> None:
    done = run(f"train sgdml frames.npz -o m.npz --sigma 2 --n-train 20 {options}")
    assert done.exit_code == 0, done.stderr
    assert load("m.npz").perms.shape == (n_perms, n_atoms)


def test_curve_resumes() -> None:
    line = "study learning-curve frames.npz -o curve --sigma 2 --n-train 6 --n-train 12 --n-train 20"
    first = run(line)
    assert first.exit_code == 0, first.stderr
    assert len(first.stdout.splitlines()) == 5
    assert load("curve/model.npz").n_train == 20
    assert imread("curve/learning_curve.png").shape[1] > 500
    document = Path("curve/learning_curve.json")
    seconds = [point["seconds"] for point in json.loads(document.read_text())["points"]]
    assert run(line).stdout == first.stdout
    assert [point["seconds"] for point in json.loads(document.read_text())["points"]] == seconds


def test_convert() -> None:
    done = run("convert frames.npz -o frames.xyz")
    assert (done.exit_code, done.stdout) == (0, "60 frames of toy in frames.xyz\n")
    assert run("train sgdml frames.xyz -o m.npz --sigma 2 --n-train 12").exit_code == 0
    assert run("convert m.npz -o again.npz").stdout == "sGDML model of toy, 12 points in again.npz\n"
    positions = water(3).positions
    np.testing.assert_array_equal(load("again.npz").predict(positions)[1], load("m.npz").predict(positions)[1])
