"""Base force fields, GAFF and OpenFF: molecules with terms and charges as OpenMM Systems, in vacuum and in water."""

from __future__ import annotations

from openmm_hybrid.bases.base import Base
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.registry import Registry, near

BASES = Registry(
    "family of base force fields",
    {
        "gaff": "openmm_hybrid.bases.gaff.gaff:Gaff",
        "openff": "openmm_hybrid.bases.openff:OpenFF",
    },
    "openmm_hybrid.bases",
)
"""Name of a family → subclass of `Base`."""

DEFAULT = "gaff-2.2.20"
"""The base force field for molecules in general; the paper's studies take GAFF 1.81. See docs/bases.md."""

__all__ = ["BASES", "DEFAULT", "Base", "base_forcefield", "names"]


def names() -> tuple[str, ...]:
    """Every base force field that is installed, such as "gaff-1.81" and "openff-2.3.0"."""
    return tuple(f"{family}-{version}" for family in BASES.names() for version in BASES.load(family).versions())


def base_forcefield(name: str) -> Base:
    """The base force field called `name`, such as "gaff-1.81" or "openff-2.3.0".

    Raises
    ------
    InputError
        Unknown name; the message lists the names of the family.
    MissingDependencyError
        The family's package is not installed.

    Examples
    --------
    >>> from openmm_hybrid.bases import base_forcefield
    >>> base_forcefield("gaff-2.11").version
    '2.11'
    """
    family, _, version = name.partition("-")
    if family not in BASES.names() or not version:
        raise InputError(
            f"unknown base force field {name!r}", expected=f"one of {', '.join(names())}", hint=near(name, names())
        )
    made: Base = BASES.load(family)(version)
    return made
