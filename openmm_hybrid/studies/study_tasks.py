"""Studies as tasks, several of them at a time, each in a folder of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from openmm_hybrid.studies import STUDIES
from openmm_hybrid.studies.options_file import settings_of
from openmm_hybrid.studies.study import settings_as_dict
from openmm_hybrid.tasks import Runner, Store, Task

_FUNCTION = f"{__name__}:study_task"
_STORE = ".tasks"


def run_as_tasks(
    plans: Mapping[str, Any], job: Mapping[str, Any], output: Path, runner: Runner, *, progress: bool
) -> Iterator[str]:
    """Run studies by a runner, and give the name of each as soon as it is done or has failed.

    What a study has computed is in its folder, so that the same study with the same settings only reads it.

    Parameters
    ----------
    plans : mapping
        Study → its settings.
    job : mapping
        What the studies have in common and what changes their results, JSON-ready.
    output : Path
        Folder of the folders of the studies. All workers must see it, and run in the current directory.
    runner : Runner
    progress : bool
        Print a line for each study.

    Raises
    ------
    HybridError
        The cluster is lost, or an outcome cannot be stored.
    """
    tasks = {
        name: Task(
            _FUNCTION,
            {"study": name, "settings": settings_as_dict(settings), "job": dict(job)},
            {"folder": str((output / name).absolute())},
            name=f"study {name}",
        )
        for name, settings in plans.items()
    }
    names = {task.key: name for name, task in tasks.items()}
    for outcome in runner.run(list(tasks.values()), Store(output / _STORE), retry=True):
        if progress:
            end = "done" if outcome.ok else "failed"
            print(f"study {names[outcome.key]}: {end}, {outcome.seconds:.0f} s", file=sys.stderr, flush=True)
        yield names[outcome.key]


def study_task(study: str, settings: Mapping[str, Any], job: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Run a study and keep what it computes in its folder.

    Parameters
    ----------
    study : str
        Name in the registry.
    settings : mapping
        Its settings, JSON-ready.
    job : mapping
        Makes the task another one if the molecule or the models are others.
    folder : str

    Raises
    ------
    HybridError
        As in `Study.run`.
    """
    found = STUDIES.load(study)()
    needed = {field.name for field in fields(found.Settings) if field.default is MISSING}
    given = {name: settings[name] for name in needed}
    others = {name: value for name, value in settings.items() if value is not None and name not in needed}
    found.run(settings_of(found.Settings, given, others, f"the study {study}"), Path(folder), progress=False)
    return {"study": study}
