"""Rooms import lower rooms only, modules do not import each other, few rooms import OpenMM: from the syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "openmm_hybrid"

#: A room may import from the rooms of the lines before its own, and from itself.
LAYERS = (
    ("core",),
    ("data", "tasks"),
    ("forms",),
    ("models",),
    ("charges",),
    ("forcefield", "sgdml", "bases"),
    ("models_io",),
    ("reference", "diagnose"),
    ("fitting",),
    ("correction",),
    ("systems",),
    ("sampling",),
    ("refinement", "validation"),
    ("studies",),
    ("cli",),
)
#: Rooms outside the layers may import these rooms only.
ASIDE = {"analysis": {"core", "data"}, "figures": {"core", "analysis"}}
#: Rooms that may import the rooms outside the layers. Errors have one definition, so rooms that train may import
#: analysis; only rooms that show pictures may import figures.
MAY_IMPORT_ASIDE = {
    "studies": set(ASIDE),
    "refinement": set(ASIDE),
    "cli": set(ASIDE),
    "sgdml": {"analysis"},
    "diagnose": {"analysis"},
    "fitting": {"analysis"},
    "correction": {"analysis"},
    "sampling": {"analysis"},
    "validation": {"analysis"},
}
#: Rooms, and single modules of others, that import OpenMM.
MAY_IMPORT_OPENMM = {
    "bases",
    "forcefield",
    "systems",
    "sampling",
    "refinement",
    "validation",
    "core/units.py",
    "models/openmm_forces.py",
    "models/system.py",
}
#: Modules that import each other on purpose: a class, and the files that its `save` writes and its readers read.
KNOWN_CYCLES = (
    {"models.energy_model", "models.storage", "models.torchscript"},
    {"sgdml.model", "sgdml.model_file"},
)

MODULES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"} - set((PACKAGE / "testing").rglob("*.py")))


def room(path: Path) -> str:
    """The part of the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0]


def dotted(path: Path) -> str:
    """A file's name in the package, such as "forms.harmonic"; a room's own name for its `__init__`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def allowed(name: str) -> set[str]:
    """The rooms that a room may import from."""
    if name in ASIDE:
        return ASIDE[name] | {name}
    rank = next(rank for rank, layer in enumerate(LAYERS) if name in layer)
    before = {other for layer in LAYERS[:rank] for other in layer}
    return before | {name} | MAY_IMPORT_ASIDE.get(name, set())


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def graph() -> dict[str, set[str]]:
    """The modules of the package that each module imports; `__init__` files, which only collect, are left out."""
    names = {dotted(path): path for path in MODULES if path.name != "__init__.py"}
    packages = {dotted(path): path for path in MODULES if path.name == "__init__.py"}
    found: dict[str, set[str]] = {}
    for name, path in (names | packages).items():
        found[name] = set()
        for _, full in imports(path):
            parts = full.split(".")[1:] if full.startswith("openmm_hybrid.") else []
            while parts and ".".join(parts) not in names | packages:
                parts.pop()
            if parts and ".".join(parts) != name:
                found[name].add(".".join(parts))
    # A package that imports its own modules is no circle: they do not import from it, or the circle is theirs.
    for name in packages:
        if name not in {part for cycle in KNOWN_CYCLES for part in cycle}:
            found[name] = {other for other in found[name] if not other.startswith(f"{name}.")}
    return found


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """Strongly connected components of more than one module (Tarjan, SIAM J. Comput. 1, 146 (1972))."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(edges[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            start = stack.index(name)
            component, stack[start:] = set(stack[start:]), []
            if len(component) > 1:
                found.append(component)

    for name in sorted(edges):
        if name not in index:
            visit(name)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_from_before(path: Path) -> None:
    permitted = allowed(room(path))
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] == "openmm_hybrid" and len(parts) > 1 and (PACKAGE / parts[1]).is_dir():
            assert parts[1] in permitted, f"{path}:{line} imports {name}; {room(path)} may import {sorted(permitted)}"
        if parts[0] in ("openmm", "simtk", "openmmtorch"):
            known = {room(path), str(path.relative_to(PACKAGE))}
            assert known & MAY_IMPORT_OPENMM, f"{path}:{line} imports {name} away from the OpenMM border"


def test_no_modules_import_each_other() -> None:
    unknown = [circle for circle in circles(graph()) if not any(circle <= known for known in KNOWN_CYCLES)]
    assert not unknown, f"modules that import each other: {[sorted(circle) for circle in unknown]}"


@pytest.mark.parametrize("module", ["openmm_hybrid", "openmm_hybrid.cli"])
def test_import_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "openmm", "rdkit", "numpy", "scipy", "ase", "matplotlib", "mdtraj", "pyscf", "h5py"}
    assert not heavy & set(run.stdout.split())
