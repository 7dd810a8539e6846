"""A lazy registry of names ("module:attribute"), open to third parties through entry points."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from openmm_hybrid.core.errors import InputError


@dataclass(frozen=True)
class Registry:
    """Names of one kind of object, each loaded on first use.

    Parameters
    ----------
    kind : str
        Noun for the objects, in the singular ("backend"); used in messages.
    builtin : mapping of str to str
        name → "package.module:attribute".
    group : str
        Entry-point group in which other distributions register theirs.
    """

    kind: str
    builtin: Mapping[str, str]
    group: str

    def names(self) -> tuple[str, ...]:
        """Every known name: the built-in ones in their order, then the ones of other distributions."""
        others = sorted({point.name for point in entry_points(group=self.group)} - set(self.builtin))
        return (*self.builtin, *others)

    def load(self, name: str) -> Any:
        """The object called `name`. A built-in name takes precedence over an entry point of the same name.

        Raises
        ------
        InputError
            The name is unknown; the message suggests the nearest ones.
        """
        if name in self.builtin:
            module, _, attribute = self.builtin[name].partition(":")
            return getattr(import_module(module), attribute)
        for point in entry_points(group=self.group):
            if point.name == name:
                return point.load()
        raise InputError(
            f"unknown {self.kind} {name!r}",
            expected=f"one of {', '.join(self.names())}",
            hint=near(name, self.names()),
        )


def near(name: str, names: Sequence[str]) -> str:
    """A hint that names up to three names similar to an unknown one; empty if there are none."""
    similar = difflib.get_close_matches(name, names, n=3)
    return f"did you mean {' or '.join(similar)}?" if similar else ""
