"""The state of a batch of refinements, molecule by molecule, from its folder; its table, CSV and JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, final

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import read_json
from openmm_hybrid.tasks import TaskResult

REFINED, FAILED, RUNNING, WAITING = "refined", "failed", "running", "waiting"

NUMBERS = (
    *("n_atoms", "rounds", "labels", "force", "unseen_force", "base_force"),
    *("torsion_rms", "base_torsion_rms"),
)
"""Names of the numbers of a refined molecule; `force` is that on its own dynamics, all of them kcal/mol(/Å)."""


@final
@dataclass(frozen=True)
class BatchMolecule:
    """One molecule of a batch.

    Parameters
    ----------
    name : str
    folder : str
        Name of its folder in that of the batch.
    state : str
        "refined", "failed", "running" or "waiting".
    reason : str
        Why it failed.
    minutes : float, min
        Time since the last start of its refinement, until its end if it has ended.
    values : mapping
        Of a refined molecule: verdict, numbers (`NUMBERS`), failed checks and notes. Of a running one: those that there
        are.
    """

    name: str
    folder: str
    state: str = WAITING
    reason: str = ""
    minutes: float = 0.0
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def ended(cls, name: str, folder: str, outcome: TaskResult) -> BatchMolecule:
        """A molecule whose task has ended."""
        state = REFINED if outcome.ok else FAILED
        return cls(name, folder, state, outcome.reason, outcome.seconds / 60.0, outcome.value)

    @classmethod
    def begun(cls, name: str, folder: Path, since: float) -> BatchMolecule:
        """A molecule that a worker refines since a time (seconds since 1970), as far as its files tell."""
        values: dict[str, Any] = {}
        fits = sorted(folder.glob("round-*/fit.json"), key=lambda path: int(path.parent.name.removeprefix("round-")))
        if fits:
            with suppress(InputError, LookupError, TypeError):  # its worker tells of a damaged file
                fit = read_json(fits[-1], expected="the errors of a fit", hint="remove it")
                values = {
                    "rounds": len(fits),
                    "labels": fit["n_labels"],
                    "unseen_force": fit["unseen"]["force_rmse"],
                    "base_force": fit["base"]["force_rmse"],
                }
        return cls(name, folder.name, RUNNING, minutes=(time.time() - since) / 60.0, values=values)

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return {
            "name": self.name,
            "folder": self.folder,
            "state": self.state,
            "reason": self.reason,
            "minutes": self.minutes,
            **self.values,
        }

    def number(self, name: str) -> float | None:
        """One of the `NUMBERS`; None if it is not known."""
        value = self.values.get(name)
        return None if value is None else float(value)


@final
@dataclass(frozen=True)
class BatchResult:
    """A batch of refinements in its folder.

    The folder holds a folder for each molecule (see `Refined`), index.html, summary.csv and result.json.

    Parameters
    ----------
    path : Path
    molecules : tuple of BatchMolecule
        In the order of the library.
    """

    path: Path
    molecules: tuple[BatchMolecule, ...]

    @property
    def refined(self) -> tuple[BatchMolecule, ...]:
        """The molecules that have a result."""
        return self._those(REFINED)

    @property
    def failed(self) -> tuple[BatchMolecule, ...]:
        """The molecules that failed."""
        return self._those(FAILED)

    @property
    def verdict(self) -> str:
        """One sentence: how many molecules are refined, with which errors."""
        done, count = self.refined, len(self.molecules)
        text = f"{len(done)} of {count} molecule{'s' * (count > 1)} refined, {len(self.failed)} failed"
        others = count - len(done) - len(self.failed)
        text += f", {others} not finished" if others else ""
        if done:
            force, base = (median(each.values[name] for each in done) for name in ("force", "base_force"))
            wrong = sum(bool(each.values["failed_checks"]) for each in done)
            text += f"; median force RMSE {force:.2f} kcal/mol/Å on their own dynamics"
            text += f", {base:.1f} with the base force field"
            text += f"; {wrong} with a failed check" if wrong else ""
        return f"{text}."

    def as_dict(self) -> dict[str, Any]:
        """Verdict and molecules, for JSON."""
        return {"verdict": self.verdict, "molecules": [each.as_dict() for each in self.molecules]}

    def _those(self, state: str) -> tuple[BatchMolecule, ...]:
        return tuple(each for each in self.molecules if each.state == state)


def records(molecules: Sequence[BatchMolecule]) -> list[dict[str, Any]]:
    """One row of the CSV file for each molecule: state, numbers and texts."""
    return [
        {
            "name": each.name,
            "folder": each.folder,
            "state": each.state,
            **{name: _plain(each.number(name)) for name in NUMBERS},
            "n_failed_checks": len(each.values["failed_checks"]) if "failed_checks" in each.values else None,
            "minutes": round(each.minutes, 2),
            "verdict": each.values.get("verdict", ""),
            "reason": each.reason,
        }
        for each in molecules
    ]


def _plain(value: float | None) -> float | None:
    """A number that counts something without decimals."""
    return int(value) if value is not None and value == value // 1 else value
