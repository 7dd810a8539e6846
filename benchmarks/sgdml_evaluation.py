"""Energies and forces of aspirin's sGDML model: here against sgdml 1.0.3 (numpy and torch), in one run.

python -m benchmarks.sgdml_evaluation --peer PYTHON [--points 1000]   (PYTHON: of an environment that has sgdml)

The model is that of 2018 (1000 points, 6 permutations); OPENMM_HYBRID_DATA names the folder of the reference data. The
peer runs in processes of its own, on the same model file and frames: its numpy predictor as it is constructed (numpy)
and with the fastest of all numbers of workers and sizes of chunks (numpy_tuned), and its torch predictor.

All sides have two threads and take turns, A B C … A B C …; a ratio is the median over rounds of the ratio within a
round, so that what else the machine does weighs on both sides of it. Still, leave the machine alone: two threads wait
for each other at every matrix product, and where another program holds one of two cores a call takes 80 ms instead of
0.4 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid import Frames, sgdml
from openmm_hybrid.sgdml import SGDMLModel
from openmm_hybrid.studies.result import document, to_json

THREADS = 2
BATCH = 1000
SINGLE_ROUNDS, BATCH_ROUNDS = 25, 3
SETTINGS = {"OMP_NUM_THREADS": str(THREADS), "OPENBLAS_CORETYPE": "Haswell"}
"""Environment of all sides."""
PEERS = ("numpy", "numpy_tuned", "torch")
REPEATS = {"ours": 40, "gemm": 40} | dict.fromkeys(PEERS, 8)
"""Single evaluations in a row, a round; the first two are not counted."""

_PEER = """
import json, logging, os, sys, time
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever the peer prints goes to stderr
import numpy as np
from sgdml.predict import GDMLPredict
kind, model, frames = sys.argv[1:]
R = np.load(frames)
use_torch = kind == "torch"
# 2 GB hold batches of the torch predictor.
p = GDMLPredict(np.load(model, allow_pickle=True), use_torch=use_torch, max_memory=2, max_processes=THREADS,
                log_level=logging.CRITICAL)

def seconds(frames):
    start = time.perf_counter()
    p.predict(frames)
    return time.perf_counter() - start

def use(bulk, workers, chunk):
    p._set_bulk_mp(bulk)
    p._set_num_workers(workers, force_reset=True)
    p._set_chunk_size(chunk)

def fastest(number):  # its own prepare_parallel() takes chunks of one point for a single frame: slower
    tried = {}
    for bulk in (False, True) if number > 1 else (False,):
        for workers in range(1 if bulk else 0, THREADS + 1):
            for chunk in (25, 50, 100, 250, 500, 1000):
                use(bulk, workers, chunk)
                tried[bulk, workers, chunk] = min(seconds(R[:number]) for _ in range(4 if number == 1 else 2))
    best = min(tried, key=tried.get)
    use(*best)
    return best

if use_torch:
    import torch
    torch.set_num_threads(THREADS)
for line in sys.stdin:
    task, number = line.split()
    number = int(number)
    if task == "prepare":
        answer = fastest(number)
    elif task == "forces":
        answer = p.predict(R[:number])[1].tolist()
    else:
        frames = R[:1] if task == "single" else R
        answer = [seconds(frames) for _ in range(number)]
    print(json.dumps(answer), file=answers, flush=True)
"""

Timed = Callable[[int], list[float]]


@final
class Peer:
    """A process of the peer's environment that times one of its predictors on demand."""

    def __init__(self, python: Path, kind: str, model: Path, frames: Path) -> None:
        self._errors = model.with_name(f"{kind}.log")
        script = f"THREADS = {THREADS}\n{_PEER}"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [str(python), "-c", script, kind, str(model), str(frames)],
                env={**os.environ, **SETTINGS},
                cwd=model.parent,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def ask(self, task: str, number: int) -> Any:
        """The answer to a task of `_PEER`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(task, number, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the peer stopped: {self._errors.read_text(encoding='utf-8')[-2000:]}")
        return json.loads(line)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()


def timed(call: Callable[[], object]) -> Timed:
    """A function that runs `call` so many times and gives the seconds of each."""

    def run(number: int) -> list[float]:
        seconds = []
        for _ in range(number):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        return seconds

    return run


def products(model: SGDMLModel) -> Callable[[], object]:
    """The matrix products of one evaluation of one frame, with the module's own matrices and nothing else."""
    module = model.module()
    moved, fixed = module.moved_points, module.fixed_points
    permutations, columns = len(model.perms), moved.shape[1]
    shapes = [(3, model.n_atoms), (1, len(module.e2)), (1, len(fixed)), (permutations, len(moved))]
    shapes += [(1, columns), (permutations, columns), (3, len(module.slopes))]
    matrices = [module.differences, module.e2, fixed, moved, fixed.t(), moved.t(), module.slopes]
    left = [torch.ones(shape, dtype=torch.float64) for shape in shapes]
    pairs = list(zip(left, matrices, strict=True))
    return lambda: [torch.mm(a, b) for a, b in pairs]


def interleaved(sides: dict[str, Timed], rounds: int, repeats: dict[str, int], skipped: int) -> dict[str, NDArray[Any]]:
    """Median time of each side in each round, ms; the first `skipped` times of a round are not counted."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            found[name].append(1e3 * float(np.median(run(repeats[name] + skipped)[skipped:])))
    return {name: np.array(times) for name, times in found.items()}


def ratio(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Median over rounds of first/second."""
    return float(np.median(first / second))


def measure(model: SGDMLModel, positions: NDArray[np.float64], python: Path, folder: Path) -> dict[str, Any]:
    """The document that is printed."""
    path, frames = model.save(folder / "model.npz"), folder / "frames.npy"
    np.save(frames, positions.reshape(len(positions), -1))
    script = torch.jit.freeze(torch.jit.script(model.module().eval()))
    one = torch.tensor(positions[:1])
    with ExitStack() as stack:
        peers = {kind: stack.enter_context(Peer(python, kind, path, frames)) for kind in PEERS}
        forces = model.predict(positions[:20])[1].reshape(20, -1)
        differences = {kind: float(np.abs(peer.ask("forces", 20) - forces).max()) for kind, peer in peers.items()}
        settings = {"single": peers["numpy_tuned"].ask("prepare", 1)}
        stack.enter_context(torch.inference_mode())
        sides: dict[str, Timed] = {"ours": timed(lambda: script(one)), "gemm": timed(products(model))}
        sides |= {kind: lambda n, peer=peer: peer.ask("single", n) for kind, peer in peers.items()}  # type: ignore[misc]
        single = interleaved(sides, SINGLE_ROUNDS, REPEATS, skipped=2)
        settings["batch"] = peers["numpy_tuned"].ask("prepare", 20)
        sides = {"ours": timed(lambda: model.predict(positions))}
        sides |= {kind: lambda n, peer=peer: peer.ask("batch", n) for kind, peer in peers.items()}  # type: ignore[misc]
        batch = interleaved(sides, BATCH_ROUNDS, dict.fromkeys(sides, 1), skipped=0)
    figures: dict[str, tuple[float, str]] = {
        f"evaluation_ratio.{kind}": (ratio(single[kind], single["ours"]), "1") for kind in PEERS
    }
    figures["evaluation_over_gemm"] = (ratio(single["ours"], single["gemm"]), "1")
    figures["batch_ratio"] = (ratio(np.minimum(batch["numpy"], batch["torch"]), batch["ours"]), "1")
    figures["batch_ratio_tuned"] = (ratio(batch["numpy_tuned"], batch["ours"]), "1")
    figures |= {f"evaluation.{name}": (float(np.median(times)), "ms") for name, times in single.items()}
    figures |= {f"batch.{name}": (float(np.median(times)), "ms") for name, times in batch.items()}
    return document(
        "sgdml_evaluation",
        figures,
        points=model.n_train,
        permutations=len(model.perms),
        frames_of_a_batch=len(positions),
        threads=THREADS,
        environment=SETTINGS,
        load_average=os.getloadavg()[0],
        rounds_ms={"evaluation": _rounded(single), "batch": _rounded(batch)},
        bulk_workers_and_chunk_of_numpy_tuned=settings,
        largest_force_difference_to_the_peer=differences,
    )


def _rounded(times: dict[str, NDArray[Any]]) -> dict[str, list[float]]:
    return {name: [round(float(value), 4) for value in values] for name, values in times.items()}


def main() -> None:
    """Measure and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="Python of an environment with sgdml 1.0.3 and torch")
    parser.add_argument("--points", type=int, default=1000, help="use only so many of the model's training points")
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in SETTINGS.items()):  # libraries read them when they load
        module = [sys.executable, "-m", "benchmarks.sgdml_evaluation"]
        os.execve(sys.executable, [*module, *sys.argv[1:]], {**os.environ, **SETTINGS})
    torch.set_num_threads(THREADS)
    data = Path(os.environ.get("OPENMM_HYBRID_DATA", Path(__file__).parents[2] / "shared" / "data"))
    model = sgdml.load(data / "sgdml_model_2018_aspirin.npz")
    model = replace(
        model,
        descriptors=model.descriptors[: options.points],
        descriptor_alphas=model.descriptor_alphas[: options.points],
        alphas=None,
        idxs_train=model.idxs_train[: options.points],
    )
    positions = np.array(Frames.load(data / "md17_aspirin.npz").positions[:BATCH])
    with tempfile.TemporaryDirectory(prefix="sgdml-evaluation-") as folder:
        print(to_json(measure(model, positions, options.peer, Path(folder))))


if __name__ == "__main__":
    main()
