"""Least squares with a penalty. Source: the same problem solved from its rows."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid.core.least_squares import (
    NormalEquations,
    left_out_errors,
    smallest_error,
    strongest_within_error,
)


@pytest.fixture(scope="module")
def problem() -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Rows (60, 5), noisy labels (60,), and four penalties of rising strength."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 5))
    labels = rows @ [1.0, -2.0, 0.5, 0.0, 3.0] + rng.normal(scale=0.3, size=60)
    return rows, labels, [strength * np.diag([1.0, 2.0, 3.0, 4.0, 5.0]) for strength in (0.0, 0.1, 1.0, 100.0)]


def test_the_solution_is_that_of_the_stacked_rows(problem) -> None:
    rows, labels, penalties = problem
    parts = [NormalEquations.of(rows[part], labels[part]) for part in (slice(20), slice(20, 60))]
    total = NormalEquations.total(parts)
    for penalty in penalties:
        stacked = np.vstack([rows, np.sqrt(penalty)])
        expected = np.linalg.lstsq(stacked, np.concatenate([labels, np.zeros(5)]), rcond=None)[0]
        found = total.solve(penalty)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
        assert total.error(found) == pytest.approx(np.sum((labels - rows @ expected) ** 2), rel=1e-10)


def test_a_ridge_determines_what_rows_leave_open() -> None:
    rows = np.array([[1.0, 1.0], [2.0, 2.0]])
    equations = NormalEquations.of(rows, np.array([2.0, 4.0]))
    np.testing.assert_allclose(equations.solve(np.zeros((2, 2)), ridge=1e-9), [1.0, 1.0], rtol=1e-6)


def test_errors_are_those_of_folds_that_were_left_out(problem) -> None:
    rows, labels, penalties = problem
    folds = np.array_split(np.arange(60), 5)
    errors = left_out_errors([NormalEquations.of(rows[fold], labels[fold]) for fold in folds], penalties)
    assert errors.shape == (5, 4)
    for number, fold in enumerate(folds):
        others = np.setdiff1d(np.arange(60), fold)
        for penalty, error in zip(penalties, errors[number], strict=True):
            c = np.linalg.solve(rows[others].T @ rows[others] + penalty, rows[others].T @ labels[others])
            assert error == pytest.approx(np.sum((labels[fold] - rows[fold] @ c) ** 2), rel=1e-9)
    assert smallest_error(errors) == int(np.argmin(errors.sum(axis=0)))
    assert smallest_error(errors) < 3


def test_the_strongest_penalty_within_a_standard_error_is_chosen() -> None:
    errors = np.array([[1.0, 0.9, 0.92, 2.0], [1.2, 1.1, 1.1, 2.0], [1.4, 1.3, 1.31, 2.0]])
    assert smallest_error(errors) == 1
    assert strongest_within_error(errors, tolerance=0.02) == 2
    assert strongest_within_error(errors, tolerance=0.001) == 1
    equal = np.tile([1.0, 0.9, 0.92, 2.0], (3, 1))  # a standard error of zero
    assert strongest_within_error(equal, tolerance=1.0) == 1
