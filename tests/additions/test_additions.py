"""A new form, engine, backend, study, solver or charge method is one file and one line, or an entry point elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.additions.apply import HERE, NOUNS, ROOT, Addition, changed_files, copy_package, run_tests

REGISTRIES = {
    "form": "openmm_hybrid.forms:FORMS",
    "engine": "openmm_hybrid.reference:ENGINES",
    "backend": "openmm_hybrid.systems.backends:BACKENDS",
    "study": "openmm_hybrid.studies:STUDIES",
    "solver": "openmm_hybrid.sgdml.solvers:SOLVERS",
    "charges": "openmm_hybrid.charges:METHODS",
}


@pytest.mark.parametrize("noun", NOUNS)
def test_one_file_and_one_line(noun: str, tmp_path: Path) -> None:
    addition = Addition.read(noun)
    package = copy_package(tmp_path)
    addition.add_to(package)
    assert changed_files(package) == sorted([addition.file, addition.registry])
    run = run_tests(tmp_path, noun, addition.test)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


def test_entry_points_of_another_distribution(tmp_path: Path) -> None:
    """The same files in a package of its own, which announces them in its metadata: this package is as it is."""
    additions = [Addition.read(noun) for noun in NOUNS]
    third_party, metadata = tmp_path / "third_party", tmp_path / "third_party-1.0.dist-info"
    for folder in (third_party, metadata):
        folder.mkdir()
    (third_party / "__init__.py").touch()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    lines = []
    for addition in additions:
        shutil.copy(HERE / addition.noun / addition.source, third_party)
        target = f"third_party.{Path(addition.source).stem}:{addition.target.partition(':')[2]}"
        lines.append(f"[{addition.group}]\n{addition.name} = {target}\n")
    (metadata / "entry_points.txt").write_text("".join(lines))
    code = ["from importlib import import_module"]
    for addition in additions:
        module, _, attribute = REGISTRIES[addition.noun].partition(":")
        registry = f"getattr(import_module({module!r}), {attribute!r})"
        code.append(f"assert {addition.name!r} in {registry}.names()")
        code.append(f"print({registry}.load({addition.name!r}).__module__)")
    run = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [f"third_party.{Path(addition.source).stem}" for addition in additions]
