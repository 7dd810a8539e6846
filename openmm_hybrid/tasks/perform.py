"""Perform one task, in this process or in one of its own, and store its outcome."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from types import TracebackType
from typing import IO, final

from openmm_hybrid.tasks.store import Store
from openmm_hybrid.tasks.task import Task
from openmm_hybrid.tasks.task_result import TaskResult

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENMM_CPU_THREADS")
_STARTS = 3  # of a process that a signal ends
_POLL, _POLL_MEMORY = 0.05, 1.0  # s


def thread_settings(threads: int) -> dict[str, str]:
    """Environment variables that give BLAS, torch and OpenMM's CPU platform a number of threads."""
    return dict.fromkeys(_THREADS, str(threads))


def perform(task: Task, store: Store, *, memory: int | None = None, threads: int = 1) -> TaskResult:
    """Do a task unless the store has its outcome, and store the outcome.

    Parameters
    ----------
    task : Task
        One with a time limit runs in a process of its own.
    store : Store
    memory : int, optional, bytes
        Most memory of such a process with those that it starts.
    threads : int
        Threads of such a process.

    Raises
    ------
    HybridError
        The outcome cannot be stored.
    """
    if task.time_limit is None:
        return perform_here(task, store)
    return store.find(task.key) or _perform_alone(task, store, memory, threads)


def perform_here(task: Task, store: Store) -> TaskResult:
    """Do a task in this process unless the store has its outcome, and store the outcome.

    An error of the task is its outcome. Ctrl-C is not.

    Raises
    ------
    HybridError
        The outcome cannot be stored.
    """
    with store.claim(task.key):
        outcome = store.find(task.key)
        if outcome is not None:
            return outcome
        began, kept = time.monotonic(), _Kept()
        with kept:
            outcome = TaskResult.success(task, task.run(), time.monotonic() - began)
        if outcome is None:
            outcome = TaskResult.failure(task, kept.error or "no reason", time.monotonic() - began)
        return store.put(outcome)


@final
class _Kept:
    """A block whose error is kept in place of being raised. A task may raise an error of any class."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error if isinstance(error, Exception) else None
        return self.error is not None


def _perform_alone(task: Task, store: Store, memory: int | None, threads: int) -> TaskResult:
    """Do a task in a process of its own, which starts again if a signal that we did not send ends it."""
    began = time.monotonic()
    for _ in range(_STARTS):
        problem, killed = _start(task, store, memory, threads)
        known = store.find(task.key)
        if known is not None:
            return known
        if not killed:
            break
    outcome = TaskResult.failure(task, problem, time.monotonic() - began)
    return store.put(outcome)


def _start(task: Task, store: Store, memory: int | None, threads: int) -> tuple[str, bool]:
    """Start a process for a task, and wait for its end: what was wrong, and whether somebody killed it."""
    request = {"folder": str(store.path.absolute()), "task": task.as_dict()}
    paths = os.pathsep.join(filter(None, sys.path))  # so that it finds what this process finds
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "openmm_hybrid.tasks.child"],
            env={**os.environ, **thread_settings(threads), "PYTHONPATH": paths},
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors,
            start_new_session=True,  # a group of its own: Ctrl-C spares it, and our SIGKILL reaches all that it starts
        )  # fmt: skip
        try:
            _send(process, json.dumps(request))
            problem = _watched(process, task.time_limit, memory)
        finally:
            _end(process)
        if problem:
            return problem, False
        return _end_in_words(process.returncode, errors), process.returncode < 0


def _send(process: subprocess.Popen[bytes], line: str) -> None:
    """Hand over the task. The pipe stays open: its end tells the process that this one is gone."""
    if process.stdin is None:
        return
    with suppress(BrokenPipeError):  # it has ended already
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()


def _watched(process: subprocess.Popen[bytes], time_limit: float | None, memory: int | None) -> str:
    """Wait for the end of a process; the limit that it exceeded, in words, or an empty text."""
    began = measured = time.monotonic()
    while process.poll() is None:
        now = time.monotonic()
        if time_limit is not None and now - began > time_limit:
            return f"it took longer than its limit of {time_limit:g} s"
        if memory is not None and now - measured > _POLL_MEMORY:
            measured = now
            if _resident(process.pid) > memory:
                return f"it took more than its limit of {memory / 1e9:.3g} GB of memory"
        try:
            process.wait(timeout=_POLL)
        except subprocess.TimeoutExpired:
            continue
    return ""


def _resident(pid: int) -> int:
    """Memory of a process and those that it started, bytes."""
    import psutil  # a memory limit is one of distributed, which needs it too

    try:
        first = psutil.Process(pid)
        return sum(process.memory_info().rss for process in (first, *first.children(recursive=True)))
    except psutil.Error:  # one has ended in the meantime
        return 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()


def _end_in_words(status: int, errors: IO[bytes]) -> str:
    if status < 0:
        return f"its process was ended by {signal.Signals(-status).name} {_STARTS} times"
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return f"its process ended without an outcome ({lines[-1] if lines else f'exit status {status}'})"
