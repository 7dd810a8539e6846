"""The code in README and the documentation: Python snippets, command lines and names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import final

ROOT = Path(__file__).parents[2]
TEXTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
"""Every text with code to check."""

_PYTHON = re.compile(
    r"^(?: *<!-- not run: (?P<why>[^>]+) -->\n)? *```python\n(?P<code>.*?)^ *```", re.DOTALL | re.MULTILINE
)
_BLOCK = re.compile(r"^ *```(?P<language>[^\n]*)\n(?P<code>.*?)^ *```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(?P<code>[^`]+)`")


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
        Snippet(page, text.count("\n", 0, match.start("code")) + 1, dedent(match["code"]), match["why"] or "")
        for match in _PYTHON.finditer(text)
    ]


def blocks(text: str) -> list[str]:
    """The code of all fenced blocks, of any language."""
    return [dedent(match["code"]) for match in _BLOCK.finditer(text)]


def inline(text: str) -> list[str]:
    """The code between backticks, outside fenced blocks; a line break in it becomes a space."""
    return [" ".join(match["code"].split()) for match in _INLINE.finditer(_BLOCK.sub("", text))]
