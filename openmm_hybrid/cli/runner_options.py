"""Options that choose the Dask cluster on which tasks run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmm_hybrid.cli.options import path_option
from openmm_hybrid.core.errors import InputError

if TYPE_CHECKING:
    from openmm_hybrid.tasks import DaskRunner

Memory = Annotated[str, typer.Option(help="Memory limit of each worker, if there are several.")]
Threads = Annotated[int, typer.Option(help="Threads of each worker.")]
Scheduler = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Use a running Dask cluster, such as tcp://10.0.0.1:8786.")
]
SchedulerFile = Annotated[
    Path | None, path_option(help="Use the running Dask cluster whose scheduler wrote this file.")
]


MEMORY, THREADS = "8GB", 1
"""Values that stand for options which were not given."""


def cluster_of(
    workers: int,
    memory: str,
    threads: int,
    scheduler: str,
    scheduler_file: Path | None,
    *,
    gpus: int = 0,
    alone_has_threads: bool = False,
) -> DaskRunner | None:
    """The Dask cluster of the options; None for one worker and no scheduler.

    Parameters
    ----------
    workers, memory, threads, scheduler, scheduler_file, gpus
        See `DaskRunner`.
    alone_has_threads : bool
        Whether the number of threads counts without a cluster, too.

    Raises
    ------
    InputError
        There is no cluster, and an option has no effect without one.
    """
    from openmm_hybrid.tasks import DaskRunner

    if workers != 1 or scheduler or scheduler_file or gpus:
        return DaskRunner(workers, memory, threads, scheduler, scheduler_file, gpus=gpus)
    hint = "give --workers 2 or more, or a scheduler, or leave it out"
    if memory != MEMORY:
        raise InputError(f"--memory {memory} has no effect with one worker, which has no limit", hint=hint)
    if threads != THREADS and not alone_has_threads:
        raise InputError(
            f"--threads {threads} has no effect with one worker", hint=f"{hint}; OMP_NUM_THREADS sets its threads"
        )
    return None
