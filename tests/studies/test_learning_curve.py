"""Learning curves: nested sets, one test set, and a journal that saves work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.sgdml import fit, load
from openmm_hybrid.sgdml.check import assess
from openmm_hybrid.studies import learning_curve
from openmm_hybrid.studies.learning_curve import CurveSettings, LearningCurveStudy
from openmm_hybrid.testing import StudySuite
from tests.helpers.sgdml_data import water


@pytest.fixture
def settings(tmp_path: Path) -> CurveSettings:
    frames = water(60).save(tmp_path / "frames.npz")
    return CurveSettings(frames, n_train=(6, 12, 20), n_valid=10, sigma=2.0, lam=1e-8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "curve"


class TestLearningCurve(StudySuite):
    @pytest.fixture
    def study(self) -> LearningCurveStudy:
        return LearningCurveStudy()

    @pytest.fixture
    def other_settings(self, settings: CurveSettings) -> CurveSettings:
        return replace(settings, seed=1)


def run(settings: CurveSettings, folder: Path) -> learning_curve.LearningCurve:
    return LearningCurveStudy().run(settings, folder, progress=False)


def points(folder: Path) -> list[dict[str, float]]:
    return json.loads((folder / "learning_curve.json").read_text())["points"]


def test_points_are_those_of_models_trained_alone(settings: CurveSettings, folder: Path) -> None:
    curve, data = run(settings, folder), settings.training_set()
    assert [point.n_train for point in curve.points] == [6, 12, 20]
    for point in curve.points:
        alone = fit(data.first(point.n_train), sigma=2.0, lam=1e-8, progress=False)
        np.testing.assert_array_equal(alone.idxs_train, data.idxs_train[: point.n_train])
        assert point.test == assess(alone, data.test())
        assert point.test.n_frames == 30
    assert curve.points[2].test.force_mae < 0.5 * curve.points[0].test.force_mae  # measured: 0.04
    np.testing.assert_array_equal(load(folder / "model.npz").idxs_train, data.idxs_train)
    assert len(curve.table().splitlines()) == 4
    assert [point["n_train"] for point in points(folder)] == [6, 12, 20]


def test_what_is_done_is_not_computed_again(
    settings: CurveSettings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = learning_curve.train_on, []

    def stopped(data, **options):
        asked.append(data.n_train)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(data, **options)

    monkeypatch.setattr(learning_curve, "train_on", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(settings, folder)
    assert [point["n_train"] for point in points(folder)] == [6, 12]
    run(settings, folder)
    assert asked == [6, 12, 20, 20]
    first = run(settings, folder)
    assert len(asked) == 4
    (folder / "model.npz").unlink()
    second = run(settings, folder)
    assert asked[4:] == [20]
    assert (folder / "model.npz").is_file()
    assert [point.test for point in first.points] == [point.test for point in second.points]


def test_a_journal_of_something_else_is_refused(settings: CurveSettings, folder: Path) -> None:
    settings = replace(settings, n_train=(5,))
    run(settings, folder)
    journal = folder / "learning_curve.json"
    before = journal.read_bytes()
    with pytest.raises(MismatchError, match=r"sigma 2\.0 there, 3\.0 now"):
        run(replace(settings, sigma=3.0), folder)
    with pytest.raises(MismatchError, match="selection"):
        run(replace(settings, seed=1), folder)
    assert journal.read_bytes() == before
    journal.write_text(journal.read_text()[:-40])
    with pytest.raises(InputError, match="damaged"):
        run(settings, folder)


def test_two_processes_do_not_write_one_journal(settings: CurveSettings, folder: Path) -> None:
    with lock_folder(folder), pytest.raises(InputError, match="another process is writing"):
        run(settings, folder)


def test_settings_are_refused(settings: CurveSettings, folder: Path) -> None:
    for numbers in ((), (0, 5), (10, 5), (5, 5)):
        with pytest.raises(InputError, match="100, 200, 400"):
            replace(settings, n_train=numbers)
    with pytest.raises(InputError, match="sigma > 0"):
        replace(settings, sigma=0.0)
    with pytest.raises(InputError, match="1 to 60"):
        run(replace(settings, n_train=(5, 61)), folder)
    with pytest.raises(InputError, match="no frames are left"):
        run(replace(settings, n_train=(5, 60), n_valid=0), folder)
    assert not folder.exists()


def test_curve_with_a_search_and_without_energies(settings: CurveSettings, folder: Path) -> None:
    replace(water(60), energies=None).save(settings.frames)
    settings = replace(settings, n_train=(8, 12), sigma="search")
    curve = run(settings, folder)
    assert all(np.isnan(point.test.energy_mae) for point in curve.points)
    assert "energy_mae" not in points(folder)[0]["test"]  # type: ignore[operator]
    again = run(settings, folder)
    assert [point.sigma for point in again.points] == [point.sigma for point in curve.points]
