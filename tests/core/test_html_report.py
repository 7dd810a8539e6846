"""The report is one page that needs nothing else, and its JSON has the agreed shape."""

from __future__ import annotations

import json
import subprocess

import pytest

from openmm_hybrid.core import result_document as result
from openmm_hybrid.core.html_report import Section, write_report
from openmm_hybrid.core.result_document import commit, dirty, document, write_json


def test_report_escapes_text_and_embeds_pictures(tmp_path):
    picture = tmp_path / "p.png"
    picture.write_bytes(b"\x89PNG")
    section = Section(
        "Errors <all>", "One.\n\nTwo & three.", ("model", "RMSE"), [("GAFF", "1.0")], picture, "A picture"
    )
    page = write_report(tmp_path / "report.html", "Aspirin", "lead", [section]).read_text()
    assert "Errors &lt;all&gt;" in page
    assert "<p>Two &amp; three.</p>" in page
    assert "data:image/png;base64,iVBORw==" in page
    assert "http" not in page


def test_report_shows_lists_and_small_pictures_with_captions(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    section = Section("All", items=("One < two", "three"), gallery=[(tmp_path / "a", "A & B"), (tmp_path / "b", "C")])
    page = write_report(tmp_path / "report.html", "Aspirin", "lead", [section]).read_text()
    assert "<li>One &lt; two</li>" in page
    assert '<img alt="A &amp; B" src="data:image/png;base64,YQ==">' in page
    assert "<figcaption>C</figcaption>" in page


def test_result_document_names_units_versions_and_machine(tmp_path):
    content = document("speed", {"ratio": (2.5, "1")}, note="x", unit="Å")
    path = write_json(tmp_path / "r.json", content)
    assert "Å" in path.read_text(encoding="utf-8")
    read = json.loads(path.read_text())
    assert read["figures"] == {"ratio": {"value": 2.5, "unit": "1"}}
    assert read["note"] == "x"
    assert {"python", "openmm", "torch"} <= set(read["versions"])
    assert read["machine"]["cores"] >= 1
    assert isinstance(read["dirty"], bool)


def test_numbers_that_json_lacks_are_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "r.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_commit_marks_changes_and_knows_its_own_checkout_only(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        return subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    file = tmp_path / "result.py"
    file.write_text("1")
    (tmp_path / "other").write_text("1")
    monkeypatch.setattr(result, "_HERE", file)
    git("init")
    git("add", "other")
    git("commit", "-m", "without the file")
    assert (commit(), dirty()) == ("unknown", False)
    git("add", "result.py")
    git("commit", "-m", "with it")
    head = git("rev-parse", "--short=12", "HEAD")
    assert (commit(), dirty()) == (head, False)
    (tmp_path / "other").write_text("2")
    assert (commit(), dirty()) == (head, True)
    monkeypatch.setenv("PATH", "")
    assert (commit(), dirty()) == ("unknown", False)
