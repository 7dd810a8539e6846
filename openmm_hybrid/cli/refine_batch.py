"""The verb `refine-batch`: the verb `refine` for each molecule of a library, on this machine or a cluster."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from openmm_hybrid.cli.error_lines import print_result, progress_wanted
from openmm_hybrid.cli.options import Json, OutputFolder, argument
from openmm_hybrid.cli.refine import refine, refine_settings
from openmm_hybrid.cli.runner_options import MEMORY, THREADS, Memory, Scheduler, SchedulerFile, Threads, cluster_of
from openmm_hybrid.cli.settings_options import parameter

_ONE_ONLY = ("ctx", "molecules", "output", "template", "as_json")
"""Parameters of `refine` that are no settings."""


def run(
    ctx: typer.Context,
    library: Annotated[Path, argument(help="File of molecules: .smi, .sdf, or .csv with the columns smiles and name.")],
    output: OutputFolder,
    together: Annotated[
        bool, typer.Option("--together", help="Fit all molecules together: equal GAFF types have equal parameters.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Molecules at a time; more than one needs Dask.")] = 1,
    memory: Memory = MEMORY,
    threads: Threads = THREADS,
    scheduler: Scheduler = "",
    scheduler_file: SchedulerFile = None,
    gpus: Annotated[
        int, typer.Option(metavar="N", help="Workers of that cluster must offer the resource GPU=N for each molecule.")
    ] = 0,
    time_limit: Annotated[
        float | None, typer.Option(help="Minutes after which a molecule counts as failed.", show_default=False)
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Refine molecules again that failed before.")] = False,
    as_json: Json = False,
    **settings: Any,
) -> None:
    """Print the verdict of a batch of refinements and the path of its page."""
    import math

    from openmm_hybrid.refinement.batch import refine_batch
    from openmm_hybrid.refinement.refined import PAGE
    from openmm_hybrid.tasks import SerialRunner

    cluster = cluster_of(workers, memory, threads, scheduler, scheduler_file, gpus=gpus, alone_has_threads=True)
    result = refine_batch(
        library, output, refine_settings(**settings), together=together, runner=cluster or SerialRunner(threads),
        time_limit=math.inf if time_limit is None else 60.0 * time_limit, retry=retry, progress=progress_wanted(ctx),
    )  # fmt: skip
    failures = [f"{each.name}: {each.reason}" for each in result.failed]
    print_result("\n".join((*failures, result.verdict, str(result.path / PAGE))), result.as_dict(), as_json=as_json)


def _with_settings(own: Callable[..., None], summary: str) -> Callable[..., None]:
    """A function for Typer with the parameters of `run` and the settings of `refine`."""

    def verb(**values: Any) -> None:
        own(**values)

    def parameters(function: Callable[..., None], without: tuple[str, ...]) -> list[inspect.Parameter]:
        hints = get_type_hints(function, include_extras=True)
        return [
            parameter(name, hints[name], each.default)
            for name, each in inspect.signature(function).parameters.items()
            if name not in without
        ]

    found = [*parameters(own, ("settings",)), *parameters(refine, _ONE_ONLY)]
    verb.__signature__ = inspect.Signature(found)  # type: ignore[attr-defined]
    verb.__annotations__ = {each.name: each.annotation for each in found}
    verb.__doc__ = summary
    return verb


refine_batch = _with_settings(
    run,
    """Refine each molecule of a library on its own, or all together; the same command resumes after a stop.

    The folder gets a folder for each molecule, as `refine` writes it, and index.html, summary.csv and result.json.
    Molecules that fail are listed with their reason, and the others go on. The settings are those of `refine`.
    """,
)
