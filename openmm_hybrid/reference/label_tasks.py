"""Labels as tasks: one file with the frames, a task for each chunk of them, and the labels of finished chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, final

import numpy as np
from rdkit import Chem

from openmm_hybrid.core.errors import HybridError, InputError, MismatchError
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.core.versioned_npz import NpzFormat, reading, write
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.reference.label_journal import Label
from openmm_hybrid.reference.reference_engine import ReferenceEngine
from openmm_hybrid.tasks import Runner, Store, Task, TaskResult

_FUNCTION = f"{__name__}:label_chunk"
_FORMAT = NpzFormat(
    "openmm-hybrid frames to label", version=1, what="frames to label", hint="remove this file and call again"
)
_DIGITS = 32  # of the SHA-256 in a file's name


@final
@dataclass(frozen=True, eq=False)
class LabelTasks:
    """The tasks that label frames with an engine, and where they run.

    Parameters
    ----------
    given : Frames
    drawn : Molecule or None
        The molecule that the engine gets.
    level : mapping of str to str
        Theory, program, settings and effort of the engine.
    request : mapping
        Arguments with which `reference.engine` makes the engine.
    runner : Runner
    store : Store
    chunk : int
        Frames of a task.
    """

    given: Frames
    drawn: Molecule | None
    level: Mapping[str, str]
    request: Mapping[str, Any]
    runner: Runner
    store: Store
    chunk: int

    @classmethod
    def of(
        cls,
        engine: ReferenceEngine,
        request: Mapping[str, Any] | None,
        given: Frames,
        drawn: Molecule | None,
        runner: Runner,
        store: Store,
        chunk: int,
    ) -> LabelTasks:
        """The tasks for an engine that `request` makes, after a check of the settings; nothing is written.

        Raises
        ------
        InputError
            `request` is None, or a setting of the runner is wrong.
        MissingDependencyError
            The runner needs a package that is not installed.
        """
        if request is None:
            raise InputError(
                f"the workers of a runner cannot make the engine of {engine.theory}",
                expected="an engine of oh.reference.engine",
                hint="register yours in the entry-point group openmm_hybrid.engines, or leave out runner and store",
            )
        runner.check()
        return cls(given, drawn, _level(engine), request, runner, store, chunk)

    def stored(self) -> dict[int, Label]:
        """The labels of finished chunks, by the index of the frame."""
        found: dict[int, Label] = {}
        for first, task in self._tasks.items():
            outcome = self.store.find(task.key)
            if outcome is not None and outcome.ok:
                found.update(self._labels_of(outcome, first))
        return found

    def labels(self, done: Mapping[int, Label]) -> Iterator[tuple[int, Label]]:
        """Index and label of each frame that is not in `done`, in the order in which chunks are finished.

        Raises
        ------
        HybridError
            The task of a chunk failed; the labels of all other chunks have come before.
        """
        missing = {k - k % self.chunk for k in range(len(self.given)) if k not in done}
        tasks = {task.key: first for first, task in self._tasks.items() if first in missing}
        self._write_frames()
        failed = []
        wanted = [self._tasks[first] for first in tasks.values()]
        for outcome in self.runner.run(wanted, self.store, retry=True):
            if not outcome.ok:
                failed.append(f"{outcome.name}: {outcome.reason}")
                continue
            for index, label in self._labels_of(outcome, tasks[outcome.key]):
                if index not in done:
                    yield index, label
        if failed:
            raise HybridError(
                f"{len(failed)} of {len(wanted)} chunks have no labels; {failed[0]}",
                hint="the labels of the others are kept; call again with the same settings to resume",
            )

    @cached_property
    def _tasks(self) -> dict[int, Task]:
        """First frame of each chunk → its task."""
        places = {"engine": json.dumps(self.request, default=int), "folder": str(self._file.parent)}
        found = {}
        for first in range(0, len(self.given), self.chunk):
            last = min(first + self.chunk, len(self.given))
            arguments = {"frames": self._file.stem, "first": first, "last": last, "level": self.level}
            found[first] = Task(_FUNCTION, arguments, places, name=f"frames {first} to {last - 1}")
        return found

    @cached_property
    def _file(self) -> Path:
        """The file of the frames, whose name is a hash of its content."""
        content = _content(self.given, self._bonds)
        return (self.store.path / "frames" / f"{content}.npz").absolute()

    @property
    def _bonds(self) -> str:
        return "" if self.drawn is None else str(Chem.MolToJSON(self.drawn.rdkit))

    def _write_frames(self) -> None:
        if not self._file.is_file():
            arrays = {"atomic_numbers": self.given.atomic_numbers, "positions": self.given.positions}
            write(self._file, _FORMAT, {"name": self.given.name, "bonds": self._bonds}, arrays)

    def _labels_of(self, outcome: TaskResult, first: int) -> Iterator[tuple[int, Label]]:
        """Index and label of each frame of a finished chunk."""
        n_frames, value = min(self.chunk, len(self.given) - first), outcome.value
        shapes = [np.shape(value.get(name, ())) for name in ("energies", "forces", "reasons")]
        if shapes != [(n_frames,), (n_frames, self.given.n_atoms, 3), (n_frames,)]:
            raise InputError(
                f"the labels of {outcome.name} in {self.store.path} are damaged",
                hint="remove this folder to label anew",
            )
        parts = zip(value["energies"].tolist(), value["forces"], value["reasons"], strict=True)
        for index, (energy, forces, reason) in enumerate(parts, first):
            yield index, Label(reason=reason) if reason else Label(energy=energy, forces=forces)


def label_chunk(
    frames: str, first: int, last: int, level: Mapping[str, str], engine: str, folder: str
) -> dict[str, Any]:
    """Label the frames from `first` to `last` − 1 of a file: energies, forces and reasons of failures.

    Parameters
    ----------
    frames : str
        Name of the file, without its ending.
    first, last : int
    level : mapping of str to str
        Theory, program, settings and effort that the engine must have.
    engine : str
        Arguments of `reference.engine`, as JSON.
    folder : str
        Folder of the file.

    Raises
    ------
    HybridError
        The engine cannot be made or run, it is another one than `level` tells, or the file is missing or damaged.
    """
    from openmm_hybrid import reference

    given, drawn = _read(str(Path(folder) / f"{frames}.npz"))
    made = reference.engine(**json.loads(engine))
    made = made if drawn is None else made.for_molecule(drawn)
    found = _level(made)
    for name, wanted in level.items():
        if found.get(name, "") != wanted:
            raise MismatchError(
                f"the {name} of the worker's engine is {found.get(name) or 'not known'}",
                expected=wanted or "none",
                hint="give all workers the same packages and files",
            )
    labels = [Label.of(made, given.atomic_numbers, positions) for positions in given.positions[first:last]]
    nothing = np.zeros((given.n_atoms, 3))
    return {
        "energies": np.array([label.energy for label in labels]),
        "forces": np.array([nothing if label.forces is None else label.forces for label in labels]),
        "reasons": [label.reason for label in labels],
    }


@lru_cache(maxsize=1)
def _read(path: str) -> tuple[Frames, Molecule | None]:
    """The frames of a file, and the molecule for the engine; a worker keeps those of its last file."""
    with reading(path, _FORMAT) as (content, arrays):
        name, bonds = str(content["name"]), str(content["bonds"])
        frames = Frames(arrays["atomic_numbers"], arrays.floats("positions", (None, None, 3)), name=name)
        if _content(frames, bonds) != Path(path).stem:
            raise InputError("its content is not that of its name", expected=_FORMAT.what, hint=_FORMAT.hint)
        if not bonds:
            return frames, None
        (mol,) = Chem.JSONToMols(bonds)
        Chem.SanitizeMol(mol)  # rings, conjugation and hybridisation, which JSON leaves out
        return frames, Molecule(mol, frames.positions[:1], name)


def _content(frames: Frames, bonds: str) -> str:
    shape = str(frames.positions.shape)
    return fingerprint(shape, frames.atomic_numbers, frames.positions, bonds)[:_DIGITS]


def _level(engine: ReferenceEngine) -> dict[str, str]:
    level = {"theory": engine.theory, "program": engine.program, "settings": engine.settings}
    return level | ({"effort": engine.effort} if engine.effort else {})
