"""A study with a setting of every type: what another distribution would add in one file and one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.text_table import TextTable
from openmm_hybrid.studies.study import Study, StudyResult, claim, option, settings_as_dict


@final
@dataclass(frozen=True)
class CountSettings:
    """Settings of the toy study."""

    files: tuple[Path, ...] = option(help="Files to count the characters of.")
    factor: float = option(1.0, help="Factor of the counts.")
    times: int = option(1, help="Number of counts.")
    unit: Literal["characters", "bytes"] = option("characters", help="What is counted.")
    kinds: tuple[Literal["a", "b"], ...] = option(("a",), help="Kind of character.")
    offsets: tuple[float, ...] = option((), help="Number that is added.")
    strict: bool = option(False, help="Whether empty files are refused.")
    note: str = option("", help="Any text.")
    extra: Path | None = option(None, help="One more file.")
    pairs: tuple[int, ...] = option((), help="Pairs as text.", parse=lambda text: tuple(map(int, text.split("-"))))


@final
@dataclass(frozen=True)
class Count(StudyResult):
    """The result of the toy study."""

    settings: dict[str, Any]
    total: float

    @property
    def name(self) -> str:
        """See `StudyResult.name`."""
        return "toy_count"

    def tables(self) -> list[TextTable]:
        """See `StudyResult.tables`."""
        return [TextTable(("total",), [(f"{self.total:g}",)])]

    def as_dict(self) -> dict[str, Any]:
        """See `StudyResult.as_dict`."""
        return document("toy", {"total": (self.total, "1")}, settings=self.settings)

    def records(self) -> list[dict[str, Any]]:
        """See `StudyResult.records`."""
        return [{"total": self.total}]


@final
class CountStudy(Study):
    """Counts characters."""

    name = "toy-count"
    summary = "Count the characters of files."
    Settings = CountSettings

    def run(self, settings: CountSettings, output: Path, *, progress: bool = True) -> Count:
        """See `Study.run`."""
        job = settings_as_dict(settings)
        claim(output, job, "toy study")
        total = settings.factor * sum(len(path.read_text()) for path in settings.files) + sum(settings.offsets)
        return Count(job, total)
