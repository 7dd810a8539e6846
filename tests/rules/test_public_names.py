"""Every public name can be imported, has a docstring, is in the reference and is in the stub for type checkers."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import openmm_hybrid as oh

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "api.md").read_text()
STUB = ast.parse((ROOT / "openmm_hybrid" / "__init__.pyi").read_text())
NAMES = [name for name in oh.__all__ if name != "__version__"]


def offered(name: str) -> list[tuple[str, Any]]:
    """A public name, or what it offers where it is a module."""
    value = getattr(oh, name)
    if not isinstance(value, ModuleType):
        return [(f"openmm_hybrid.{name}", value)]
    return [(f"{value.__name__}.{part}", getattr(value, part)) for part in value.__all__]


@pytest.mark.parametrize("name", NAMES)
def test_documented(name: str) -> None:
    value = getattr(oh, name)
    documented = value.__name__ if isinstance(value, ModuleType) else f"openmm_hybrid.{name}"
    assert f":: {documented}\n" in API, f"{name} is not in api.md"
    found = offered(name)
    assert found
    for full, value in found:
        if callable(value):
            assert value.__doc__, f"{full} has no docstring"
            assert value.__doc__[0] != " ", full
        if inspect.isclass(value):
            for part, method in inspect.getmembers(value, inspect.isfunction):
                own = not part.startswith("_") and method.__module__.startswith("openmm_hybrid")
                assert not own or method.__doc__, f"{full}.{part} has no docstring"


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        oh.no_such_name  # noqa: B018


def stub_imports() -> list[tuple[str, str, str]]:
    """Every re-export of the stub: (public name, module, name in the module)."""
    imports = [node for node in STUB.body if isinstance(node, ast.ImportFrom)]
    return [(alias.asname or "", node.module or "", alias.name) for node in imports for alias in node.names]


def test_stub_and_table_name_the_same_things_in_the_same_order() -> None:
    assert [name for name, _, _ in stub_imports()] == list(oh._PUBLIC)
    assert all(name == original for name, _, original in stub_imports()), "only `x as x` is a re-export"
    others = [node for node in STUB.body if not isinstance(node, ast.ImportFrom | ast.Expr)]
    assert [ast.unparse(node) for node in others] == ["__version__: str"]


@pytest.mark.parametrize(("name", "module", "original"), stub_imports())
def test_stub_imports_what_the_lazy_name_gives(name: str, module: str, original: str) -> None:
    if module == "openmm_hybrid":
        expected: Any = import_module(f"{module}.{original}")
    else:
        expected = getattr(import_module(module), original)
    assert getattr(oh, name) is expected
