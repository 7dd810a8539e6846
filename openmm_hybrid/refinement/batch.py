"""Refinement of all molecules of a library, each on its own or all together: `refine_batch`."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from openmm_hybrid import reference
from openmm_hybrid.bases import DEFAULT, base_forcefield
from openmm_hybrid.core.csv_file import write_csv
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import as_file_name, expanded
from openmm_hybrid.core.result_document import versions, write_json
from openmm_hybrid.core.same_job import ignored, lock_folder, note_job
from openmm_hybrid.core.text_table import cell
from openmm_hybrid.data.library_files import LibraryEntry, read_library
from openmm_hybrid.refinement.batch_page import write_page
from openmm_hybrid.refinement.batch_result import (
    FAILED,
    REFINED,
    RUNNING,
    WAITING,
    BatchMolecule,
    BatchResult,
    records,
)
from openmm_hybrid.refinement.batch_task import common_task, entry_task, outcome_of
from openmm_hybrid.refinement.refined import PAGE, RESULT
from openmm_hybrid.refinement.rounds import FREE, check_common_base, files_of
from openmm_hybrid.refinement.settings import RefineSettings
from openmm_hybrid.tasks import Runner, SerialRunner, Store, Task, TaskResult

STORE, JOB, TABLE = ".tasks", "job.json", "summary.csv"
_PAUSE = 9.0  # between two summaries over the time that one takes, which is seconds for ten thousand molecules
_ROWS = 100  # of the table on the terminal
_ORDER = (RUNNING, FAILED, REFINED, WAITING)  # of the states in the table on the terminal, which may be cut
_NAME = 80  # most letters in the name of a molecule's folder
_SHOWN = 5  # problems that a warning lists


def refine_batch(
    library: str | Path,
    output: str | Path,
    settings: RefineSettings | None = None,
    *,
    together: bool = False,
    runner: Runner | None = None,
    time_limit: float | None = math.inf,
    retry: bool = False,
    progress: bool = True,
) -> BatchResult:
    """`refine` for each molecule of a library, one after another or on a cluster, or `refine_series` for all of them.

    A molecule that cannot be read or refined is kept as a failure with its reason, and the others go on. The same call
    resumes after a stop. A longer library, or another target or budget, goes on with what there is. Molecules that are
    fitted together stay the same, and fail together, unless they cannot be read or built with the base force field.

    Parameters
    ----------
    library : path
        A ``.smi``, ``.sdf`` or ``.csv`` file; see `openmm_hybrid.data.library_files.read_library`. Names must differ.
    output : path
        Folder for the results (see `BatchResult`). On a cluster, all workers must see it.
    settings : RefineSettings, optional
        For all molecules.
    together : bool
        Fit all molecules together, in one process: terms of equal GAFF types have the same parameters in all of them.
    runner : Runner, optional
        By default one molecule after another; `openmm_hybrid.tasks.DaskRunner` refines several at a time.
    time_limit : float or None, s
        Time after which the refinement of a molecule, or that of all together, is ended and counts as failed. Each one
        runs in a process of its own, unless it is None.
    retry : bool
        Refine molecules again that failed in an earlier call.
    progress : bool
        Show a table of the molecules on a terminal, and lines elsewhere.

    Raises
    ------
    InputError
        The library cannot be read or holds no readable molecule, a name is there twice, or a setting is wrong. A common
        fit has fewer than two molecules, a base force field whose types are not shared, or a runner of several tasks.
    MismatchError
        The folder belongs to other settings, has another molecule of the same name, or was fitted in the other way.
    MissingDependencyError
        The runner needs a package that is not installed.
    HybridError
        A file cannot be written, or the cluster is lost.

    Warns
    -----
    UserWarning
        Molecules cannot be read, or are there twice under different names.
    """
    chosen, runner, folder = settings or RefineSettings(), runner or SerialRunner(), expanded(output)
    entries = _without_doubles(read_library(library))
    folders = _folders(entries, folder)
    runner.check()
    reference.engine(chosen.engine)  # refuses an unknown name
    if chosen.base:
        base_forcefield(chosen.base)
    readable = [entry for entry in entries if not entry.problem]
    problems = [f"{entry.name} ({entry.place}): {entry.problem}" for entry in entries if entry.problem]
    if not readable:
        raise InputError(f"no molecule of {library} can be refined; {problems[0]}")
    if together:
        _check_common(readable, chosen, runner)
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        warnings.warn(
            f"{len(problems)} of {len(entries)} molecules are left out: {'; '.join(problems[:_SHOWN])}{more}",
            stacklevel=2,
        )
    if together:
        tasks = dict.fromkeys((entry.name for entry in readable), common_task(readable, chosen, folders, time_limit))
    else:
        tasks = {entry.name: entry_task(entry, chosen, folders[entry.name], time_limit) for entry in readable}
    title = f"Force fields for {expanded(library).stem}{', fitted together' if together else ''}"
    with lock_folder(folder):
        _note(folder, chosen, entries, together)
        batch = _Batch(folder, title, entries, folders, tasks, Store(folder / STORE))
        return batch.run(runner, retry=retry, progress=progress)


def _check_common(entries: Sequence[LibraryEntry], settings: RefineSettings, runner: Runner) -> None:
    """Refuse what a common fit cannot do."""
    if len(entries) < 2:
        raise InputError(f"{entries[0].name} is the only molecule of a common fit", expected="two or more molecules")
    check_common_base([settings.base or DEFAULT] * len(entries))
    if not runner.in_turn:
        raise InputError(
            "a common fit is given to several workers or a cluster", expected="one process for all molecules",
            hint="leave out the workers and the scheduler, or refine each molecule on its own",
        )  # fmt: skip


def _without_doubles(entries: Sequence[LibraryEntry]) -> list[LibraryEntry]:
    """The entries, in which a molecule that came before under another name is a problem."""
    first: dict[str, LibraryEntry] = {}
    found = []
    for entry in entries:
        before = first.setdefault(entry.canonical, entry) if entry.canonical else entry
        reason = f"it is the same molecule as {before.name} ({before.place})"
        found.append(entry if before is entry else LibraryEntry(entry.name, entry.place, problem=reason))
    return found


def _folders(entries: Sequence[LibraryEntry], output: Path) -> dict[str, Path]:
    """A folder for each molecule, by its name."""
    names = [as_file_name(entry.name, _NAME) for entry in entries]
    taken = {name.casefold(): "the batch" for name in ("", JOB, PAGE, TABLE, RESULT)}
    for entry, name in zip(entries, names, strict=True):
        other = taken.setdefault(name.casefold(), entry.name)
        if other != entry.name:
            raise InputError(
                f"the name {entry.name!r} ({entry.place}) gives the folder {name!r}, which is that of {other}",
                expected="names that differ in their letters and digits",
                hint="rename one of them",
            )
    return {entry.name: output / name for entry, name in zip(entries, names, strict=True)}


def _note(folder: Path, settings: RefineSettings, entries: Sequence[LibraryEntry], together: bool) -> None:
    """Compare settings, molecules, and whether they are fitted together, with those of earlier calls."""
    molecules = {entry.name: entry.canonical for entry in entries if entry.canonical}
    job = {"together": together} | asdict(settings) | {"max_minutes": str(settings.max_minutes), "molecules": molecules}
    job |= files_of(settings)
    same = _same_series if together else _same_molecules
    note_job(
        folder / JOB, job, what="batch of refinements", hint="choose another folder",
        rules=dict.fromkeys(FREE, ignored) | {"together": _same_way, "molecules": same},
    )  # fmt: skip


def _same_way(found: bool | None, wanted: bool) -> str:
    if bool(found) == wanted:
        return ""
    return "its molecules are refined each on its own" if wanted else "its molecules are fitted together"


def _same_molecules(found: Mapping[str, str] | None, wanted: Mapping[str, str]) -> str:
    for name, smiles in wanted.items():
        before = (found or {}).get(name, smiles)
        if before != smiles:
            return f"{name} is {before} there, {smiles} now"
    return ""


def _same_series(found: Mapping[str, str] | None, wanted: Mapping[str, str]) -> str:
    """As `_same_molecules`, for a common fit, which has the same molecules from its beginning."""
    before = found or {}
    different = sorted(before.keys() ^ wanted.keys())
    if different:
        state = "not one" if different[0] in wanted else "one"
        return f"{different[0]} is {state} of the molecules that are fitted together there"
    return _same_molecules(before, wanted)


@final
@dataclass(frozen=True, eq=False)
class _Batch:
    """The molecules of a batch, their folders and tasks by name, and the store of what is finished."""

    folder: Path
    title: str
    entries: Sequence[LibraryEntry]
    folders: Mapping[str, Path]
    tasks: Mapping[str, Task]
    store: Store

    def run(self, runner: Runner, *, retry: bool, progress: bool) -> BatchResult:
        """Refine what is not refined yet; the files of the summary follow each molecule."""
        on_terminal = progress and sys.stderr.isatty()
        stored = [outcome for key in self._names if (outcome := self.store.find(key)) and (outcome.ok or not retry)]
        known = {each.name: each for outcome in stored for each in self._ended(outcome)}
        with self._table(known, shown=on_terminal):
            self._write(known)
            lines, due = progress and not on_terminal, 0.0
            try:
                for outcome in runner.run(list(self.tasks.values()), self.store, retry=retry, progress=lines):
                    ended = {each.name: each for each in self._ended(outcome) if each != known.get(each.name)}
                    known |= ended
                    began = time.monotonic()
                    if ended and began >= due:
                        self._write(known)
                        due = time.monotonic() + _PAUSE * (time.monotonic() - began)
                    for name, each in ended.items() if lines else ():
                        text = each.values.get("verdict", f"{name} failed: {each.reason}")
                        print(text, file=sys.stderr, flush=True)
            finally:
                result = self._write(known)
        return result

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """Key of each task → names of its molecules."""
        found: dict[str, list[str]] = {}
        for name, task in self.tasks.items():
            found.setdefault(task.key, []).append(name)
        return found

    def _ended(self, outcome: TaskResult) -> Iterator[BatchMolecule]:
        """The molecules of a task that has ended."""
        for name in self._names[outcome.key]:
            yield BatchMolecule.ended(name, self.folders[name].name, outcome_of(outcome, name))

    def _write(self, known: Mapping[str, BatchMolecule]) -> BatchResult:
        result = BatchResult(self.folder, tuple(self._states(known)))
        write_csv(self.folder / TABLE, records(result.molecules))
        write_page(self.folder / PAGE, self.title, result)
        write_json(self.folder / RESULT, result.as_dict() | {"versions": versions()})
        return result

    def _states(self, known: Mapping[str, BatchMolecule]) -> Iterator[BatchMolecule]:
        """The molecules as they are now."""
        running = self.store.running()
        for entry in self.entries:
            task, folder = self.tasks.get(entry.name), self.folders[entry.name]
            if task is None:
                yield BatchMolecule(entry.name, folder.name, FAILED, entry.problem)
            elif entry.name in known:
                yield known[entry.name]
            elif task.key in running:
                yield BatchMolecule.begun(entry.name, folder, running[task.key])
            else:
                yield BatchMolecule(entry.name, folder.name)

    @contextmanager
    def _table(self, known: Mapping[str, BatchMolecule], *, shown: bool) -> Iterator[None]:
        """A table on the terminal that follows the folder while the block lasts."""
        if not shown:
            yield
            return
        from rich.console import Console
        from rich.live import Live

        with Live(
            get_renderable=lambda: live_table(BatchResult(self.folder, tuple(self._states(known)))),
            console=Console(stderr=True), refresh_per_second=0.5,
        ):  # fmt: skip
            yield


def live_table(result: BatchResult) -> Any:
    """A rich table of the first molecules, the running ones at the top: state, round, force error and minutes."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), title=Text(result.verdict), title_justify="left", title_style="")
    for number, head in enumerate(("molecule", "state", "round", "force RMSE", "base", "minutes", "")):
        table.add_column(head, justify="left" if number in (0, 1, 6) else "right", no_wrap=number < 6)
    for each in sorted(result.molecules, key=lambda each: _ORDER.index(each.state))[:_ROWS]:
        force = each.number("unseen_force" if each.state == RUNNING else "force")
        numbers = [
            "–" if value is None else text(value)
            for value, text in (
                (each.number("rounds"), "{:.0f}".format),
                (force, cell),
                (each.number("base_force"), cell),
                (each.minutes or None, "{:.1f}".format),
            )
        ]
        table.add_row(*map(Text, (each.name, each.state, *numbers, each.reason)))
    return table
