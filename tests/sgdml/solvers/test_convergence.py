"""Forecasts of an iteration's time from its residuals, by a clock of one second per iteration."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count

import pytest

from openmm_hybrid.sgdml.solvers.convergence import Convergence

TARGET = 1e-4


def after(n: int, residual: Callable[[int], float], seconds: float = math.inf) -> Convergence:
    """The course of n residuals."""
    ticks = count()
    convergence = Convergence(TARGET, seconds, clock=lambda: float(next(ticks)))
    for k in range(n):
        convergence.add(residual(k))
    return convergence


@pytest.mark.parametrize("decay", [0.9, 0.98, 0.999])
def test_the_time_left_is_that_of_a_steady_decay(decay: float) -> None:
    n = 50
    needed = math.log(TARGET) / math.log(decay) - (n - 1)
    assert after(n, lambda k: decay**k).seconds_left == pytest.approx(needed)


def test_a_residual_that_oscillates_counts_with_its_smallest_values() -> None:
    course = after(200, lambda k: 0.98**k * (1.0 + 0.5 * (k % 7)))
    assert course.seconds_left == pytest.approx(math.log(TARGET) / math.log(0.98) - 199, rel=0.1)
    assert course.best == pytest.approx(0.98**196)


def test_hopeless_is_what_takes_longer_than_permitted_and_only_after_a_while() -> None:
    def slow(k: int) -> float:
        return 0.999**k  # needs 9200 iterations

    assert after(200, slow, seconds=500.0).hopeless
    assert not after(90, slow, seconds=500.0).hopeless  # less than a fifth of the permitted time
    assert not after(40, slow, seconds=10.0).hopeless  # too few iterations
    assert not after(200, slow, seconds=9500.0).hopeless
    assert not after(200, slow).hopeless
    assert not after(150, lambda k: 0.98**k, seconds=500.0).hopeless


def test_no_notable_progress_in_200_iterations_is_a_stall() -> None:
    assert not after(190, lambda k: 1.0).stalled
    assert after(210, lambda k: 1.0).stalled
    assert not after(1000, lambda k: 0.999**k).stalled


def test_nothing_left_at_the_target() -> None:
    assert after(1, lambda k: 1e-5).seconds_left == 0.0
    assert math.isinf(after(3, lambda k: 1.0).seconds_left)
