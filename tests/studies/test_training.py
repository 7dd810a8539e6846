"""The report of a training: errors by part of the data, as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.result_document import write_json
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.sgdml import assess, load
from openmm_hybrid.studies.kernel_settings import TrainingSettings
from openmm_hybrid.studies.training import TrainingStudy, train_and_test
from openmm_hybrid.testing import StudySuite
from tests.helpers.sgdml_data import water


@pytest.fixture
def settings(tmp_path: Path) -> TrainingSettings:
    return TrainingSettings(water(60).save(tmp_path / "frames.npz"), n_train=20, n_valid=10, n_test=25, sigma=2)


class TestTraining(StudySuite):
    @pytest.fixture
    def study(self) -> TrainingStudy:
        return TrainingStudy()

    @pytest.fixture
    def other_settings(self, settings: TrainingSettings) -> TrainingSettings:
        return replace(settings, sigma=3)


def test_errors_of_every_part(settings: TrainingSettings, tmp_path: Path) -> None:
    result = TrainingStudy().run(settings, tmp_path / "study", progress=False)
    data = settings.training_set()
    assert {name: table.n_frames for name, table in result.errors.items()} == {"train": 20, "valid": 10, "test": 25}
    assert result.errors["test"] == assess(load(tmp_path / "study" / "model.npz"), data.test(25))
    content = json.loads(write_json(tmp_path / "report.json", result.as_dict()).read_text())
    assert content["figures"]["test.force_mae"] == {"value": result.errors["test"].force_mae, "unit": "kcal/mol/Å"}
    assert content["figures"]["valid.energy_rmse"]["unit"] == "kcal/mol"
    assert content["consistency"]["slope"] == pytest.approx(1.0, abs=0.05)
    assert content["settings"]["sigma"] == 2
    assert content["search"] is None
    lines = result.table().splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["train", "valid", "test"]


def test_two_processes_do_not_write_one_folder(settings: TrainingSettings, tmp_path: Path) -> None:
    with lock_folder(tmp_path / "study"), pytest.raises(InputError, match="another process is writing"):
        TrainingStudy().run(settings, tmp_path / "study", progress=False)
    assert not (tmp_path / "study" / "model.npz").exists()


def test_search_and_missing_energies(tmp_path: Path) -> None:
    frames = replace(water(40), energies=None).save(tmp_path / "frames.npz")
    settings = TrainingSettings(frames, n_train=12, n_valid=10, n_test=0, sigma="search")
    result = train_and_test(settings.training_set(), settings, progress=False)
    content = json.loads(write_json(tmp_path / "report.json", result.as_dict()).read_text())
    assert len(content["search"]["trials"]) >= 3
    assert not [name for name in content["figures"] if "energy" in name]
    assert content["consistency"] is None
    assert "–" in result.table()
    assert "test" not in result.errors
