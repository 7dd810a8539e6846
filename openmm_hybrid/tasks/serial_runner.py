"""Tasks one after another, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.tasks.perform import perform
from openmm_hybrid.tasks.runner import Runner
from openmm_hybrid.tasks.store import Store
from openmm_hybrid.tasks.task import Task
from openmm_hybrid.tasks.task_result import TaskResult


@final
@dataclass(frozen=True)
class SerialRunner(Runner):
    """One task at a time, in this process, or in one of its own if it has a time limit.

    Parameters
    ----------
    threads : int
        Threads of such a process.
    """

    threads: int = 1

    def check(self) -> None:
        """Look at the number of threads."""
        if self.threads < 1:
            raise InputError(f"threads = {self.threads!r}", expected="1 or more")

    def perform_all(self, tasks: Sequence[Task], store: Store) -> Iterator[TaskResult]:
        """Outcomes in the order of the tasks."""
        for task in tasks:
            yield perform(task, store, threads=self.threads)
