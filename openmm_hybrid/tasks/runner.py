"""The contract of a runner: it performs tasks, one after another or on many machines, and stores their outcomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import final

from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.tasks.store import Store
from openmm_hybrid.tasks.task import Task
from openmm_hybrid.tasks.task_result import TaskResult


class Runner(ABC):
    """A way to perform tasks."""

    @abstractmethod
    def check(self) -> None:
        """Look at everything that can be known before the first task.

        Raises
        ------
        MissingDependencyError
            A package is not installed.
        InputError
            A setting is wrong.
        """

    @property
    def in_turn(self) -> bool:
        """Whether the tasks are performed one after another, on this machine."""
        return True

    @abstractmethod
    def perform_all(self, tasks: Sequence[Task], store: Store) -> Iterator[TaskResult]:
        """Outcomes of tasks with different keys, none of which is in the store, in the order in which they come."""

    @final
    def run(
        self, tasks: Sequence[Task], store: Store, *, retry: bool = False, progress: bool = False
    ) -> Iterator[TaskResult]:
        """The outcomes of tasks as they come, those in the store first. Equal tasks are done once and come once.

        Ctrl-C, or the end of the loop over the outcomes, ends the tasks that run. Finished ones stay in the store. On a
        cluster that runs on, tasks that have begun go on and are stored; another call waits for them.

        Parameters
        ----------
        tasks : sequence of Task
        store : Store
        retry : bool
            Do tasks again that failed in an earlier call.
        progress : bool

        Raises
        ------
        HybridError
            A package is missing, a setting is wrong, the cluster is lost, or an outcome cannot be stored.
        """
        self.check()
        distinct = {task.key: task for task in tasks}
        store.path.mkdir(parents=True, exist_ok=True)
        finished = store.keys() & distinct.keys()
        for key in sorted(finished) if retry else ():
            if (outcome := store.find(key)) is not None and not outcome.ok:
                store.remove(key)
                finished.remove(key)
        rest = [task for key, task in distinct.items() if key not in finished]
        with progress_bar(len(distinct), "tasks", "tasks", done=len(finished), enabled=progress) as advance:
            for key in distinct:
                if key in finished:  # read one by one: all together may not fit into the memory
                    outcome = store.find(key)
                    if outcome is not None:
                        yield outcome
                    else:  # removed in the meantime
                        rest.append(distinct[key])
            if not rest:
                return
            for outcome in self.perform_all(rest, store):
                advance(1)
                yield outcome
