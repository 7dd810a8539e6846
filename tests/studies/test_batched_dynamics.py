"""Dynamics of many runs at constant temperature: their distribution, lost runs, and resumption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.studies import batched_dynamics
from openmm_hybrid.studies.batched_dynamics import BatchPlan, run_batch
from openmm_hybrid.studies.subject import Predict, predictor, relaxed_conformers
from tests.helpers.hydrogen_chloride import CHLORIDE, LENGTH, K, Morse, harmonic

START = np.array([[[0.0, 0.0, 0.0], [LENGTH, 0.0, 0.0]]])
PLAN = BatchPlan(
    CHLORIDE.atomic_numbers, CHLORIDE.bonds, 500.0, 1.0, 10, n_equilibration=10, stride=4, n_frames=6, n_runs=8, seed=3
)


def frames(plan: BatchPlan, predict: Predict, path: Path) -> NDArray[np.floating]:
    batch = run_batch(plan, predict, lambda: START, path, "", progress=False)
    return batch.frames[batch.kept]


def test_bond_lengths_have_the_variance_of_the_temperature(tmp_path: Path) -> None:
    plan = replace(PLAN, n_runs=400, n_equilibration=40, n_frames=3, stride=15)
    found = frames(plan, predictor(harmonic()), tmp_path / "runs.npz")
    assert found.shape == (400, 3, 2, 3)
    lengths = np.linalg.norm(found[:, :, 1] - found[:, :, 0], axis=-1)
    # ⟨(r − r0)²⟩ = kT/k; 1200 lengths give it to about 5 %, and its 3D volume element adds less than 2 %.
    assert np.mean((lengths - LENGTH) ** 2) == pytest.approx(BOLTZMANN * 500.0 / K, rel=0.2)


def stopping(predict: Predict, calls: int) -> Predict:
    left = iter(range(calls))

    def stopped(positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return predict(positions)

    return stopped


def test_stopped_runs_resume_to_the_same_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predict = predictor(harmonic())
    whole = frames(PLAN, predict, tmp_path / "whole.npz")
    monkeypatch.setattr(batched_dynamics, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(batched_dynamics, "_PAUSE", 0.0)
    for calls in (60, 115, 83, 30):  # 340 calls are needed, and one after each start
        with pytest.raises(KeyboardInterrupt):
            frames(PLAN, stopping(predict, calls), tmp_path / "parts.npz")
    resumed = frames(PLAN, stopping(predict, 120), tmp_path / "parts.npz")
    np.testing.assert_array_equal(resumed, whole)
    again = frames(PLAN, stopping(predict, 0), tmp_path / "parts.npz")
    np.testing.assert_array_equal(again, whole)
    with pytest.raises(InputError, match="belongs to another"):
        frames(replace(PLAN, seed=4), predict, tmp_path / "parts.npz")


def test_runs_that_lose_a_bond_are_left_out(tmp_path: Path) -> None:
    weak = Morse()
    weak.depth = 7.0
    found = frames(replace(PLAN, n_runs=40, n_frames=60), weak.evaluate, tmp_path / "some.npz")
    assert 20 <= len(found) < 40
    assert np.isfinite(found).all()
    with pytest.raises(NumericalError, match="lost a bond"):
        frames(replace(PLAN, temperature=5000.0), weak.evaluate, tmp_path / "hot.npz")


def test_conformers_are_relaxed_in_the_model() -> None:
    (found,) = relaxed_conformers(Morse().evaluate, CHLORIDE, 3, 0)
    assert np.linalg.norm(found[1] - found[0]) == pytest.approx(LENGTH, abs=0.001)

    def broken(positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.zeros(len(positions)), np.full(positions.shape, np.nan)

    with pytest.raises(NumericalError, match="no conformer"):
        relaxed_conformers(broken, CHLORIDE, 3, 0)
