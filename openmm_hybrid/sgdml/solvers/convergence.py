"""When an iterative solver ends, as its residuals fall: the time that they still need, and when they stop falling."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import final

_PATIENCE = 200  # iterations without notable progress after which they are useless
_NOTABLE = 0.9  # factor by which the residual falls in notable progress
_EARLY = 0.2  # part of the permitted time before which no forecast is trusted
_FIRST = 40  # iterations before which no forecast is trusted


@final
class Convergence:
    """The smallest residuals of an iteration over time.

    Parameters
    ----------
    target : float
        Residual at which the iterations end.
    seconds : float
        Time that they may still need; they are hopeless if they need more.
    clock : callable
        Returns seconds.
    """

    def __init__(
        self, target: float, seconds: float = math.inf, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._target, self._seconds, self._clock = target, seconds, clock
        self._start = clock()
        self._past: list[tuple[float, float]] = []  # time and smallest residual before each iteration
        self._mark, self._marked_at = math.inf, 0  # the last notable progress

    @property
    def best(self) -> float:
        """The smallest residual."""
        return self._past[-1][1] if self._past else math.inf

    def add(self, residual: float) -> bool:
        """Record the residual before an iteration; whether it is the smallest."""
        smallest = residual < self.best
        if residual < _NOTABLE * self._mark:
            self._mark, self._marked_at = residual, len(self._past)
        self._past.append((self._clock() - self._start, min(residual, self.best)))
        return smallest

    @property
    def stalled(self) -> bool:
        """Whether the residual has not fallen notably for long."""
        return len(self._past) - self._marked_at > _PATIENCE

    @property
    def hopeless(self) -> bool:
        """Whether the rest is expected to take longer than permitted."""
        if len(self._past) <= _FIRST or self._past[-1][0] < _EARLY * self._seconds:
            return False
        return self.seconds_left > self._seconds

    @property
    def seconds_left(self) -> float:
        """Time to the target, if the residual's logarithm falls as it did in the last half of the iterations."""
        if self.best <= self._target:
            return 0.0
        now, then = self._past[-1], self._past[len(self._past) // 2]
        fallen = math.log(then[1] / now[1]) if math.isfinite(then[1]) else 0.0
        return math.log(now[1] / self._target) * (now[0] - then[0]) / fallen if fallen else math.inf
