"""The text that names a reference engine with its method, basis and options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.registry import near

Option = bool | int | float | str | None
"""Value of an option: true, false, none, a number, or a text."""

_FORM = (
    "NAME, NAME:METHOD, NAME:METHOD/BASIS, ase:MODULE:CLASS or model:FILE, and options after ?, such as "
    "pyscf:pbe/def2-svp"
)
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d*)", re.ASCII)
_REAL = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[+-]?\d+)?|[+-]?inf|nan", re.ASCII | re.IGNORECASE)
"""Usual spellings of numbers; 0012 and 1_2, which Python reads too, are names."""
_WORDS: dict[str, Option] = {"true": True, "false": False, "none": None}


@final
@dataclass(frozen=True)
class EngineName:
    """Parts of the text that names an engine.

    Parameters
    ----------
    name : str
        Name in the registry, such as "pyscf".
    method : str
        Method, "module:Class" of an ASE calculator, or an empty text.
    basis : str
        Basis set, or an empty text.
    options : mapping of str to bool, int, float, str or None
    """

    name: str
    method: str
    basis: str
    options: Mapping[str, Option]


def parsed(text: str) -> EngineName:
    """The parts of a text such as "gfn2", "pyscf:pbe/def2-svp?density_fit=true" or "ase:module:Class?key=value".

    Raises
    ------
    InputError
        There is no name, a part after a separator is empty, or an option has no value or is given twice.
    """
    head, mark, tail = text.strip().partition("?")
    name, colon, level = (part.strip() for part in head.partition(":"))
    # A calculator and a model have no basis, and a slash in their text is one of a path.
    method, slash, basis = (
        (level, "", "") if name in ("ase", "model") else (part.strip() for part in level.partition("/"))
    )
    for part, separator, value in (("engine", "*", name), ("method", colon, level), ("basis", slash, basis)):
        if separator and not value:
            raise InputError(f"{text!r} has no {part}", expected=_FORM)
    return EngineName(name, method, basis, _options(text, tail) if mark else {})


def check_options(options: Mapping[str, Option], kinds: Mapping[str, type], engine: str) -> None:
    """Check names and types of the options of an engine.

    Parameters
    ----------
    options : mapping of str to value
    kinds : mapping of str to type
        The options that the engine takes, with their types.
    engine : str
        Name of the engine, for messages.

    Raises
    ------
    InputError
        An option is unknown or of another type.
    """
    for name, value in options.items():
        if name not in kinds:
            raise InputError(
                f"unknown option {name!r} of the engine {engine}",
                expected=f"one of {', '.join(kinds)}" if kinds else "none: this engine has no options",
                hint=near(name, list(kinds)),
            )
        if type(value) is not kinds[name]:
            expected = "true or false" if kinds[name] is bool else f"a value of type {kinds[name].__name__}"
            raise InputError(f"the option {name} of the engine {engine} is {value!r}", expected=expected)


def _options(text: str, tail: str) -> dict[str, Option]:
    options: dict[str, Option] = {}
    for part in tail.split("&"):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not name or not equals or not value:
            raise InputError(f"{part!r} in {text!r} is not an option", expected="key=value, several joined by &")
        if name in options:
            raise InputError(f"the option {name} is given twice in {text!r}")
        options[name] = _value(value)
    return options


def _value(text: str) -> Option:
    if text.casefold() in _WORDS:
        return _WORDS[text.casefold()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text
