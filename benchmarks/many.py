"""Tasks on a Dask cluster: labels with two workers, overhead per task, and results after kills.

python -m benchmarks.many [--only overhead,kills] [--keep PARTS.json] [--tasks 600] [--kills 6] [--restarts 2]

label_gain: labels per second of GFN2-xTB for aspirin with two worker processes of one thread over those with one, on
clusters that are running already; the median of three pairs. It needs two idle cores.

overhead_ms: 4000 tasks that sleep for 1 s, on 1000 simulated workers, which are threads of two processes; the time per
task beyond that of the sleeps alone, the median of three runs. It is what scheduler, store and caller need for a task.

index_MB and index_seconds: memory and time that a call needs to know which of a million tasks are finished, in a store
with the files of all of them.

lost and repeated: a scheduler, two worker processes and a caller that waits for tasks of 0.2 s, some in processes of
their own. Meanwhile SIGKILL ends a worker at random moments, and the scheduler a few times; new ones start, and the
caller calls again. Each task appends a line to a log when it is done. lost: tasks without a result at the end;
repeated: lines beyond one for each task.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, final

import numpy as np

import openmm_hybrid as oh
from benchmarks.parts import Part, measured
from openmm_hybrid.core.errors import HybridError
from openmm_hybrid.core.result_document import document, to_json, versions
from openmm_hybrid.tasks import DaskRunner, Store, Task
from openmm_hybrid.tasks.dask_runner import local_cluster

ROOT = Path(__file__).parents[1]
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
_CHUNKS, _LABELS = 24, 25  # tasks, and labels of each
_SLEEPING, _SLEEP, _PROCESSES, _WORKERS = 4000, 1.0, 2, 1000  # tasks, s, processes and workers of the overhead
_REPEATS = 3
_FINISHED = 10**6  # tasks in the index
_TASK, _OWN_PROCESS = 0.2, 20  # s of a task between kills; one of this many has a process of its own
_CALM, _UNREST = 20.0, 40.0  # s between two kills


def label_some(smiles: str, seed: int, count: int) -> dict[str, Any]:
    """Labels of GFN2-xTB for a molecule with random displacements."""
    molecule, engine = oh.Molecule.from_smiles(smiles), oh.reference.engine("gfn2")
    shifts = np.random.default_rng(seed).normal(scale=0.05, size=(count, molecule.n_atoms, 3))
    found = [engine.compute(molecule.atomic_numbers, molecule.positions + shift) for shift in shifts]
    return {"energies": np.array([energy for energy, _ in found]), "forces": np.array([forces for _, forces in found])}


def sleep(number: int, seconds: float, log: str = "") -> dict[str, Any]:
    """Sleep, and append the number to a log."""
    time.sleep(seconds)
    if log:
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{number}\n")
    return {"number": number}


def label_gain() -> Part:
    """Labels per second with one worker and with two."""
    rates = [{str(workers): _label_rate(workers) for workers in (1, 2)} for _ in range(_REPEATS)]
    return {"labels_per_second": rates, "gain": median(pair["2"] / pair["1"] for pair in rates)}


def _label_rate(workers: int) -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        local_cluster(workers=workers, memory="4GB", threads=1, starts=3) as cluster,
    ):
        runner, store = DaskRunner(scheduler=cluster.scheduler_address), Store(folder)
        # Each worker loads the engine before the clock starts.
        warm = [_labels(-1 - number, 1) for number in range(4 * workers)]
        _check(list(runner.run(warm, store)))
        began = time.perf_counter()
        _check(list(runner.run([_labels(seed, _LABELS) for seed in range(_CHUNKS)], store)))
        return _CHUNKS * _LABELS / (time.perf_counter() - began)


def _labels(seed: int, count: int) -> Task:
    return Task(
        "benchmarks.many:label_some", {"smiles": ASPIRIN, "seed": abs(seed) + 10**6 * (seed < 0), "count": count}
    )


def _check(outcomes: Sequence[Any]) -> None:
    for outcome in outcomes:
        if not outcome.ok:
            raise SystemExit(outcome.reason)


def overhead() -> Part:
    """Time per task beyond that of the sleeps, ms."""
    from distributed import LocalCluster

    ideal = _SLEEPING * _SLEEP / _WORKERS
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=_PROCESSES, threads_per_worker=_WORKERS // _PROCESSES, processes=True, memory_limit=None,
            dashboard_address="127.0.0.1:0", silence_logs=logging.ERROR,
        ) as cluster,
    ):  # fmt: skip
        runner, store = DaskRunner(scheduler=cluster.scheduler_address), Store(folder)
        _check(list(runner.run(_sleeps(-1, _WORKERS, 0.01), store)))  # the processes import what they need
        seconds = []
        for repeat in range(_REPEATS):
            tasks = _sleeps(repeat, _SLEEPING, _SLEEP)
            began = time.perf_counter()
            _check(list(runner.run(tasks, store)))
            seconds.append(time.perf_counter() - began)
    overheads = [1000.0 * (total - ideal) / _SLEEPING for total in seconds]
    return {"seconds": seconds, "ideal_seconds": ideal, "overhead_ms": median(overheads)}


def _sleeps(repeat: int, count: int, duration: float) -> list[Task]:
    numbers = range(repeat * _SLEEPING, repeat * _SLEEPING + count)
    return [Task("benchmarks.many:sleep", {"number": number, "seconds": duration}) for number in numbers]


def index() -> Part:
    """Memory and time of the list of finished tasks."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        for number in range(_FINISHED):
            (store.path / f"{number:032x}.json").touch()
        began = time.perf_counter()
        count = len(store.keys())
        seconds = time.perf_counter() - began
        tracemalloc.start()
        keys = store.keys()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return {"keys": count, "seconds": seconds, "MB": peak / 1e6, "bytes_per_key": peak / len(keys)}


@final
@dataclass(eq=False)
class Cluster:
    """A scheduler and workers that are processes of their own, to be killed and started again."""

    folder: Path
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """The file in which the scheduler writes its address."""
        return self.folder / "scheduler.json"

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until it has an address."""
        self.file.unlink(missing_ok=True)
        options = ["--port", "0", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(self.file)]
        self.scheduler = self._start("scheduler", options)
        while not _written(self.file):
            time.sleep(0.1)

    def start_worker(self) -> None:
        """Start one more worker."""
        options = ["--nthreads", "1", "--memory-limit", "2GB", "--no-nanny", "--no-dashboard"]
        self.workers.append(self._start("worker", [*options, "--scheduler-file", str(self.file)]))

    def end(self) -> None:
        """Kill everything."""
        for process in (*self.workers, *([self.scheduler] if self.scheduler else [])):
            process.kill()
            process.wait()

    def _start(self, what: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *options]
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


def _written(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text()))
    except (OSError, ValueError):
        return False


@contextmanager
def unrest(
    cluster: Cluster,
    kills: int,
    restarts: int,
    chance: np.random.Generator,
    pauses: tuple[float, float] = (_CALM, _UNREST),
) -> Iterator[list[str]]:
    """Kill workers and the scheduler in another thread, in a random order, and start new ones; the log of the kills.

    `pauses` are the shortest and the longest time between two kills, s.
    """
    victims = chance.permutation(["worker"] * kills + ["scheduler"] * restarts).tolist()
    done: list[str] = []
    over = threading.Event()

    def disturb() -> None:
        for victim in victims:
            if over.wait(chance.uniform(*pauses)):
                return
            if victim == "scheduler" and cluster.scheduler:
                cluster.scheduler.kill()
                cluster.scheduler.wait()
                done.append(victim)
                cluster.start_scheduler()
                for worker in cluster.workers:
                    worker.kill()
                    worker.wait()
                cluster.workers.clear()
                cluster.start_worker()
            else:
                worker = cluster.workers.pop(0)
                worker.kill()
                worker.wait()
                done.append(victim)
            cluster.start_worker()

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def kills(n_tasks: int, n_kills: int, n_restarts: int, seed: int) -> Part:
    """Results that are lost, and those that were made more than once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cluster, log = Cluster(folder), folder / "done.txt"
        store = Store(folder / "store")
        tasks = [
            Task(
                "benchmarks.many:sleep", {"number": number, "seconds": _TASK}, {"log": str(log)},
                time_limit=600.0 if number % _OWN_PROCESS == 0 else None,
            )
            for number in range(n_tasks)
        ]  # fmt: skip
        calls = 0
        try:
            cluster.start_scheduler()
            cluster.start_worker()
            cluster.start_worker()
            with unrest(cluster, n_kills, n_restarts, np.random.default_rng(seed)) as killed:
                while sum(outcome.ok for outcome in store.outcomes()) < n_tasks and calls < 10 * (1 + n_restarts):
                    calls += 1
                    try:
                        for _ in DaskRunner(scheduler_file=cluster.file).run(tasks, store, retry=True):
                            pass
                    except HybridError as error:
                        print(error, file=sys.stderr)
                        while not _written(cluster.file):
                            time.sleep(0.1)
        finally:
            cluster.end()
        outcomes, lines = list(store.outcomes()), log.read_text().split()
    return {
        "tasks": n_tasks,
        "kills": killed,
        "calls": calls,
        "failures": sorted({outcome.reason for outcome in outcomes if not outcome.ok}),
        "lost": n_tasks - sum(outcome.ok for outcome in outcomes),
        "repeated": len(lines) - len(set(lines)),
    }


def figures(parts: dict[str, Part]) -> dict[str, tuple[float, str]]:
    """The figures of the parts that have been measured."""
    found: dict[str, tuple[float, str]] = {}
    if "label_gain" in parts:
        found["many.label_gain"] = (parts["label_gain"]["gain"], "1")
    if "overhead" in parts:
        found["many.overhead_ms"] = (parts["overhead"]["overhead_ms"], "ms")
    if "index" in parts:
        found["many.index_MB"] = (parts["index"]["MB"], "MB")
        found["many.index_seconds"] = (parts["index"]["seconds"], "s")
    if "kills" in parts:
        part = parts["kills"]
        found |= {f"many.{name}": (part[name], "1") for name in ("lost", "repeated", "tasks")}
        found |= {f"many.{name}_kills": (part["kills"].count(name), "1") for name in ("worker", "scheduler")}
    return found


def main() -> None:
    """Run the parts and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of parts, separated by commas")
    parser.add_argument("--keep", type=Path, default=None, help="file of the parts that are finished")
    parser.add_argument("--tasks", type=int, default=600, help="tasks between the kills")
    parser.add_argument("--kills", type=int, default=6, help="kills of workers")
    parser.add_argument("--restarts", type=int, default=2, help="kills of the scheduler")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    disturbed = partial(kills, options.tasks, options.kills, options.restarts, options.seed)
    tasks: dict[str, Callable[[], Part]] = {
        "label_gain": label_gain, "overhead": overhead, "index": index, "kills": disturbed,
    }  # fmt: skip
    parts = measured(options.only, tasks, options.keep)
    packages = versions(("dask", "distributed"))
    print(to_json(document("many", figures(parts), packages=packages, parts=parts)))


if __name__ == "__main__":
    main()
