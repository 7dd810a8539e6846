"""The number of torch's threads for repeated work, chosen by measurement.

Threads wait for each other at the end of every small operation. If another process uses one of the cores, a step with
a thread per core can therefore take many times as long as with one thread. What is free changes during long work, so
we measure the steps of the work itself, and try all numbers again now and then.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import final

import torch

_WINDOW = 0.1  # least seconds of a measurement
_GAIN = 1.1  # speed of another number of threads, relative to the present one, from which we change
_RARELY = 20.0  # time between sweeps over all numbers, relative to the time of a sweep


@final
class MeasuredThreads:
    """Runs steps of some work with the fastest number of threads, and restores the number at the end.

    ``with MeasuredThreads() as threads: for part in parts: with threads.step(part.work): ...``. We try the number of
    threads at the start (of torch, ``OMP_NUM_THREADS`` or ``torch.set_num_threads``), a half of it, a quarter, and so
    on to one, but never more.

    Parameters
    ----------
    clock : callable
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._most = torch.get_num_threads()
        self._numbers = [self._most >> k for k in range(self._most.bit_length())]
        self._speeds: dict[int, float] = {}  # number of threads → speed in the sweep
        self._best = self._most
        self._sweep_from = -math.inf
        self._next = -math.inf  # time of the next sweep
        self._work = self._seconds = 0.0

    def __enter__(self) -> MeasuredThreads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        torch.set_num_threads(self._most)

    @contextmanager
    def step(self, work: float = 1.0) -> Iterator[None]:
        """Measure a step; `work` is its size in any unit, so that steps of different sizes can be compared."""
        start = self._clock()
        yield
        now = self._clock()
        self._work += work
        self._seconds += now - start
        if self._most > 1 and self._seconds >= _WINDOW:
            self._judge(self._work / self._seconds, now)
            self._work = self._seconds = 0.0

    def _judge(self, speed: float, now: float) -> None:
        """Record a measurement; begin a sweep over all numbers, continue it, or end it with the fastest number."""
        if not self._speeds and now < self._next:
            return
        if not self._speeds:
            self._sweep_from = now - self._seconds
        self._speeds[torch.get_num_threads()] = speed
        left = [number for number in self._numbers if number not in self._speeds]
        if left:
            torch.set_num_threads(left[0])
            return
        fastest = max(self._numbers, key=self._speeds.__getitem__)
        if self._speeds[fastest] > _GAIN * self._speeds[self._best]:
            self._best = fastest
        torch.set_num_threads(self._best)
        self._next = now + _RARELY * (now - self._sweep_from)
        self._speeds = {}
