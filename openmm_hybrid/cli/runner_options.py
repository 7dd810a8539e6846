"""Options that choose the Dask cluster on which tasks run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmm_hybrid.cli.options import path_option

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


def cluster_of(
    workers: int, memory: str, threads: int, scheduler: str, scheduler_file: Path | None, *, gpus: int = 0
) -> DaskRunner | None:
    """The Dask cluster of the options; None for one worker and no scheduler."""
    from openmm_hybrid.tasks import DaskRunner

    if workers == 1 and not (scheduler or scheduler_file or gpus):
        return None
    return DaskRunner(workers, memory, threads, scheduler, scheduler_file, gpus=gpus)
