"""A folder or file of another job is refused, and the message names what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openmm_hybrid.core.errors import HybridError, InputError, MismatchError
from openmm_hybrid.core.same_job import check_same_job, finished, ignored, lock_folder, note_job

JOB = {"temperature": 300.0, "names": ("a", "b"), "system": "f" * 64}


def check(found: dict[str, Any], wanted: dict[str, Any], **rules: Any) -> None:
    check_same_job(found, wanted, where="runs/a", what="study", hint="give another folder", rules=rules)


def test_the_same_job_passes_as_json_has_it() -> None:
    check(json.loads(json.dumps(JOB)), JOB)
    check({**JOB, "names": ["a", "b"], "more": 1}, JOB)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"temperature": 310.0}, "runs/a belongs to another study: temperature 310.0 there, 300.0 now; give another"),
        ({"system": "0" * 64}, "another study: system differs;"),
        ({"system": "0" * 32}, "another study: system differs;"),
        ({"names": ["a"], "temperature": 1}, r"temperature 1 there, 300.0 now, names \['a'\] there, \['a', 'b'\] now"),
    ],
)
def test_what_differs_is_named(found: dict[str, Any], message: str) -> None:
    with pytest.raises(MismatchError, match=message):
        check({**JOB, **found}, JOB)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(MismatchError, match="temperature is missing there, names is missing there"):
        check({"system": "f" * 64}, JOB)


def test_rules_replace_equality() -> None:
    check({"platform": "CPU", "n": 3}, {"platform": "CUDA", "n": 4}, platform=ignored, n=lambda old, new: "")
    with pytest.raises(MismatchError, match="fewer steps;"):
        check({"n": 3}, {"n": 2}, n=lambda old, new: "fewer steps" if new < old else "")


def test_a_noted_job_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.json"
    note_job(path, JOB, what="study", hint="wait")
    before = path.stat().st_mtime_ns
    note_job(path, JOB, what="study", hint="wait")
    assert path.stat().st_mtime_ns == before
    with pytest.raises(MismatchError, match=f"{path.parent} belongs to another study: temperature"):
        note_job(path, {**JOB, "temperature": 1.0}, what="study", hint="wait")
    note_job(path, {**JOB, "temperature": 1.0}, what="study", hint="wait", rules={"temperature": ignored})
    assert json.loads(path.read_text())["temperature"] == 1.0
    for text in ("{", "[1]"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"settings\.json is damaged.*wait"):
            note_job(path, JOB, what="study", hint="wait")


def read(path: Path, **changes: Any) -> list[float]:
    return finished(path, {**JOB, **changes}, key="points", make=lambda point: float(point["x"]), what="curve")


def test_finished_parts_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    assert read(path) == []
    path.write_text(json.dumps({"job": JOB, "points": [{"x": 1}, {"x": 2.5}]}))
    assert read(path) == [1.0, 2.5]
    with pytest.raises(MismatchError, match=r"belongs to another curve: temperature 300.0 there, 2 now"):
        read(path, temperature=2)
    for text in ("{", "3", "{}", '{"job": {}, "points": [{}]}', '{"job": 3, "points": []}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"curve\.json is .*damaged.*remove this file"):
            read(path)


def test_a_locked_folder_keeps_others_out(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with lock_folder(folder), pytest.raises(InputError, match="another process is writing to"), lock_folder(folder):
        pass
    with lock_folder(folder):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(HybridError, match="cannot write to"), lock_folder(tmp_path / "file"):
        pass
