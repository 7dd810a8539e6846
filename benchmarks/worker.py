"""Processes that do one side's work on request: the peer's, in its environment, and ours, in this one.

A request is a line of JSON with the entry "task", which names the function, and its arguments; the answer is a line of
JSON. Both sides run with as many threads and the same environment variables as the program that starts them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, final

import numpy as np

from openmm_hybrid import Frames

THREADS = 2
"""Threads of each side, unless a benchmark is given another number."""
ROOT = Path(__file__).parents[1]


def settings(threads: int) -> dict[str, str]:
    """Environment of all sides. OpenBLAS fails on some processors with its other kernels (docs/architecture.md)."""
    return {"OMP_NUM_THREADS": str(threads), "OPENBLAS_CORETYPE": "Haswell"}


@final
class Worker:
    """A process that answers requests, for use in a with statement; its messages go to a log file in `folder`."""

    def __init__(self, command: list[str], folder: Path, name: str) -> None:
        threads = used_threads()
        self._errors = folder / f"{name}.log"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [*command, str(threads)],
                env={**os.environ, **settings(threads)},
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    @classmethod
    def peer(cls, python: Path, folder: Path, name: str = "peer") -> Worker:
        """The peer's side, run by the Python of its environment."""
        return cls([str(python), str(Path(__file__).with_name("peer_sgdml.py"))], folder, name)

    @classmethod
    def ours(cls, folder: Path, name: str = "ours") -> Worker:
        """Our side, run by this Python."""
        return cls([sys.executable, "-m", "benchmarks.own_sgdml"], folder, name)

    def ask(self, task: str, **arguments: Any) -> Any:
        """The answer to a request.

        Raises
        ------
        SystemExit
            The process stopped; the message holds the end of its log.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps({"task": task, **arguments}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SystemExit(f"a process stopped: {self._errors.read_text(encoding='utf-8')[-2000:]}")
        return json.loads(line)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def used_threads() -> int:
    """Threads of this process and of the workers that it starts."""
    return int(os.environ.get("OMP_NUM_THREADS", THREADS))


def use_settings(module: str, threads: int) -> None:
    """Start this program again with the `settings` where they are not set: libraries read them when they load."""
    wanted = settings(threads)
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], {**os.environ, **wanted})


def data_folder() -> Path:
    """The folder of the reference data."""
    return Path(os.environ.get("OPENMM_HYBRID_DATA", ROOT.parent / "shared" / "data"))


def distinct_frames(name: str, folder: Path) -> tuple[Frames, Path]:
    """The distinct frames of a file of the reference data, and an npz file of them that both sides read."""
    frames = Frames.load(data_folder() / name).unique()
    path = folder / f"distinct-{name}"
    np.savez(path, R=frames.positions, E=frames.energies, F=frames.forces, z=frames.atomic_numbers.astype(np.uint8))
    return frames, path
