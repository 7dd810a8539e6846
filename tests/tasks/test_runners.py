"""Serial and Dask runners give the same results, keep failures, end what hangs, and do nothing twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.core.errors import HybridError, InputError
from openmm_hybrid.tasks import DaskRunner, Runner, SerialRunner, Store, Task

F = "tests.helpers.task_functions"


def _squares(log: Path, count: int = 4) -> list[Task]:
    return [
        Task(f"{F}:squared", {"number": number}, {"log": str(log)}, name=f"task {number}") for number in range(count)
    ]


def test_results_are_those_of_the_function_and_each_is_done_once(runner: Runner, tmp_path: Path) -> None:
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    tasks = _squares(log)
    found = {outcome.name: outcome for outcome in runner.run([*tasks, tasks[0]], store)}
    assert sorted(found) == [f"task {number}" for number in range(4)]
    assert [found[task.name].value["square"] for task in tasks] == [0, 1, 4, 9]
    np.testing.assert_array_equal(found["task 3"].value["below"], [0.0, 1.0, 2.0])
    again = list(runner.run(tasks, store))
    assert {outcome.key: outcome.value["square"] for outcome in again} == {
        outcome.key: outcome.value["square"] for outcome in found.values()
    }
    np.testing.assert_array_equal(
        next(outcome for outcome in again if outcome.name == "task 3").value["below"], [0.0, 1.0, 2.0]
    )
    assert sorted(log.read_text().split()) == ["0", "1", "2", "3"]
    assert not store.running()


def test_a_task_that_raises_is_kept_with_its_reason(runner: Runner, tmp_path: Path) -> None:
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    bad = Task(f"{F}:failing", {"number": 5})
    tasks = [bad, Task(f"{F}:wrong", {"number": 6}), *_squares(log, 2)]
    found = {outcome.key: outcome for outcome in runner.run(tasks, store)}
    assert found[bad.key].reason == "ZeroDivisionError: number 5 is wrong"
    assert "in failing" in found[bad.key].trace
    assert "'number', which cannot be stored" in found[tasks[1].key].reason
    assert [found[task.key].ok for task in tasks] == [False, False, True, True]
    stored = store.find(bad.key)
    assert stored is not None
    assert stored.reason == found[bad.key].reason


def test_a_failure_is_done_again_on_request_only(runner: Runner, tmp_path: Path) -> None:
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    task = Task(f"{F}:plain", {"number": 1}, {"log": str(log / "missing")})
    (first,) = runner.run([task], store)
    assert not first.ok
    mended = Task(task.function, task.arguments, {"log": str(log)})
    assert mended.key == task.key
    assert [outcome.ok for outcome in runner.run([mended], store)] == [False]
    assert [outcome.ok for outcome in runner.run([mended], store, retry=True)] == [True]
    assert [outcome.ok for outcome in runner.run([mended], store, retry=True)] == [True]
    assert log.read_text().split() == ["1"]


def test_a_task_that_hangs_is_ended_with_its_processes(runner: Runner, tmp_path: Path) -> None:
    seconds = 987.0 if isinstance(runner, SerialRunner) else 986.0  # tells the two sleep processes apart
    task = Task(f"{F}:hanging", {"seconds": seconds}, time_limit=2.0)
    (outcome,) = runner.run([task], Store(tmp_path))
    assert outcome.reason == "it took longer than its limit of 2 s"
    deadline = time.monotonic() + 60.0  # a killed process may be listed for a moment, one that lives for 16 minutes
    while _sleeping(seconds) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _sleeping(seconds)


def _sleeping(seconds: float) -> list[bytes]:
    """Command lines of the processes of `sleep` with this argument."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            lines.append(path.read_bytes())
    return [line for line in lines if line.startswith(b"sleep\0" + str(seconds).encode())]


def test_a_task_whose_process_is_killed_starts_again(runner: Runner, tmp_path: Path) -> None:
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    task = Task(f"{F}:dying", {"times": 1}, {"log": str(log)}, time_limit=60.0)
    (outcome,) = runner.run([task], store)
    assert outcome.value == {"starts": 2}
    assert len(set(log.read_text().split())) == 2


def test_a_process_of_its_own_has_one_thread(runner: Runner, tmp_path: Path) -> None:
    (outcome,) = runner.run([Task(f"{F}:threads", {}, time_limit=float("inf"))], Store(tmp_path))
    assert outcome.value == {"threads": "1"}


def test_a_stopped_run_goes_on_where_it_was(runner: Runner, tmp_path: Path) -> None:
    """The loop over the results ends after the first one; the second call does the others."""
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    tasks = _squares(log)
    for _ in runner.run(tasks, store):
        break
    n_read = sum(1 for _ in store.outcomes())
    assert n_read >= 1
    assert len(list(runner.run(tasks, store))) == 4
    assert sorted(log.read_text().split()) == ["0", "1", "2", "3"]


def test_equal_tasks_of_two_callers_are_stored_for_both(dask: DaskRunner, tmp_path: Path) -> None:
    """The second caller comes while the task of the first one runs."""
    stores, signals = [Store(tmp_path / name) for name in ("a", "b")], [tmp_path / "go-a", tmp_path / "go-b"]
    first, second = (Task(f"{F}:waiting", {"seconds": 10.0}, {"signal": str(signal)}) for signal in signals)
    assert first.key == second.key
    running = dask.run([*_squares(tmp_path / "log", 1), first], stores[0])
    assert next(running).value["square"] == 0
    signals[1].touch()
    (outcome,) = dask.run([second], stores[1])
    assert outcome.value == {"signal": str(signals[1])}
    assert stores[1].find(second.key) is not None
    signals[0].touch()
    assert [outcome.value for outcome in running] == [{"signal": str(signals[0])}]


def test_a_worker_that_dies_takes_no_result_with_it(dask: DaskRunner, tmp_path: Path) -> None:
    """One task kills the process of the worker itself, once; another one alone does so each time."""
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    dying = Task(f"{F}:dying", {"times": 1}, {"log": str(log)})
    found = {outcome.key: outcome for outcome in dask.run([dying, *_squares(tmp_path / "squares")], store)}
    assert found[dying.key].value == {"starts": 2}
    assert sum(outcome.ok for outcome in found.values()) == 5
    assert sorted((tmp_path / "squares").read_text().split()) == ["0", "1", "2", "3"]
    always = Task(f"{F}:dying", {"times": 100}, {"log": str(tmp_path / "always")})
    (outcome,) = dask.run([always], store)
    assert "each worker that ran it died" in outcome.reason
    assert store.find(always.key) is not None


def test_a_task_that_takes_too_much_memory_is_ended(dask: DaskRunner, tmp_path: Path) -> None:
    (outcome,) = dask.run([Task(f"{F}:greedy", {"gigabytes": 2.4}, time_limit=float("inf"))], Store(tmp_path))
    assert outcome.reason == "it took more than its limit of 2 GB of memory"


def test_a_cluster_of_this_machine_starts_and_ends_with_the_tasks(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed (extra cluster)")
    store = Store(tmp_path / "store")
    tasks = [Task(f"{F}:threads", {}), *_squares(tmp_path / "log", 2)]
    found = {outcome.key: outcome for outcome in DaskRunner(workers=1, memory="1GB").run(tasks, store)}
    assert found[tasks[0].key].value == {"threads": "1"}
    assert found[tasks[2].key].value["square"] == 1


@contextmanager
def _cluster(**gpus: int) -> Iterator[str]:
    """The address of a cluster of threads, with workers of these names that offer so many GPUs."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (extra cluster)")
    options = {"nthreads": 1, "dashboard": False}
    workers = {
        name: {"cls": distributed.Worker, "options": options | ({"resources": {"GPU": each}} if each else {})}
        for name, each in gpus.items()
    }
    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard": False, "host": "127.0.0.1"}}
    with distributed.SpecCluster(workers, scheduler) as cluster:
        yield cluster.scheduler_address


def test_tasks_with_a_gpu_go_to_workers_that_offer_one(tmp_path: Path) -> None:
    with _cluster(plain=0, device=1, other=0) as address:
        runner, tasks = (
            DaskRunner(scheduler=address, gpus=1),
            [Task(f"{F}:worker_gpus", {"number": n}) for n in range(6)],
        )
        assert [outcome.value for outcome in runner.run(tasks, Store(tmp_path))] == [{"gpus": 1}] * 6


def test_a_cluster_without_enough_gpus_is_refused(tmp_path: Path) -> None:
    tasks = [Task(f"{F}:worker_gpus", {"number": 0})]
    with (
        _cluster(plain=0, other=0) as address,
        pytest.raises(InputError, match="needs GPU=1, and the workers of the cluster offer none"),
    ):
        list(DaskRunner(scheduler=address, gpus=1).run(tasks, Store(tmp_path)))
    with _cluster(plain=0, device=1) as address, pytest.raises(InputError, match="at most 1 of them"):
        list(DaskRunner(scheduler=address, gpus=2).run(tasks, Store(tmp_path)))
    assert not list(Store(tmp_path).outcomes())


def test_a_lost_scheduler_is_told_and_another_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL ends the scheduler once the caller is connected; nothing runs yet, for there is no worker."""
    pytest.importorskip("distributed", reason="Dask is not installed (extra cluster)")
    from benchmarks.many import Cluster

    monkeypatch.setattr("openmm_hybrid.tasks.dask_runner._ANSWER", 2.0)
    cluster, log, tasks = Cluster(tmp_path), tmp_path / "log", _squares(tmp_path / "log", 2)
    runner, store = DaskRunner(scheduler_file=cluster.file), Store(tmp_path / "store")
    try:
        cluster.start_scheduler()

        def kill() -> None:
            while "Receive client connection" not in (tmp_path / "scheduler.log").read_text():
                time.sleep(0.05)
            assert cluster.scheduler is not None
            cluster.scheduler.kill()
            cluster.scheduler.wait()

        killing = threading.Thread(target=kill)
        killing.start()
        with pytest.raises(HybridError, match="scheduler"):
            list(runner.run(tasks, store))
        killing.join()
        monkeypatch.undo()
        cluster.start_scheduler()
        cluster.start_worker()
        assert sum(outcome.ok for outcome in runner.run(tasks, store)) == 2
    finally:
        cluster.end()
    assert sorted(log.read_text().split()) == ["0", "1"]


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="time_limit"):
        Task("a:b", {}, time_limit=0.0)
    with pytest.raises(InputError, match="arguments of a:b"):
        Task("a:b", {"number": {1}})
    with pytest.raises(InputError, match="threads = 0"):
        list(SerialRunner(threads=0).run([], Store(tmp_path)))
    pytest.importorskip("distributed", reason="Dask is not installed (extra cluster)")
    for wrong, words in (
        (DaskRunner(workers=0), "workers = 0"),
        (DaskRunner(scheduler="tcp://a:1", gpus=-1), "gpus = -1; expected 0 or more"),
        (DaskRunner(gpus=1), "gpus = 1 without a scheduler"),
        (DaskRunner(memory="much"), "memory = 'much'"),
        (DaskRunner(scheduler="tcp://a:1", scheduler_file="b"), "one of them"),
        (DaskRunner(scheduler_file=tmp_path / "none.json"), "does not exist"),
    ):
        with pytest.raises(InputError, match=words):
            wrong.check()


def test_a_missing_scheduler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed (extra cluster)")
    monkeypatch.setattr("openmm_hybrid.tasks.dask_runner._ANSWER", 0.5)
    with pytest.raises(HybridError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"):
        list(DaskRunner(scheduler="tcp://127.0.0.1:9").run(_squares(tmp_path / "log"), Store(tmp_path)))
