"""A self-contained HTML page from headings, text, tables and pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment

from openmm_hybrid.core.files import expanded, replacing


@dataclass(frozen=True)
class Section:
    """One part of a report: text, items, a table, pictures and code, in this order; each is optional.

    Parameters
    ----------
    heading : str
        Empty for a part that belongs to the one before it.
    text : str
        Plain text; an empty line starts a new paragraph.
    items : sequence of str
        Entries of a list.
    columns, rows : sequences of str
        Table head and cells.
    picture : Path or None
        A PNG file, which is embedded.
    caption : str
        Caption of the picture, which is its alternative text too.
    gallery : sequence of (Path, str)
        Small PNG files with their captions, side by side where the page is wide enough.
    code : str
        Lines to copy.
    """

    heading: str
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default=())
    picture: Path | None = None
    caption: str = ""
    code: str = ""
    items: Sequence[str] = ()
    gallery: Sequence[tuple[Path, str]] = ()

    @property
    def paragraphs(self) -> list[str]:
        """Paragraphs of the text."""
        return [part.strip() for part in self.text.split("\n\n") if part.strip()]

    @property
    def picture_data(self) -> str:
        """The picture as base64; empty without a picture."""
        return "" if self.picture is None else _base64(self.picture)

    @property
    def gallery_data(self) -> list[tuple[str, str]]:
        """The small pictures as base64, with their captions."""
        return [(_base64(path), caption) for path, caption in self.gallery]


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


STYLE = """\
  :root { color-scheme: light dark; --ink: #1d2430; --soft: #4c586b; --line: #d5dae2; --paper: #fff; --code: #f3f5f8; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e4e8ee; --soft: #a5b0c0; --line: #3a4352; --paper: #14181f; --code: #1f2530; }
  }
  @media print { :root { --ink: #000; --soft: #333; --line: #bbb; --paper: #fff; --code: #fff; } }
  body {
    font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
    max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  }
  h1 { font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
  h2 { font-size: 1.15rem; margin-top: 2.2rem; break-after: avoid; }
  .wide, pre { overflow-x: auto; }
  pre { background: var(--code); border: 1px solid var(--line); padding: .8rem; font-size: .85rem; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; }
  th { vertical-align: bottom; }
  td { white-space: nowrap; }
  th:first-child, td:first-child { text-align: left; }
  @media (max-width: 30rem) { table { font-size: .85rem; } th, td { padding-right: .55rem; } }
  figure { margin: 1rem 0; break-inside: avoid; }
  img { max-width: 100%; height: auto; background: #fff; border-radius: .3rem; }
  .gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: 0 1.2rem; }
  .gallery figure { margin: .6rem 0; }
  ul { padding-left: 1.2rem; }
  figcaption, .lead { color: var(--soft); }
"""
"""The look of a page, light and dark, for screens of all sizes and paper."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
{{ style|safe }}</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="lead">{{ lead }}</p>
{% for section in sections %}
{% if section.heading %}<h2>{{ section.heading }}</h2>{% endif %}
{% for paragraph in section.paragraphs %}<p>{{ paragraph }}</p>
{% endfor %}
{% if section.items %}<ul>
{% for item in section.items %}<li>{{ item }}</li>
{% endfor %}</ul>{% endif %}
{% if section.rows %}<div class="wide"><table>
<thead><tr>{% for cell in section.columns %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in section.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>{% endif %}
{% if section.picture %}<figure>
<img alt="{{ section.caption }}" src="data:image/png;base64,{{ section.picture_data }}">
<figcaption>{{ section.caption }}</figcaption>
</figure>{% endif %}
{% if section.gallery %}<div class="gallery">
{% for data, caption in section.gallery_data %}<figure>
<img alt="{{ caption }}" src="data:image/png;base64,{{ data }}">
<figcaption>{{ caption }}</figcaption>
</figure>
{% endfor %}</div>{% endif %}
{% if section.code %}<pre>{{ section.code }}</pre>{% endif %}
{% endfor %}
</body>
</html>
"""


def write_report(path: str | Path, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Write the page, whole or not at all; every text is escaped and every picture embedded."""
    page = (
        Environment(autoescape=True).from_string(_PAGE).render(style=STYLE, title=title, lead=lead, sections=sections)
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return expanded(path)
