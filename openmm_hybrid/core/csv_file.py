"""CSV files with a header, written whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openmm_hybrid.core.files import replacing


def write_csv(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """Write one line per record, after a header with the keys of the first, and return the path.

    Unknown numbers (None and NaN) become empty cells. A text that spreadsheets would take for a formula gets an
    apostrophe.

    Raises
    ------
    ValueError
        A record has other keys than the first.
    HybridError
        The file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]) if records else [], lineterminator="\n")
        writer.writeheader()
        for record in records:
            writer.writerow({key: _cell(value) for key, value in record.items()})
    return path


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value[:1] in ("=", "+", "-", "@") else value
    return "" if value is None or value != value else value
