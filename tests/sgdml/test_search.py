"""The search of sigma: finds minima of known functions, keeps what failed, and starts where it was near."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.sgdml import SGDMLModel, SolverSettings, TrainingSet, fit, search, train, training_set
from openmm_hybrid.sgdml.search import _narrow, _round
from tests.helpers.sgdml_data import water

DATA = training_set(water(60), n_train=12, n_valid=20)


@pytest.mark.parametrize("best", [0.9, 3.0, 19.0, 33.3, 150.0, 600.0])
def test_golden_section_finds_a_minimum(best: float) -> None:
    tried: dict[float, float] = {}

    def score(log_sigma: float) -> float:
        return tried.setdefault(log_sigma, abs(log_sigma - math.log(best)) ** 1.5)

    asked = [log_sigma for group in _narrow(score, tolerance=0.1) for log_sigma in group]
    assert asked == list(tried)
    found = math.exp(min(tried, key=tried.__getitem__))
    assert abs(math.log(found / best)) < math.log(1.2)
    assert len(tried) < 15


def test_coarse_search_goes_on_when_large_sigmas_fail() -> None:
    tried: dict[float, float] = {}

    def score(log_sigma: float) -> float:
        return tried.setdefault(log_sigma, math.inf if log_sigma > math.log(6.0) else (log_sigma - math.log(2.0)) ** 2)

    list(_narrow(score, tolerance=0.1))
    assert math.exp(min(tried, key=tried.__getitem__)) == pytest.approx(2.0, rel=0.2)
    list(_narrow(lambda log_sigma: math.inf, tolerance=0.1))  # ends


def test_sigmas_are_round() -> None:
    assert [_round(sigma) for sigma in (0.6253, 9.44, 9.9, 24.3)] == [0.63, 9.4, 10.0, 24.0]


def test_best_model_is_that_of_the_best_trial() -> None:
    result = search(DATA, progress=False)
    assert result.best.score == min(trial.score for trial in result.trials)
    assert (result.model.sigma, result.model.lam) == (result.best.sigma, result.best.lam)
    alone = fit(DATA, sigma=result.best.sigma, progress=False)
    np.testing.assert_allclose(alone.predict(DATA.valid.positions)[1], result.model.predict(DATA.valid.positions)[1])
    assert len({(trial.sigma, trial.lam) for trial in result.trials}) == len(result.trials)
    assert result.as_dict()["sigma"] == result.model.sigma


@pytest.mark.filterwarnings("ignore:the best sigma")
def test_a_trial_that_fails_is_a_row() -> None:
    result = search(DATA, sigmas=[2, 1e6], lams=[0.0, 1e-8], progress=False)
    refused = [trial for trial in result.trials if trial.refused]
    assert {trial.sigma for trial in refused} >= {1e6}
    assert all(trial.errors is None and trial.score == math.inf for trial in refused)
    assert result.model.sigma == 2
    lines = result.table().splitlines()
    assert len(lines) == 5
    assert sum(line.endswith("*") for line in lines) == 1
    assert "not positive definite" in result.table()
    with pytest.raises(NumericalError, match="none of 1"):
        search(DATA, sigmas=[1e6], lams=[0.0], progress=False)


def test_an_end_of_the_row_is_told() -> None:
    with pytest.warns(UserWarning, match="10, is the largest"):
        search(DATA, sigmas=[2, 10], progress=False)


@pytest.mark.filterwarnings("ignore:the best sigma")
def test_neighbours_start_from_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []

    def spy(data: TrainingSet, **options: object) -> SGDMLModel:
        seen.append((options["sigma"], options["start"], options["solver"]))
        return fit(data, sigma=options["sigma"], progress=False)  # type: ignore[arg-type]

    monkeypatch.setattr(sys.modules["openmm_hybrid.sgdml.trial"], "fit", spy)
    result = search(DATA, sigmas=[1, 2, 16, 3], solver=SolverSettings(checkpoint=tmp_path / "state.pt"), progress=False)
    assert [sigma for sigma, _, _ in seen] == [1, 2, 3, 16]
    assert seen[0][1] is None
    for (_, start, _), before in zip(seen[1:], (1, 2, 3), strict=True):
        np.testing.assert_array_equal(start, fit(DATA, sigma=before, progress=False).alphas)
    assert len({solver.checkpoint for _, _, solver in seen}) == 4
    assert result.best.sigma in (1, 2, 3, 16)


def test_what_cannot_be_searched() -> None:
    with pytest.raises(InputError, match="validate"):
        search(replace(DATA, idxs_valid=DATA.idxs_valid[:0]), progress=False)
    with pytest.raises(InputError, match="sigma > 0"):
        search(DATA, sigmas=[2, -1], progress=False)
    with pytest.raises(InputError, match="nothing to try"):
        search(DATA, sigmas=[], progress=False)


def test_train_searches(capsys: pytest.CaptureFixture[str]) -> None:
    model = train(water(60), sigma="search", n_train=12, n_valid=20)
    assert model.sigma == search(DATA, progress=False).model.sigma
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.endswith("*") for line in lines) == 1
    train(water(60), sigma="search", n_train=12, n_valid=20, progress=False)
    assert not capsys.readouterr().err
    with pytest.raises(InputError, match='"search"'):
        train(water(60), sigma="best", progress=False)
