"""The page of a batch: one table of all molecules, which a click on a column's head sorts."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment

from openmm_hybrid.core.files import replacing
from openmm_hybrid.core.html_report import STYLE
from openmm_hybrid.refinement.batch_result import REFINED, BatchMolecule, BatchResult
from openmm_hybrid.refinement.refined import REPORT

_COLUMNS = (
    ("atoms", "n_atoms", 0),
    ("force", "force", 2),
    ("unseen", "unseen_force", 2),
    ("base", "base_force", 1),
    ("torsion", "torsion_rms", 2),
    ("torsion, base", "base_torsion_rms", 2),
    ("rounds", "rounds", 0),
    ("labels", "labels", 0),
)  # head, name of the number, and its digits

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
{{ style|safe }}
  body { max-width: 90rem; }
  th button {
    all: unset; cursor: pointer; font-weight: inherit;
  }
  th button:focus-visible { outline: 2px solid; }
  th[aria-sort=ascending] button::after { content: " ▲"; }
  th[aria-sort=descending] button::after { content: " ▼"; }
  td.text { white-space: normal; text-align: left; min-width: 12rem; overflow-wrap: anywhere; }
  th.text { text-align: left; }
  @media (max-width: 30rem) { td.text { min-width: 10rem; } }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="lead">{{ lead }}</p>
<p>Force RMSE in kcal/mol/Å on each force field's own dynamics, on unseen training frames, and of the base force
field; RMS deviation of the worst torsion profile in kcal/mol. Minutes count from the last start. Click on the head of a
column to sort.</p>
<div class="wide"><table>
<thead><tr>
{% for head in heads %}<th scope="col"{% if head in texts %} class="text"{% endif %}><button>{{ head }}</button></th>
{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}<tr>
<td data-value="{{ row.name }}">{% if row.link %}<a href="{{ row.link }}">{{ row.name }}</a>{% else %}{{ row.name }}
{% endif %}</td>
<td class="state">{{ row.state }}</td>
{% for value, text in row.numbers %}<td data-value="{{ value }}">{{ text }}</td>
{% endfor %}<td class="text" title="{{ row.title }}">{{ row.text }}</td>
</tr>
{% endfor %}</tbody>
</table></div>
<script>
document.querySelectorAll("th").forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
  const rising = head.getAttribute("aria-sort") !== "ascending";
  document.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = (one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === "" || b === "") return (a === "") - (b === "");  // unknown numbers come last in both directions
    const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
    return rising ? order : -order;
  };
  const body = document.querySelector("tbody");
  body.append(...[...body.rows].sort(compare));
}));
</script>
</body>
</html>
"""


def write_page(path: Path, title: str, result: BatchResult) -> None:
    """Write the page, whole or not at all. It needs no other file; the names link to the molecules' reports."""
    heads = ("molecule", "state", *(head for head, _, _ in _COLUMNS), "failed checks", "minutes", "verdict")
    page = Environment(autoescape=True).from_string(_PAGE).render(
        style=STYLE, title=title, lead=result.verdict, heads=heads, texts=("verdict",),
        rows=[_row(each) for each in result.molecules],
    )  # fmt: skip
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _row(each: BatchMolecule) -> dict[str, Any]:
    numbers = [_number(each.number(name), digits) for _, name, digits in _COLUMNS]
    checks = each.values.get("failed_checks")
    numbers.append(_number(None if checks is None else len(checks), 0))
    numbers.append(_number(each.minutes or None, 1))
    return {
        "name": each.name,
        "state": each.state,
        "link": quote(f"{each.folder}/{REPORT}") if each.state == REFINED else "",
        "numbers": numbers,
        "text": _verdict(each),
        "title": each.values.get("verdict", ""),
    }


def _verdict(each: BatchMolecule) -> str:
    """What the numbers do not say."""
    if each.state != REFINED:
        return each.reason
    end = "converged" if each.values["converged"] else "not converged within the budget"
    return "; ".join([end, *each.values["failed_checks"]])


def _number(value: float | None, digits: int) -> tuple[str, str]:
    """A number to sort by, and its text."""
    return ("", "–") if value is None else (f"{value:.6g}", f"{value:.{digits}f}")
