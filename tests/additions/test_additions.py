"""A new form, engine, backend, study, solver or charge method is one file and one line, or an entry point elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.additions.apply import HERE, NOUNS, Addition, changed_files, copy_package, run_tests


@pytest.mark.parametrize("noun", NOUNS)
def test_one_file_and_one_line(noun: str, tmp_path: Path) -> None:
    addition = Addition.read(noun)
    package = copy_package(tmp_path)
    addition.add_to(package)
    assert changed_files(package) == sorted([addition.file, addition.registry])
    run = run_tests(tmp_path, noun, addition.test)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


@pytest.mark.parametrize("noun", NOUNS)
def test_entry_point_of_another_distribution(noun: str, tmp_path: Path) -> None:
    """The same file in a package of its own, which announces it in its metadata."""
    addition = Addition.read(noun)
    package = copy_package(tmp_path)
    third_party = tmp_path / "third_party"
    third_party.mkdir()
    (third_party / "__init__.py").touch()
    shutil.copy(HERE / noun / addition.source, third_party)
    metadata = tmp_path / "third_party-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    target = f"third_party.{Path(addition.source).stem}:{addition.target.partition(':')[2]}"
    (metadata / "entry_points.txt").write_text(f"[{addition.group}]\n{addition.name} = {target}\n")
    run = run_tests(tmp_path, noun, addition.test)
    assert changed_files(package) == []
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout
