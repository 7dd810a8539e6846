"""A search by tasks: the trials and the model of a search without them, and finished trials are found again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.core.errors import HybridError, InputError
from openmm_hybrid.sgdml import Search, SGDMLModel, SolverSettings, search, training_set, trial_tasks
from openmm_hybrid.sgdml.model_file import to_arrays
from openmm_hybrid.tasks import Runner, SerialRunner, Store
from tests.helpers.sgdml_data import water

DATA = training_set(water(60), n_train=12, n_valid=20)
DIRECT = SolverSettings("direct")


def _same_model(found: SGDMLModel, expected: SGDMLModel) -> None:
    one, other = to_arrays(found), to_arrays(expected)
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def _same(found: Search, expected: Search) -> None:
    """To the last bit, but for the durations."""
    assert [replace(trial, seconds=0.0) for trial in found.trials] == [
        replace(trial, seconds=0.0) for trial in expected.trials
    ]
    assert found.best.sigma == expected.best.sigma
    _same_model(found.model, expected.model)


@pytest.mark.filterwarnings("ignore:the best sigma")
def test_given_sigmas_are_those_without_tasks(runner: Runner, tmp_path: Path) -> None:
    """One trial has no model: its matrix is singular."""
    given = {"sigmas": [3, 2, 1e6], "lams": [0.0, 1e-8], "solver": DIRECT, "progress": False}
    alone = search(DATA, **given)  # type: ignore[arg-type]
    found = search(DATA, runner=runner, store=Store(tmp_path), **given)  # type: ignore[arg-type]
    assert any(trial.refused for trial in alone.trials)
    _same(found, alone)
    np.testing.assert_array_equal(
        found.model.predict(DATA.valid.positions)[1], alone.model.predict(DATA.valid.positions)[1]
    )


@pytest.mark.filterwarnings("ignore:the best sigma")
def test_the_search_takes_the_same_steps_side_by_side(tmp_path: Path) -> None:
    """The first three sigmas of both lams are tasks of one call; later ones are one sigma of each lam."""
    waves = []

    class Counting(Runner):
        def check(self) -> None:
            pass

        def perform_all(self, tasks, store):  # type: ignore[no-untyped-def]
            waves.append([(task.arguments["lam"], task.arguments["sigma"]) for task in tasks])
            return SerialRunner().perform_all(tasks, store)

    data = replace(DATA, energy_constraint=True)
    given = {"lams": [1e-10, 1e-6], "tolerance": 1.0, "solver": DIRECT, "progress": False}
    alone = search(data, **given)  # type: ignore[arg-type]
    found = search(data, runner=Counting(), store=Store(tmp_path), **given)  # type: ignore[arg-type]
    assert found.model.alphas_E is not None
    _same(found, alone)
    assert waves[0] == [(lam, sigma) for lam in (1e-10, 1e-6) for sigma in (10.0, 20.0, 40.0)]
    assert len(waves) > 2
    assert all(len(wave) <= 2 for wave in waves[1:])


@pytest.mark.filterwarnings("ignore:the best sigma")
def test_finished_trials_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, asked = Store(tmp_path), []
    first = search(DATA, sigmas=[2, 3], progress=False, runner=SerialRunner(), store=store)
    perform = trial_tasks.perform_trial
    monkeypatch.setattr(trial_tasks, "perform_trial", lambda *given: asked.append(given[1]) or perform(*given))
    again = search(DATA, sigmas=[2, 3, 4], progress=False, runner=SerialRunner(), store=store)
    assert asked == [4.0]
    assert again.trials[:2] == first.trials
    search(DATA.first(11), sigmas=[2], progress=False, runner=SerialRunner(), store=store)
    assert asked == [4.0, 2.0]


def test_a_trial_that_cannot_be_fitted_is_named(tmp_path: Path) -> None:
    with pytest.raises(HybridError, match=r"2 of 2 trials failed; sigma 2, lam 1e-10: .*unknown solver 'none'"):
        search(
            DATA, sigmas=[2, 3], solver=SolverSettings("none"), progress=False,
            runner=SerialRunner(), store=Store(tmp_path),
        )  # fmt: skip


def test_a_runner_needs_a_store(tmp_path: Path) -> None:
    for given in ({"runner": SerialRunner()}, {"store": Store(tmp_path / "store")}):
        with pytest.raises(InputError, match="runner and store"):
            search(DATA, progress=False, **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="threads = 0"):
        search(DATA, progress=False, runner=SerialRunner(threads=0), store=Store(tmp_path / "store"))
    assert not (tmp_path / "store").exists()
