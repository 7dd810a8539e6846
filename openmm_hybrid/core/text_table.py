"""Tables of text, aligned in columns, for terminals and plain files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence


def text_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells under their heads, one line a row: the first column flush left, the others flush right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    for number, head in enumerate(columns):
        table.add_column(Text(head), justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    page = io.StringIO()
    # As wide as it needs to be: a terminal may wrap lines, a file does not cut them.
    Console(file=page, width=10_000, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def cell(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, "–" for one that is not known (NaN)."""
    return "–" if value != value else f"{value:#.{digits}g}".rstrip(".")
