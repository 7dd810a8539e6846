"""README and documentation: links lead somewhere, and every number of README's tables is in a committed result."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Column of README's table → row of table2.json.
TABLE2 = ("gaff", "nn", "cross", "sgdml")
#: Column of README's table → potential of the sampling study.
SAMPLING = ("gaff", "cross", "global", "local", "distilled")


def figures(name: str) -> dict[str, dict[str, Any]]:
    """The figures of a committed result."""
    found: dict[str, dict[str, Any]] = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())[
        "figures"
    ]
    return found


def rows(heading: str) -> dict[str, list[str]]:
    """Cells of the one table under a heading of README, by the first cell of the row."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    found = {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}
    found.pop("", None)
    assert found
    return found


def test_force_errors_are_those_of_table2() -> None:
    known = figures("table2")
    for molecule, cells in rows("A better GAFF").items():
        expected = [known[f"force_rmse.{molecule}.{row}.1100"]["value"] for row in TABLE2]
        assert cells == [f"{value:.2f}" for value in expected], molecule


def test_divergences_are_those_of_the_sampling_study() -> None:
    for molecule, cells in rows("What corrections recover").items():
        known = figures(f"sampling_{molecule}")
        for name, cell in zip(SAMPLING, cells, strict=True):
            value, error = (float(part.replace("−", "-")) for part in cell.split(" ± "))
            assert value == round(1000 * known[f"js_excess.{name}"]["value"]), (molecule, name)
            # An error below half a millibit is printed as 1.
            assert error == max(round(1000 * known[f"js_excess_error.{name}"]["value"]), 1), (molecule, name)


def test_costs_are_those_of_the_benchmarks() -> None:
    speed = figures("hybrid_speed")
    expected = [speed[f"water_ratio.{name}"]["value"] for name in ("global", "local", "distilled")]
    expected.append(figures("bonded_speed")["water_ratio.cross"]["value"])
    assert sorted(f"{value:.2f}" for value in expected) == sorted(re.findall(r"\b([01]\.\d\d)(?= times)", README))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"`[^`\n]+`", "", page.read_text())  # a SMILES such as `C[NH+](C)C` is no link
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        assert re.match(r"\w+:", link) or (page.parent / link).exists(), f"{page.name}: {link}"
