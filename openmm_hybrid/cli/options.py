"""Options and arguments that several verbs share, and the conversion of their texts."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, final

import typer
from typer.core import TyperCommand

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.registry import Registry

_NAMES = re.compile(r"<([^<>]+)>")


def expand(value: Any) -> Any:
    """A path, or each path of a list, with "~" replaced by the home folder; the callback of every path."""
    if isinstance(value, list | tuple):
        return [expand(part) for part in value]
    return value.expanduser() if isinstance(value, Path) else value


def argument(help: str) -> Any:
    """A positional argument that is a path."""
    return typer.Argument(help=help, callback=expand)


def path_option(*names: str, help: str) -> Any:
    """An option that is a path."""
    return typer.Option(*names, help=help, callback=expand)


def named(registry: str, *others: str, help: str) -> Any:
    """An option whose value is a name in a registry or one of some other words.

    The help lists all of them. The registry's module is imported only then, and for shell completion.

    Parameters
    ----------
    registry : str
        "module:attribute" of a `Registry` or of several names, or "module:function" or "module:function:argument" of a
        function that returns names.
    others : str
        The other words.
    help : str
    """
    source = "|".join((*others, registry))

    def complete(incomplete: str) -> list[str]:
        return [name for name in names_of(source) if name.startswith(incomplete)]

    return typer.Option(help=help, metavar=f"<{source}>", autocompletion=complete)


def names_of(source: str) -> list[str]:
    """The names that a source of `named` gives; a source is made of words and registries, separated by "|"."""
    names: list[str] = []
    for part in source.split("|"):
        module, *attribute = part.split(":")
        if not attribute:
            names.append(part)
            continue
        known = getattr(import_module(module), attribute[0])
        known = known(*attribute[1:]) if callable(known) else known
        names += known.names() if isinstance(known, Registry) else list(known)
    return list(dict.fromkeys(names))


@final
class Verb(TyperCommand):
    """A verb whose help lists the names of the options made by `named`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for parameter in self.params:
            metavar: str | None = getattr(parameter, "metavar", None)
            if metavar:
                parameter.metavar = _NAMES.sub(lambda found: f"<{'|'.join(names_of(found[1]))}>", metavar)
        super().format_help(ctx, formatter)


OutputFile = Annotated[Path, path_option("--output", "-o", help="File to write.")]
OutputFolder = Annotated[Path, path_option("--output", "-o", help="Folder to write.")]
Report = Annotated[Path | None, path_option(help="JSON file for errors and settings.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Template = Annotated[
    str,
    typer.Option(help="SMILES with the bond orders and charges of a molecule file without them, such as a PDB pose."),
]
Seed = Annotated[int, typer.Option(help="Seed of random choices.")]
EnergyUnit = Annotated[
    str, typer.Option("--e-unit", help="Unit of energy, such as eV, for frames that do not name one.")
]
LengthUnit = Annotated[
    str, typer.Option("--r-unit", help="Unit of length, such as bohr, for frames that do not name one.")
]


def check_ending(path: Path | None, ending: str, what: str) -> None:
    """Refuse the name of an output file before the work that would fill it.

    Raises
    ------
    InputError
        The name ends otherwise.
    """
    if path is not None and path.suffix != ending:
        raise InputError(f"{what} cannot be written to {path}", expected=f"a name that ends in {ending}")


def repeated(texts: list[str] | None, read: Callable[[str], Any]) -> list[Any]:
    """The values of a repeated option."""
    return [read(text) for text in texts or ()]
