"""The Python snippets of README and docs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import final

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"(?P<skip><!-- not run: (?P<why>[^>]+) -->\n)?```python\n(?P<code>.*?)```", re.DOTALL)


@final
@dataclass(frozen=True)
class Snippet:
    """One fenced block of Python.

    Parameters
    ----------
    page : Path
    line : int
        Line of the page on which the code starts.
    code : str
    skipped : str
        Reason in a comment ``<!-- not run: … -->`` before the block; empty for a snippet that is run.
    """

    page: Path
    line: int
    code: str
    skipped: str


def pages() -> list[Path]:
    """README and the pages of the documentation that have snippets."""
    return [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if snippets(page)]


def snippets(page: Path) -> list[Snippet]:
    """The snippets of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Snippet(page, text.count("\n", 0, match.start("code")) + 1, match["code"], match["why"] or "")
        for match in _FENCE.finditer(text)
    ]
