"""What the package offers can be imported, is documented in its docstring and stands in the reference."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import openmm_hybrid as oh

API = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
NAMES = [name for name in oh.__all__ if name != "__version__"]


def offered(name: str) -> list[tuple[str, Any]]:
    """A public name, or what it offers where it is a module."""
    value = getattr(oh, name)
    if not isinstance(value, ModuleType):
        return [(f"openmm_hybrid.{name}", value)]
    return [(f"{value.__name__}.{part}", getattr(value, part)) for part in value.__all__]


@pytest.mark.parametrize("name", NAMES)
def test_documented(name: str) -> None:
    assert f":: openmm_hybrid.{name}\n" in API, f"{name} is not in api.md"
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
