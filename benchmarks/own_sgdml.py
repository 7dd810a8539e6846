"""Our side of the training benchmarks, a separate process like the peer's: python -m benchmarks.own_sgdml THREADS

Requests and answers as in `benchmarks.worker`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.peak import peak
from openmm_hybrid import Frames, sgdml
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.solve import plan
from openmm_hybrid.sgdml.solvers.solver import Size


def train(
    data: str,
    indices: list[int],
    sigma: float,
    lam: float,
    perms: list[list[int]],
    out: str,
    solver: str = "auto",
    max_memory: float | None = None,
) -> dict[str, Any]:
    """Train on some frames and write the model; the time is from frames to model, with given permutations."""
    frames = Frames.load(data)
    before = peak()["peak_GB"]
    start, used = time.perf_counter(), time.process_time()
    model = sgdml.train(
        frames,
        sigma=sigma,
        lam=lam,
        perms=perms,
        indices=indices,
        solver=solver,
        max_memory=max_memory,
        device="cpu",
        progress=False,
    )
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - used
    largest = peak()
    model.save(out)
    # The chosen solver and its estimates, computed after the training, so that they warm nothing up.
    size = Size.of(HessianKernel.of(frames.positions[indices], np.array(perms), sigma))
    expected = plan(size, solver=solver, max_memory=max_memory, device="cpu")
    return {
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "solver": expected.solver.name,
        **largest,
        "extra_GB": largest["peak_GB"] - before,
        "expected_seconds": expected.seconds,
        "expected_GB": expected.memory / 1e9,
    }


def predict(model: str, data: str, indices: list[int], out: str) -> dict[str, Any]:
    """Energies and forces at some frames, written to an npz file."""
    energies, forces = sgdml.load(model).predict(Frames.load(data).positions[indices])
    np.savez(out, E=energies, F=forces)
    return {}


def evaluate(model: str, data: str, indices: list[int]) -> dict[str, float]:
    """Median ms for energy and forces of one frame, and ms per frame for all frames at once."""
    loaded = sgdml.load(model)
    positions = Frames.load(data).positions[indices]
    script = torch.jit.freeze(torch.jit.script(loaded.module().eval()))
    one = torch.tensor(positions[:1])
    with torch.inference_mode():
        single = _milliseconds(lambda: script(one), 200)
    return {"single_ms": single, "batch_ms": _milliseconds(lambda: loaded.predict(positions), 5) / len(positions)}


def _milliseconds(call: Callable[[], object], repeats: int) -> float:
    """Median over repeats, after a warm-up of a tenth as many."""
    times = []
    for _ in range(repeats + repeats // 10 + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times[-repeats:]))


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(int(sys.argv[1]))
    for line in sys.stdin:
        request = json.loads(line)
        task = request.pop("task")
        if task == "train":
            answer: dict[str, Any] = train(**request)
        elif task == "predict":
            answer = predict(**request)
        else:
            answer = evaluate(**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
