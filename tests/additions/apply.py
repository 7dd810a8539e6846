"""Adds one of the example additions to a copy of the package, as a contributor would, and runs its tests there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import final

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
NOUNS = ("form", "engine", "backend", "study", "solver", "charges")


@final
@dataclass(frozen=True)
class Addition:
    """One example: a new file of the package, and one line of a registry.

    Parameters
    ----------
    noun : str
        One of `NOUNS`; the example lies in the folder of that name.
    source, test : str
        File to add, and its test module.
    file, registry : str
        The file's place in the package, and the registry's file.
    name, target : str
        Registered name, and "module:attribute".
    after : str
        Registered name whose line the new one follows.
    group : str
        Entry-point group of the registry.
    """

    noun: str
    source: str
    test: str
    file: str
    registry: str
    name: str
    target: str
    after: str
    group: str

    @classmethod
    def read(cls, noun: str) -> Addition:
        """The example of a noun."""
        return cls(noun, **tomllib.loads((HERE / noun / "addition.toml").read_text(encoding="utf-8")))

    def add_to(self, package: Path) -> None:
        """Write the file and the line into a copy of the package."""
        shutil.copy(HERE / self.noun / self.source, package / self.file)
        registry = package / self.registry
        lines = registry.read_text(encoding="utf-8").splitlines(keepends=True)
        (place,) = [number for number, line in enumerate(lines) if line.strip().startswith(f'"{self.after}": "')]
        indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
        lines.insert(place + 1, f'{indent}"{self.name}": "{self.target}",\n')
        registry.write_text("".join(lines), encoding="utf-8")


def copy_package(folder: Path) -> Path:
    """A copy of the package, and of the test files that an addition needs; returns the package's folder."""
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "openmm_hybrid", folder / "openmm_hybrid", ignore=unwanted)
    shutil.copytree(HERE, folder / "tests" / "additions", ignore=unwanted)
    shutil.copytree(ROOT / "tests" / "helpers", folder / "tests" / "helpers", ignore=unwanted)
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "forcefields", folder / "forcefields")
    return folder / "openmm_hybrid"


def changed_files(package: Path) -> list[str]:
    """Files of a copy of the package that are new or differ from the package's own."""
    original = ROOT / "openmm_hybrid"
    return sorted(
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if not (own := original / path.relative_to(package)).is_file() or own.read_bytes() != path.read_bytes()
    )


def run_tests(folder: Path, noun: str, test: str) -> subprocess.CompletedProcess[str]:
    """Run an addition's test module in a folder that holds a copy of the package, and nothing of this checkout."""
    code = (
        "import sys, pytest, openmm_hybrid\n"
        f"assert openmm_hybrid.__file__.startswith({str(folder)!r}), openmm_hybrid.__file__\n"
        f"sys.exit(pytest.main(['-q', '-x', '-p', 'no:cacheprovider', 'tests/additions/{noun}/{test}']))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
