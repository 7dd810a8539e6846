"""Learning curves: nested sets, one test set, and a journal that saves work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.sgdml import fit, load, training_set
from openmm_hybrid.sgdml.check import assess
from openmm_hybrid.studies import learning_curve
from openmm_hybrid.studies.learning_curve import CurveSettings
from tests.helpers.sgdml_data import water

DATA = training_set(water(60), n_train=20, n_valid=10)
SETTINGS = CurveSettings((6, 12, 20), sigma=2.0, lam=1e-8)


def points(path: Path) -> list[dict[str, float]]:
    return json.loads(path.read_text())["points"]


def test_points_are_those_of_models_trained_alone(tmp_path: Path) -> None:
    journal, file = tmp_path / "curve.json", tmp_path / "model.npz"
    curve = learning_curve.run(DATA, SETTINGS, journal=journal, model=file, progress=False)
    assert [point.n_train for point in curve.points] == [6, 12, 20]
    for point in curve.points:
        alone = fit(DATA.first(point.n_train), sigma=2.0, lam=1e-8, progress=False)
        np.testing.assert_array_equal(alone.idxs_train, DATA.idxs_train[: point.n_train])
        assert point.test == assess(alone, DATA.test())
        assert point.test.n_frames == 30
    assert curve.points[2].test.force_mae < 0.5 * curve.points[0].test.force_mae  # measured: 0.04
    np.testing.assert_array_equal(load(file).idxs_train, DATA.idxs_train)
    assert len(curve.table().splitlines()) == 4
    assert [point["n_train"] for point in points(journal)] == [6, 12, 20]


def test_what_is_done_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, file = tmp_path / "curve.json", tmp_path / "model.npz"
    real, asked = learning_curve.train_on, []

    def stopped(data, **options):
        asked.append(data.n_train)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(data, **options)

    monkeypatch.setattr(learning_curve, "train_on", stopped)
    with pytest.raises(KeyboardInterrupt):
        learning_curve.run(DATA, SETTINGS, journal=journal, model=file, progress=False)
    assert [point["n_train"] for point in points(journal)] == [6, 12]
    learning_curve.run(DATA, SETTINGS, journal=journal, model=file, progress=False)
    assert asked == [6, 12, 20, 20]
    first = learning_curve.run(DATA, SETTINGS, journal=journal, model=file, progress=False)
    assert len(asked) == 4
    file.unlink()
    second = learning_curve.run(DATA, SETTINGS, journal=journal, model=file, progress=False)
    assert asked[4:] == [20]
    assert file.is_file()
    assert [point.test for point in first.points] == [point.test for point in second.points]


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "curve.json"
    learning_curve.run(DATA, CurveSettings((5,), sigma=2.0), journal=journal, progress=False)
    before = journal.read_bytes()
    with pytest.raises(MismatchError, match=r"sigma 2\.0 there, 3\.0 now"):
        learning_curve.run(DATA, CurveSettings((5,), sigma=3.0), journal=journal, progress=False)
    other = training_set(water(60), n_train=20, n_valid=10, seed=1)
    with pytest.raises(MismatchError, match="drawn differ"):
        learning_curve.run(other, CurveSettings((5,), sigma=2.0), journal=journal, progress=False)
    assert journal.read_bytes() == before
    journal.write_text(journal.read_text()[:-40])
    with pytest.raises(InputError, match="damaged"):
        learning_curve.run(DATA, CurveSettings((5,), sigma=2.0), journal=journal, progress=False)


def test_settings_are_refused(tmp_path: Path) -> None:
    for numbers in ((), (0, 5), (10, 5), (5, 5)):
        with pytest.raises(InputError, match="100,200,400"):
            CurveSettings(numbers)
    with pytest.raises(InputError, match="sigma > 0"):
        CurveSettings((5,), sigma=0.0)
    with pytest.raises(InputError, match="1 to 20"):
        learning_curve.run(DATA, CurveSettings((5, 21)), journal=tmp_path / "a.json", progress=False)
    with pytest.raises(InputError, match="no frames are left"):
        learning_curve.run(training_set(water(20)), CurveSettings((5,)), journal=tmp_path / "a.json", progress=False)
    assert not list(tmp_path.iterdir())


def test_curve_with_a_search_and_without_energies(tmp_path: Path) -> None:
    frames = water(60)
    bare = training_set(
        type(frames)(frames.atomic_numbers, frames.positions, forces=frames.forces), n_train=12, n_valid=10
    )
    curve = learning_curve.run(
        bare, CurveSettings((8, 12), sigma="search"), journal=tmp_path / "c.json", progress=False
    )
    assert all(np.isnan(point.test.energy_mae) for point in curve.points)
    assert "energy_mae" not in points(tmp_path / "c.json")[0]["test"]  # type: ignore[operator]
    again = learning_curve.run(
        bare, CurveSettings((8, 12), sigma="search"), journal=tmp_path / "c.json", progress=False
    )
    assert [point.sigma for point in again.points] == [point.sigma for point in curve.points]
