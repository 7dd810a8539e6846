"""Tables of text, aligned in columns, for terminals and plain files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence


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
