"""The number of threads follows what is free, by a clock that counts the work of a made-up machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch

from openmm_hybrid.sgdml.threads import MeasuredThreads


@dataclass
class Machine:
    """Steps on some free cores: if a thread has no core of its own, the step takes longer than with one thread."""

    free: int
    now: float = 0.0

    def clock(self) -> float:
        return self.now

    def work(self, amount: float) -> None:
        threads = torch.get_num_threads()
        self.now += 2.0 * amount if threads > self.free else amount / threads


@pytest.fixture
def eight() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    yield
    assert torch.get_num_threads() == 8  # restored
    torch.set_num_threads(before)


def run(threads: MeasuredThreads, machine: Machine, steps: int, amount: float = 0.05) -> float:
    """Seconds of some steps."""
    start = machine.now
    for _ in range(steps):
        with threads.step(amount):
            machine.work(amount)
    return machine.now - start


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(("free", "expected"), [(8, 8), (7, 4), (4, 4), (3, 2), (1, 1)])
def test_as_many_threads_as_cores_are_free(free: int, expected: int) -> None:
    machine = Machine(free)
    with MeasuredThreads(machine.clock) as threads:
        run(threads, machine, 100)
        assert run(threads, machine, 1000) < 1.25 * 1000 * 0.05 / expected


@pytest.mark.usefixtures("eight")
def test_a_core_that_becomes_free_is_used_and_one_that_is_taken_is_left() -> None:
    machine = Machine(1)
    with MeasuredThreads(machine.clock) as threads:
        for free in (1, 8, 2, 8):
            machine.free = free
            run(threads, machine, 5000)
            assert run(threads, machine, 2000) < 1.25 * 2000 * 0.05 / free


@pytest.mark.usefixtures("eight")
def test_steps_of_different_sizes_are_compared_by_their_work() -> None:
    """Work that grows does not look like threads that became slower."""
    machine = Machine(8)
    with MeasuredThreads(machine.clock) as threads:
        for size in range(1, 200):
            run(threads, machine, 1, 0.05 * size)
        assert run(threads, machine, 100, 10.0) < 1.25 * 100 * 10.0 / 8


@pytest.mark.usefixtures("eight")
def test_the_number_is_restored_after_an_error() -> None:
    machine = Machine(1)
    with pytest.raises(KeyboardInterrupt), MeasuredThreads(machine.clock) as threads:
        run(threads, machine, 50)
        assert torch.get_num_threads() < 8
        raise KeyboardInterrupt


def test_one_thread_stays_one() -> None:
    """A number that a user set is never exceeded."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    machine = Machine(8)
    with MeasuredThreads(machine.clock) as threads:
        run(threads, machine, 500)
        assert torch.get_num_threads() == 1
    torch.set_num_threads(before)
