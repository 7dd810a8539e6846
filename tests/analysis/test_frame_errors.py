"""Errors by frame: their means against plain formulas, their standard errors against the spread of many samples."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid.analysis import ErrorTable, error_table, frame_errors, grouped_mean
from openmm_hybrid.analysis.frame_errors import FrameErrors
from openmm_hybrid.core.errors import InputError, MismatchError


def test_the_error_of_equal_groups_is_the_standard_error_of_their_means() -> None:
    values, groups = np.random.default_rng(0).normal(size=60), np.repeat(np.arange(6), 10)
    means = values.reshape(6, 10).mean(axis=1)
    found = grouped_mean(values, groups)
    assert found.value == pytest.approx(values.mean())
    assert found.error == pytest.approx(means.std(ddof=1) / np.sqrt(6))
    alone = grouped_mean(values, np.arange(60))
    assert alone.error == pytest.approx(values.std(ddof=1) / np.sqrt(60))


def test_the_error_is_the_spread_of_means_of_correlated_groups() -> None:
    rng, groups = np.random.default_rng(1), np.repeat(np.arange(12), np.arange(3, 15))
    found = [grouped_mean(rng.normal(size=12)[groups] + rng.normal(size=len(groups)), groups) for _ in range(2000)]
    spread = np.std([mean.value for mean in found])
    assert np.sqrt(np.mean([mean.error**2 for mean in found])) == pytest.approx(spread, rel=0.06)


def errors_of(n_models: int, seed: int = 0) -> tuple[FrameErrors, list[ErrorTable]]:
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=30), rng.normal(size=(30, 4, 3))
    predicted = [tuple(part + 0.1 * rng.normal(size=part.shape) for part in reference) for _ in range(n_models)]
    tables = [error_table(reference, pair, remove_offset=False) for pair in predicted]
    return frame_errors(reference, predicted, np.arange(30) // 3), tables


def test_errors_are_those_of_the_error_table() -> None:
    found, (table,) = errors_of(1)
    for name in ("force_mae", "force_rmse", "energy_mae", "energy_rmse"):
        assert getattr(found, name).value == pytest.approx(getattr(table, name)), name
        assert 0.0 < getattr(found, name).error < 0.5 * getattr(table, name), name


def test_repeated_models_add_their_variance() -> None:
    found, tables = errors_of(5)
    maes = np.array([table.force_mae for table in tables])
    assert found.force_mae.value == pytest.approx(maes.mean())
    within = grouped_mean(found.force.mean(axis=0), found.groups).error
    assert found.force_mae.error**2 == pytest.approx(within**2 + maes.var(ddof=1) / 5)
    other, _ = errors_of(5, seed=1)
    difference = found.force_mae_above(other)
    assert difference.value == pytest.approx(found.force_mae.value - other.force_mae.value)
    assert found.force_mae_above(found).error == pytest.approx(np.sqrt(2 * maes.var(ddof=1) / 5))
    assert errors_of(1)[0].force_mae_above(errors_of(1)[0]).error == 0.0


def test_wrong_arguments_are_refused() -> None:
    reference = np.zeros(4), np.zeros((4, 2, 3))
    with pytest.raises(InputError, match="no predictions"):
        frame_errors(reference, [], np.arange(4))
    with pytest.raises(MismatchError, match="shapes"):
        frame_errors(reference, [(np.zeros(3), np.zeros((4, 2, 3)))], np.arange(4))
    with pytest.raises(InputError, match="not finite"):
        frame_errors(reference, [(np.full(4, np.nan), np.zeros((4, 2, 3)))], np.arange(4))
    with pytest.raises(InputError, match="2 or more"):
        grouped_mean(np.zeros(4), np.zeros(4, dtype=int))
    with pytest.raises(MismatchError, match="shapes"):
        grouped_mean(np.zeros(4), np.zeros(3, dtype=int))
    with pytest.raises(MismatchError, match="the same frames"):
        frames = frame_errors(reference, [reference], np.arange(4))
        half = tuple(part[:2] for part in reference)
        frames.force_mae_above(frame_errors(half, [half], np.arange(2)))
