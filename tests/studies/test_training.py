"""The report of a training: errors by part of the data, as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from openmm_hybrid.core.result_document import write_json
from openmm_hybrid.sgdml import assess, training_set
from openmm_hybrid.studies import training
from tests.helpers.sgdml_data import water


def test_errors_of_every_part(tmp_path: Path) -> None:
    data = training_set(water(60), n_train=20, n_valid=10)
    result = training.run(data, sigma=2, n_test=25, progress=False)
    model = result.training.model
    assert {name: table.n_frames for name, table in result.errors.items()} == {"train": 20, "valid": 10, "test": 25}
    assert result.errors["test"] == assess(model, data.test(25))
    content = json.loads(write_json(tmp_path / "report.json", result.as_dict()).read_text())
    assert content["figures"]["test.force_mae"] == {"value": result.errors["test"].force_mae, "unit": "kcal/mol/Å"}
    assert content["figures"]["valid.energy_rmse"]["unit"] == "kcal/mol"
    assert content["consistency"]["slope"] == pytest.approx(1.0, abs=0.05)
    assert content["settings"]["sigma"] == 2
    assert content["search"] is None
    lines = result.table().splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["train", "valid", "test"]


def test_search_and_missing_energies(tmp_path: Path) -> None:
    data = training_set(replace(water(40), energies=None), n_train=12, n_valid=10)
    result = training.run(data, sigma="search", n_test=0, progress=False)
    content = json.loads(write_json(tmp_path / "report.json", result.as_dict()).read_text())
    assert len(content["search"]["trials"]) >= 3
    assert not [name for name in content["figures"] if "energy" in name]
    assert content["consistency"] is None
    assert "–" in result.table()
    assert "test" not in result.errors
