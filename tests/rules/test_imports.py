"""Data flows one way, and OpenMM stays at the border (DESIGN, section 3), held on the syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "openmm_hybrid"

#: A room may import from the rooms before its own line, and from itself; the single files of the first two lines from
#: each other as well.
LAYERS = (
    ("units", "errors", "registry", "files", "progress", "tables", "ffxml", "forcefielddir"),
    ("molecule", "frames", "frames_io", "geometry"),
    ("forms",),
    ("models",),
    ("forcefield", "sgdml", "gaff"),
    ("reference", "training", "correction"),
    ("backends",),
    ("simulation",),
    ("studies",),
    ("cli_errors",),
    ("cli",),
)
BASE = {name for layer in LAYERS[:2] for name in layer}
#: Rooms that stand aside know nothing else of the package.
ASIDE = {"analysis": BASE - {"molecule"}, "figures": {"analysis", *LAYERS[0]}}
#: Who may import the rooms that stand aside. analysis is a leaf of numpy: whoever trains may take error tables from it,
#: so that there is one definition of an error. Pictures are for those who show them.
MAY_IMPORT_ASIDE = {
    "studies": set(ASIDE),
    "cli": set(ASIDE),
    "sgdml": {"analysis"},
    "training": {"analysis"},
    "simulation": {"analysis"},
    "correction": {"analysis"},
}
MAY_IMPORT_OPENMM = {"gaff", "forcefield", "backends", "simulation", "units"}

MODULES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py", PACKAGE / "testing.py"})


def room(path: Path) -> str:
    """The part of the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def allowed(name: str) -> set[str]:
    """The rooms that a room may import from."""
    if name in ASIDE:
        return ASIDE[name] | {name}
    rank = next(rank for rank, layer in enumerate(LAYERS) if name in layer)
    before = {other for layer in LAYERS[:rank] for other in layer} | {name}
    if rank < 2:
        before |= set(LAYERS[rank])
    return before | MAY_IMPORT_ASIDE.get(name, set())


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_from_before(path: Path) -> None:
    own = allowed(room(path))
    for line, name in imports(path):
        parts = name.split(".")
        if (
            parts[0] == "openmm_hybrid"
            and len(parts) > 1
            and (PACKAGE / f"{parts[1]}.py").exists() | (PACKAGE / parts[1]).is_dir()
        ):
            assert parts[1] in own, f"{path}:{line} imports {name}; {room(path)} may know {sorted(own)}"
        if parts[0] in ("openmm", "simtk", "openmmtorch"):
            assert room(path) in MAY_IMPORT_OPENMM, f"{path}:{line} imports {name} away from the OpenMM border"


@pytest.mark.parametrize("module", ["openmm_hybrid", "openmm_hybrid.cli"])
def test_import_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "openmm", "rdkit", "numpy", "scipy", "ase", "matplotlib", "mdtraj", "pyscf", "h5py"}
    assert not heavy & set(run.stdout.split())
