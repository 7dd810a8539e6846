"""The conformance suite of studies."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import MISSING, FrozenInstanceError, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from openmm_hybrid.cli.settings_options import is_supported
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.studies.study import Study, StudyResult, json_ready

_OF_TIME = ("s", "ns/day")
"""Units of figures that differ between two equal runs."""


class StudySuite:
    """The duties of every study.

    Fixtures to give: ``study`` (an instance), ``settings`` (for a run of a few seconds) and ``other_settings``, which
    lead to another result from the same data.
    """

    def test_name_and_summary_are_fit_for_a_list(self, study: Study) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9-]*", study.name)
        assert study.summary.endswith(".")
        assert "\n" not in study.summary

    def test_settings_are_a_frozen_dataclass_of_options(self, study: Study, settings: Any) -> None:
        assert is_dataclass(study.Settings)
        assert isinstance(settings, study.Settings)
        hints = get_type_hints(study.Settings)
        for field in fields(study.Settings):
            assert field.metadata["help"].strip().endswith("."), f"{field.name} needs a sentence of help"
            assert field.metadata["parse"] is not None or is_supported(hints[field.name]), field.name
            assert field.default_factory is MISSING, f"{field.name}: give the default itself"
            if field.default is not MISSING:
                json.dumps(json_ready(field.default), allow_nan=False)
        with pytest.raises(FrozenInstanceError):
            setattr(settings, fields(settings)[0].name, None)

    def test_result_has_a_table_a_document_data_and_pictures(self, study: Study, settings: Any, tmp_path: Path) -> None:
        result: StudyResult = study.run(settings, tmp_path / "study", progress=False)
        assert len(result.table().splitlines()) > 1
        first, data, *pictures = result.save(tmp_path / "kept")
        assert first == tmp_path / "kept" / f"{result.name}.json"
        assert data == tmp_path / "kept" / f"{result.name}.csv"
        rows = list(csv.DictReader(data.read_text(encoding="utf-8").splitlines()))
        assert [list(row) for row in rows] == [list(map(str, record)) for record in result.records()]
        assert rows
        assert [picture.suffix for picture in pictures] == [".png", ".svg"] * len(result.drawings())
        assert all(picture.stat().st_size > 1000 for picture in pictures)
        assert all(drawing.caption[:1].isupper() for drawing in result.drawings().values())
        content = json.loads(first.read_text(encoding="utf-8"))
        assert content == json.loads(json.dumps(result.as_dict(), allow_nan=False))
        assert {"name", "versions", "machine", "commit", "figures"} <= set(content)
        assert content["figures"]
        for name, figure in content["figures"].items():
            assert isinstance(figure["value"], int | float), name
            assert figure["unit"], f"{name}: a pure number has the unit 1"

    def test_running_again_gives_the_same(self, study: Study, settings: Any, tmp_path: Path) -> None:
        first = study.run(settings, tmp_path / "study", progress=False)
        first.save(tmp_path / "study")
        again = study.run(settings, tmp_path / "study", progress=False)
        assert _figures(again) == _figures(first)

    def test_other_settings_are_refused_before_anything_is_written(
        self, study: Study, settings: Any, other_settings: Any, tmp_path: Path
    ) -> None:
        study.run(settings, tmp_path / "study", progress=False).save(tmp_path / "study")
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(InputError, match="belongs to another"):
            study.run(other_settings, tmp_path / "study", progress=False)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def _figures(result: StudyResult) -> dict[str, Any]:
    return {name: figure for name, figure in result.as_dict()["figures"].items() if figure["unit"] not in _OF_TIME}
