"""Tables of text, aligned in columns, for terminals and plain files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class TextTable:
    """A table of text, with sentences below it.

    Parameters
    ----------
    columns : sequence of str
    rows : sequence of sequences of str
        As long as the columns.
    notes : sequence of str
        Lines below the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        return "\n".join([text_table(self.columns, self.rows), *self.notes])


def text_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with one line per row; the first column is aligned to the left, the others to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    for number, head in enumerate(columns):
        table.add_column(Text(head), justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    page = io.StringIO()
    # No line is wrapped or cut, however long: a terminal wraps lines itself, and a file needs no wrapping.
    Console(file=page, width=10_000, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def cell(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits; "–" for NaN."""
    return "–" if value != value else f"{value:#.{digits}g}".rstrip(".")
