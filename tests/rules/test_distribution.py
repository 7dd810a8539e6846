"""The sdist and the wheel: what they hold, and the installed wheel in an environment without this checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest

import openmm_hybrid as oh

ROOT = Path(__file__).parents[2]
SETS = sorted(path.parent.name for path in (ROOT / "forcefields").glob("*/manifest.json"))
#: Prints what the installed package finds, as JSON on the last line.
QUESTIONS = """
import json
from importlib.metadata import entry_points
from importlib.util import find_spec

import openmm_hybrid as oh
from openmm import app

(folder,) = entry_points(group="openmm.forcefielddir", name="openmm_hybrid")
(potential,) = entry_points(group="openmmml.potentials", name="openmm-hybrid")
if find_spec("openmmml"):
    import openmmml  # loads the entry points of its group, as in a user's script
print(json.dumps({
    "file": oh.__file__,
    "sets": sorted(oh.forcefield.names()),
    "groups": list(oh.ForceField.load("ethanol-cross").groups),
    "folder": folder.load()(),
    "potential": potential.load().__name__ if find_spec("openmmml") else potential.attr,
    "templates": list(app.ForceField("ethanol-gaff/ethanol-gaff.xml")._templates),
}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of this checkout and the wheel that is built from that sdist."""
    for package in ("build", "hatchling"):
        pytest.importorskip(package, reason=f"{package} is not installed (extra test)")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and all packages of this environment but this one; nothing is downloaded."""
    pytest.importorskip("pip", reason="pip is not installed")
    folder = tmp_path_factory.mktemp("clean")
    others = folder / "others"
    others.mkdir()
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(site).iterdir():
            ours = entry.name.startswith(("openmm_hybrid", "_editable_impl_openmm_hybrid"))
            if not ours and entry.suffix != ".pth" and not (others / entry.name).exists():
                (others / entry.name).symlink_to(entry)
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "others.pth").write_text(f"{others}\n")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--disable-pip-version-check", str(wheel)], check=True, env=clean())
    return folder / "venv"


def clean() -> dict[str, str]:
    """Environment variables without those that point to this checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def run(environment: Path, program: str, *arguments: str) -> str:
    """Standard output of a program of the environment, started outside the checkout."""
    command = [str(environment / "bin" / program), *arguments]
    done = subprocess.run(command, cwd=environment, env=clean(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel_holds_the_package_its_types_and_its_data(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "openmm_hybrid").rglob("*.py")}
    assert modules <= names
    assert {"openmm_hybrid/py.typed", "openmm_hybrid/__init__.pyi"} <= names
    data = {path.relative_to(ROOT) for name in SETS for path in (ROOT / "forcefields" / name).iterdir()}
    assert {f"openmm_hybrid/{path}" for path in data} <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"openmm_hybrid"}


def test_wheel_says_what_it_is(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(path))
        assert path.replace("METADATA", "licenses/LICENSE") in archive.namelist()
    assert metadata["Version"] == oh.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Maintainer"] == "The openmm-hybrid developers"
    assert any("10.1063/5.0023005" in url for url in metadata.get_all("Project-URL", []))


def test_sdist_holds_what_the_tests_need(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", "tests/conftest.py"} <= names
    assert {f"forcefields/{name}/forcefield.npz" for name in SETS} <= names
    assert not {name for name in names if name.split("/")[0] in (".git", ".ci", ".venv", "dist", "runs")}


def test_console_script_runs(environment: Path) -> None:
    assert run(environment, "openmm-hybrid", "--version").strip() == oh.__version__
    assert "sample" in run(environment, "openmm-hybrid", "--help")


def test_installed_package_finds_its_data_and_is_found_by_openmm(environment: Path) -> None:
    found = json.loads(run(environment, "python", "-c", QUESTIONS).splitlines()[-1])
    package = Path(found["file"]).parent
    assert package.is_relative_to(environment)
    assert found["sets"] == SETS
    assert "cross.angle" in found["groups"]
    assert Path(found["folder"]) == package / "forcefields"
    assert found["potential"] == "HybridPotentialFactory"
    assert any(name.startswith("ethanol") for name in found["templates"])
