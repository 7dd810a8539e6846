"""Files are written whole or not at all, and recognised by their hash."""

from __future__ import annotations

import hashlib
import stat

import numpy as np
import pytest

from openmm_hybrid.core.errors import HybridError, InputError
from openmm_hybrid.core.files import expanded, fingerprint, read_json, replacing, sha256


def test_new_content_takes_the_old_ones_place(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    for text in ("one", "two"):
        with replacing(target) as temporary:
            temporary.write_text(text)
        assert target.read_text() == text
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]
    assert stat.S_IMODE(target.stat().st_mode) & 0o400


def test_an_error_keeps_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="midway"), replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("midway")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_device_is_named(tmp_path):
    no_space = pytest.raises(HybridError, match=r"cannot write .*a\.txt: No space left on device")
    with no_space, replacing(tmp_path / "a.txt"), open("/dev/full", "w") as device:
        device.write("x" * 100_000)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HybridError, match="cannot write"), replacing(tmp_path / "file" / "a.txt"):
        pass


def test_sha256_and_fingerprint_are_hashlibs(tmp_path):
    content = np.arange(5.0)
    (tmp_path / "a").write_bytes(content.tobytes())
    known = hashlib.sha256(content.tobytes()).hexdigest()
    assert sha256(tmp_path / "a") == known
    assert fingerprint(content) == fingerprint(content.tobytes()) == known
    assert fingerprint("ab", "c") == hashlib.sha256(b"abc").hexdigest()
    assert fingerprint(np.arange(8.0).reshape(2, 4)[:, ::2]) == fingerprint(np.array([0.0, 2.0, 4.0, 6.0]))


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with replacing("~/a.txt") as temporary:
        temporary.write_text("here")
    assert (tmp_path / "a.txt").read_text() == "here"
    with pytest.raises(InputError, match="cannot be expanded"):
        expanded("~nobody-of-this-name/a.txt")


def test_json_objects_are_read_and_everything_else_refused(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(InputError, match="does not exist"):
        read_json(path, expected="settings", hint="make it again")
    path.write_text('{"a": [1, 2.5]}')
    assert read_json(path, expected="settings", hint="make it again") == {"a": [1, 2.5]}
    for text in (b"", b"[1]", b"null", b'{"a": ', b"[" * 100_000, b"\xff\xfe"):
        path.write_bytes(text)
        with pytest.raises(InputError, match=r"a\.json is damaged.*; expected settings; make it again"):
            read_json(path, expected="settings", hint="make it again")
