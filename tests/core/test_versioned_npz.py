"""Versioned npz files: exact round trips, and a plain message for every file that cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.versioned_npz import NpzFormat, format_of, prefixed, reading, write

FORMAT = NpzFormat("openmm-hybrid test", version=3, what="a test file", oldest=2)
ARRAYS = {"x": np.linspace(0, 1, 5), "flags": np.array([True, False]), **prefixed("model/", {"x": np.arange(3)})}


def written(folder: Path, **description: Any) -> Path:
    return write(folder / "deep" / "a.npz", FORMAT, description, ARRAYS)


def test_round_trip_is_exact_and_prefixes_keep_arrays_apart(tmp_path: Path) -> None:
    path = written(tmp_path, name="Å", list=[1, None])
    with reading(path, FORMAT) as (description, arrays):
        assert {key: description[key] for key in ("name", "list", "format", "version")} == {
            "name": "Å",
            "list": [1, None],
            "format": "openmm-hybrid test",
            "version": 3,
        }
        assert description["written_by"].startswith("openmm-hybrid ")
        assert set(arrays) == set(ARRAYS)
        np.testing.assert_array_equal(arrays.floats("x", (5,)), ARRAYS["x"])
        np.testing.assert_array_equal(arrays.flags("flags", (None,)), ARRAYS["flags"])
        inner = arrays.under("model/")
        assert set(inner) == {"x"}
        assert "flags" not in inner
        np.testing.assert_array_equal(inner.integers("x", (None,)), [0, 1, 2])
    assert format_of(path) == "openmm-hybrid test"


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    first = written(tmp_path).read_bytes()
    os.utime(tmp_path, (0, 0))
    assert written(tmp_path).read_bytes() == first


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (4, "version 4 of the format.*expected version 3; update openmm-hybrid"),
        (1, "version 1 of the format.*expected version 3; make a test file again"),
        ("x", "version x"),
    ],
)
def test_versions_that_cannot_be_read_are_named(tmp_path: Path, version: Any, message: str) -> None:
    path = written(tmp_path)
    rewrite(path, version=version)
    with pytest.raises(InputError, match=message), reading(path, FORMAT):
        pass


def rewrite(path: Path, **changes: Any) -> None:
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    description = json.loads(arrays["description"].item()) | changes
    np.savez(path, **{**arrays, "description": np.array(json.dumps(description))})


def test_older_versions_that_can_be_read_are_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    rewrite(path, version=2)
    with reading(path, FORMAT) as (description, _):
        assert description["version"] == 2


def test_other_formats_are_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    with (
        pytest.raises(InputError, match="format 'openmm-hybrid test'; expected a model"),
        reading(path, NpzFormat("other", 1, "a model")),
    ):
        pass
    np.savez(path, x=np.zeros(2))
    assert format_of(path) == ""
    with pytest.raises(InputError, match="this is another file; expected a test file"), reading(path, FORMAT):
        pass


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda arrays: arrays["y"], "the entry 'y' is missing"),
        (lambda arrays: arrays.under("model/")["y"], "the entry 'model/y' is missing"),
        (lambda arrays: arrays.floats("x", (4,)), r"'x' is float64 of shape \(5,\); expected real numbers of shape"),
        (lambda arrays: arrays.floats("x", (5, None)), "'x' is float64"),
        (lambda arrays: arrays.integers("x", (5,)), "expected integers"),
        (lambda arrays: arrays.under("model/").integers("x", (3,), 2), "'model/x' has an index out of range"),
    ],
)
def test_entries_that_differ_from_what_is_asked_for_are_named(tmp_path: Path, ask: Any, message: str) -> None:
    path = written(tmp_path)
    with pytest.raises(InputError, match=message) as caught, reading(path, FORMAT) as (_, arrays):
        ask(arrays)
    assert str(path) in str(caught.value)


def test_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    objects = np.array([{}], dtype=object)
    with pytest.raises(InputError, match=r"x cannot be written.*expected plain arrays"):
        write(tmp_path / "a.npz", FORMAT, {}, {"x": objects})
    path = written(tmp_path)
    with np.load(path, allow_pickle=False) as archive:
        arrays = {**archive, "x": objects}
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="cannot be read as a test file"), reading(path, FORMAT) as (_, found):
        found.floats("x", (1,))


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a name that ends in \.npz"):
        write(tmp_path / "a.json", FORMAT, {}, {})
    with pytest.raises(InputError, match="cannot be written as JSON"):
        write(tmp_path / "a.npz", FORMAT, {"error": float("nan")}, {})
    with pytest.raises(InputError, match="version cannot be written"):
        write(tmp_path / "a.npz", FORMAT, {"version": 7}, {})
    assert list(tmp_path.iterdir()) == []


def test_damage_is_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"not a zip"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="is not an npz file, or is damaged"), reading(path, FORMAT):
            pass
    with pytest.raises(InputError, match="does not exist"), reading(tmp_path / "none.npz", FORMAT):
        pass


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert write("~/a.npz", FORMAT, {}, {}) == tmp_path / "a.npz"
    with reading("~/a.npz", FORMAT) as (description, arrays):
        assert description["version"] == 3
        assert len(arrays) == 0
