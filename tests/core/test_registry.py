"""The registry: lazy, hints at near misses, open to entry points."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from openmm_hybrid.core import registry
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.registry import Registry

BUILTIN = {"fraction": "fractions:Fraction", "broken": "no_such_module:thing"}


@pytest.fixture
def things():
    return Registry("thing", BUILTIN, "openmm_hybrid.test_things")


@pytest.fixture
def announced(monkeypatch):
    """Two entry points of another distribution, one with a built-in name."""
    points = [
        EntryPoint("decimal", "decimal:Decimal", "openmm_hybrid.test_things"),
        EntryPoint("fraction", "decimal:Decimal", "openmm_hybrid.test_things"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: [point for point in points if point.group == group])


def test_loads_when_asked_only(things, monkeypatch):
    monkeypatch.delitem(sys.modules, "fractions", raising=False)
    assert things.names() == ("fraction", "broken")
    assert "fractions" not in sys.modules
    assert things.load("fraction").__name__ == "Fraction"
    assert "fractions" in sys.modules


def test_a_module_that_is_missing_shows(things):
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        things.load("broken")


def test_near_miss(things):
    with pytest.raises(InputError, match=r"unknown thing 'fracton'; expected one of fraction, broken; did you mean fr"):
        things.load("fracton")
    with pytest.raises(InputError) as caught:
        things.load("zzz")
    assert "did you mean" not in str(caught.value)


def test_entry_points_add_names_but_do_not_replace(things, announced):
    assert things.names() == ("fraction", "broken", "decimal")
    assert things.load("decimal").__name__ == "Decimal"
    assert things.load("fraction").__name__ == "Fraction"
