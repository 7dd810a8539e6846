"""Tasks on a Dask cluster: processes on this machine, or any cluster with a scheduler."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from openmm_hybrid.core.errors import HybridError, InputError, MissingDependencyError
from openmm_hybrid.core.files import expanded, fingerprint
from openmm_hybrid.tasks.perform import perform, thread_settings
from openmm_hybrid.tasks.runner import Runner
from openmm_hybrid.tasks.store import Store
from openmm_hybrid.tasks.task import Task
from openmm_hybrid.tasks.task_result import TaskResult

_ANSWER = 20.0  # s, in which a scheduler has to answer
_GPU = "GPU"  # resource of a worker that has GPUs, by the custom of Dask


@final
@dataclass(frozen=True)
class DaskRunner(Runner):
    """Tasks on a Dask cluster. Tasks of a worker that dies start again on another one.

    All workers must see the folder of the store. Without a scheduler, a cluster of processes on this machine starts and
    ends with the tasks. Python starts these processes anew, so a script that does this needs the usual
    ``if __name__ == "__main__":``.

    Parameters
    ----------
    workers : int
        Processes on this machine, with one task at a time each.
    memory : str
        Most memory of each process, such as "8GB". A task in a process of its own ends above it and fails.
    threads : int
        Threads of BLAS, OpenMM and torch in each process.
    scheduler : str
        Address of the scheduler of another cluster, such as "tcp://10.0.0.1:8786".
    scheduler_file : str or Path, optional
        File in which such a scheduler wrote its address.
    starts : int
        Times that a task may be running on a worker that dies, before it counts as failed. A running cluster has its
        own setting (Dask's ``distributed.scheduler.allowed-failures``).
    gpus : int
        GPUs of each task, on a running cluster: a task goes to a worker with this much of the resource "GPU", such as
        one that was started with ``--resources GPU=1``. 0 means that tasks go to any worker.
    """

    workers: int = 2
    memory: str = "8GB"
    threads: int = 1
    scheduler: str = ""
    scheduler_file: str | Path | None = None
    starts: int = 3
    gpus: int = 0

    def check(self) -> None:
        """Look at the settings, and whether Dask is installed."""
        for name, least in (("workers", 1), ("threads", 1), ("starts", 1), ("gpus", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)!r}", expected=f"{least} or more")
        if self.gpus and not (self.scheduler or self.scheduler_file):
            raise InputError(
                f"gpus = {self.gpus} without a scheduler, and workers that start here share all GPUs of this machine",
                expected="the scheduler of a cluster whose workers have a GPU each",
                hint="start a scheduler and workers with --resources GPU=1, and give its address",
            )
        try:
            import distributed  # noqa: F401
            from dask.utils import parse_bytes
        except ImportError as error:
            raise MissingDependencyError(
                f"a cluster needs Dask, which is not installed ({error})",
                hint='pip install "openmm-hybrid[cluster]", or use one worker',
            ) from error
        try:
            parse_bytes(self.memory)
        except ValueError:
            raise InputError(f"memory = {self.memory!r}", expected='a size such as "8GB"') from None
        if self.scheduler and self.scheduler_file:
            raise InputError("a scheduler and a scheduler file are given", expected="one of them")
        if self.scheduler_file and not expanded(self.scheduler_file).is_file():
            raise InputError(
                f"{self.scheduler_file} does not exist", expected="the file of a running scheduler (--scheduler-file)"
            )

    @property
    def in_turn(self) -> bool:
        """Whether there is one worker, on this machine."""
        return self.workers == 1 and not (self.scheduler or self.scheduler_file)

    def perform_all(self, tasks: Sequence[Task], store: Store) -> Iterator[TaskResult]:
        """Outcomes in the order in which the workers finish. A lost connection is made again."""
        rest = {task.key: task for task in tasks}
        while rest:
            before = len(rest)
            for outcome in self._gathered(list(rest.values()), store):
                del rest[outcome.key]
                yield outcome
            if len(rest) == before:
                raise HybridError("the scheduler of the cluster is lost", hint="finished tasks are stored; start again")

    def _gathered(self, tasks: Sequence[Task], store: Store) -> Iterator[TaskResult]:
        """Outcomes of tasks until all are done or the scheduler is lost."""
        from distributed import as_completed

        folder = str(store.path.absolute())
        with self._client() as client:
            self._check_gpus(client)
            keys = [_dask_key(task, folder) for task in tasks]
            work = partial(on_worker, folder=folder, threads=self.threads)
            submitted = client.map(
                work, [task.as_dict() for task in tasks], key=keys, pure=False, resources=self._resources
            )
            futures = dict(zip(submitted, tasks, strict=True))
            for future in as_completed(submitted, loop=client.loop):
                outcome = self._outcome(future, futures.pop(future), store)
                if outcome is None:
                    return
                yield outcome
                future.release()

    def _outcome(self, future: Any, task: Task, store: Store) -> TaskResult | None:
        """The outcome of a task that Dask has done with; None if the scheduler is lost."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        known = store.find(task.key)
        if known is not None:
            return known
        error = future.exception()  # it waits if the worker died after the end of the task, so that Dask repeats it
        if isinstance(error, KilledWorker):
            return store.put(TaskResult.failure(task, "each worker that ran it died (killed, or out of memory)"))
        if future.status == "cancelled":
            return None
        if error is not None:
            raise error  # of the store, or a worker with other packages
        try:
            # The file is there, but a network file system may show it later.
            found: TaskResult = future.result()
        except CancelledError:
            return None
        return found

    @property
    def _resources(self) -> dict[str, int] | None:
        """What a worker needs for a task, for Dask."""
        return {_GPU: self.gpus} if self.gpus else None

    def _check_gpus(self, client: Any) -> None:
        """Refuse a cluster in which tasks would wait for ever. One without workers may be about to start them.

        Raises
        ------
        InputError
            No worker offers enough GPUs.
        """
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        offered = [worker["resources"].get(_GPU, 0) for worker in workers]
        if self.gpus and offered and max(offered) < self.gpus:
            most = f"at most {max(offered):g} of them" if max(offered) else "none"
            raise InputError(
                f"a task needs {_GPU}={self.gpus}, and the workers of the cluster offer {most}",
                expected=f"a worker with this resource (--resources {_GPU}={self.gpus})",
            )

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """A client of the given cluster, or of one on this machine that ends with the block.

        Raises
        ------
        InputError
            No scheduler answers.
        """
        from distributed import Client

        with ExitStack() as stack:
            stack.enter_context(_quiet("distributed.client"))
            if self.scheduler or self.scheduler_file:
                given = {"address": self.scheduler} if self.scheduler else {"scheduler_file": str(self.scheduler_file)}
                try:
                    client = stack.enter_context(Client(**given, timeout=_ANSWER, set_as_default=False))
                except (OSError, ValueError) as error:
                    raise InputError(
                        f"no Dask scheduler answers at {self.scheduler or self.scheduler_file} ({error})",
                        expected="the address of a running scheduler, such as tcp://10.0.0.1:8786",
                    ) from error
            else:
                cluster = stack.enter_context(local_cluster(self.workers, self.memory, self.threads, self.starts))
                client = stack.enter_context(Client(cluster, set_as_default=False))
            yield client


def _dask_key(task: Task, folder: str) -> str:
    """Name of a task on the cluster, which does tasks of one name once, for all callers: those of one store."""
    where = json.dumps([folder, task.places], sort_keys=True)
    return f"openmm-hybrid-{task.key}-{fingerprint(where)[:16]}"


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a logger silent while the block lasts: a lost scheduler is an error of ours, without Dask's traceback."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def local_cluster(workers: int, memory: str, threads: int, starts: int) -> Iterator[Any]:
    """A Dask cluster of processes on this machine, which ends with the block; see `DaskRunner`."""
    import dask
    from distributed import LocalCluster

    settings = {
        "distributed.scheduler.allowed-failures": starts - 1,
        # Dask gives up a worker that is not back after 15 s. On a busy machine, a process takes longer to start.
        "distributed.deploy.lost-worker-timeout": "1 hour",
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, memory_limit=memory,
            dashboard_address="127.0.0.1:0", env=thread_settings(threads), silence_logs=logging.ERROR,
        ) as cluster,
    ):  # fmt: skip
        yield cluster


def on_worker(task: dict[str, Any], folder: str, threads: int) -> TaskResult:
    """Perform a task on a Dask worker.

    Raises
    ------
    InputError
        The worker does not see the folder of the store.
    HybridError
        The outcome cannot be stored.
    """
    import socket

    from distributed import get_worker

    if not Path(folder).is_dir():
        raise InputError(f"{folder} does not exist on {socket.gethostname()}", expected="a folder that all workers see")
    worker = get_worker()
    memory = worker.memory_manager.memory_limit
    return perform(Task(**task), Store(folder), memory=memory and memory // worker.state.nthreads, threads=threads)
