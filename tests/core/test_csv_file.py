"""CSV files: unknown numbers, texts that spreadsheets would evaluate, and records that differ."""

import csv
from pathlib import Path

import pytest

from openmm_hybrid.core.csv_file import write_csv


def test_cells(tmp_path: Path) -> None:
    records = [
        {"name": "=SUM(A1)", "value": -1.5, "note": 'a "quote", and a comma'},
        {"name": "plain", "value": float("nan"), "note": None},
    ]
    path = write_csv(tmp_path / "table.csv", records)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"name": "'=SUM(A1)", "value": "-1.5", "note": 'a "quote", and a comma'},
        {"name": "plain", "value": "", "note": ""},
    ]


def test_other_keys_leave_the_file_as_it_was(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "table.csv", [{"a": 1}])
    with pytest.raises(ValueError, match="fields"):
        write_csv(path, [{"a": 1}, {"b": 2}])
    assert path.read_text(encoding="utf-8") == "a\n1\n"
