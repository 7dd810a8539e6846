"""Functions for tasks: they count their calls by lines of a log, raise, hang, and end their process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np


def logged(log: str, line: object) -> None:
    """Append a line to a file."""
    with Path(log).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def squared(number: int, log: str) -> dict[str, Any]:
    """A number's square, and the array of all numbers below it."""
    logged(log, number)
    return {"square": number**2, "below": np.arange(number, dtype=np.float64)}


def plain(number: int, log: str) -> dict[str, Any]:
    """A result without arrays."""
    logged(log, number)
    return {"number": number}


def worker_gpus(number: int) -> dict[str, Any]:
    """GPUs that the Dask worker of this task offers."""
    from distributed import get_worker

    return {"gpus": get_worker().state.total_resources.get("GPU", 0)}


def failing(number: int) -> dict[str, Any]:
    """A task with an error of its own."""
    raise ZeroDivisionError(f"number {number} is wrong")


def hanging(seconds: float) -> dict[str, Any]:
    """A task that takes long, with a process that takes as long."""
    import subprocess

    subprocess.run(["sleep", str(seconds)], check=True)
    return {}


def waiting(seconds: float, signal: str) -> dict[str, Any]:
    """A task that waits for a file, at most so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not Path(signal).exists():
        time.sleep(0.05)
    return {"signal": signal}


def wrong(number: int) -> dict[str, Any]:
    """A task whose result cannot be stored."""
    return {"number": {number}}


def dying(log: str, times: int) -> dict[str, Any]:
    """A task that kills its process the first `times` times."""
    logged(log, os.getpid())
    if len(Path(log).read_text().splitlines()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"starts": len(Path(log).read_text().splitlines())}


def threads() -> dict[str, Any]:
    """The environment variable for the number of threads."""
    return {"threads": os.environ.get("OPENMM_CPU_THREADS", "")}


def greedy(gigabytes: float) -> dict[str, Any]:
    """A task that takes memory, and time."""
    block = np.ones(int(gigabytes * 1e9 / 8))
    time.sleep(600.0)
    return {"sum": float(block.sum())}
