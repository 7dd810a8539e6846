"""Every name of the package in the code of README and the documentation exists, with the keywords of its calls."""

from __future__ import annotations

import ast
import inspect
import re
from operator import attrgetter
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

import openmm_hybrid as oh
from openmm_hybrid.charges import METHODS
from openmm_hybrid.core.registry import Registry
from openmm_hybrid.forms import FORMS
from openmm_hybrid.reference import ENGINES
from openmm_hybrid.sgdml.solvers import SOLVERS
from openmm_hybrid.studies import STUDIES
from openmm_hybrid.systems.backends import BACKENDS
from tests.docs.snippets import TEXTS, blocks, inline

_NAME = re.compile(r"(?<![\w./-])(?:oh|openmm_hybrid)(?:\.[A-Za-z_]\w*)+")
_REGISTRIES: tuple[Registry, ...] = (FORMS, METHODS, ENGINES, SOLVERS, STUDIES, BACKENDS)


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = {name for code in (*blocks(text), *inline(text)) for name in _NAME.findall(code)}
    assert not [name for name in sorted(names) if not _exists(name)]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_keywords_of_calls_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not [wrong for code in (*blocks(text), *inline(text)) for wrong in _unknown_keywords(code)]


def test_a_missing_keyword_is_found() -> None:
    assert _unknown_keywords("oh.fit(…, n_trian=5)") == ["oh.fit(n_trian=)"]


def test_a_missing_name_is_found() -> None:
    assert not _exists("oh.sampel")
    assert not _exists("oh.ForceField.laod")
    assert not _exists("openmm_hybrid.sampel")


def _named(name: str) -> Any:
    """The object of a name: an attribute of the package for ``oh.``, also a module for ``openmm_hybrid.``."""
    alias, _, rest = name.partition(".")
    return attrgetter(rest)(oh) if alias == "oh" else resolve_name(name)


def _exists(name: str) -> bool:
    """Whether a name is an object of the package, or the entry-point group of a registry."""
    try:
        _named(name)
    except (AttributeError, ImportError):
        return name in {registry.group for registry in _REGISTRIES}
    return True


def _unknown_keywords(code: str) -> list[str]:
    """Keywords that functions of the package do not take; code that is not Python has none."""
    try:
        tree = ast.parse(code.replace("…", "..."))
    except SyntaxError:
        return []
    wrong = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if _NAME.fullmatch(name) and call.keywords:
            known = inspect.signature(_named(name)).parameters
            wrong += [f"{name}({keyword.arg}=)" for keyword in call.keywords if keyword.arg not in known]
    return wrong
