"""Options of the command line from the fields of a settings class (`openmm_hybrid.studies.study.option`)."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from openmm_hybrid.cli.options import expand, named


def command(
    settings: type[Any], body: Callable[..., None], others: list[inspect.Parameter], summary: str
) -> Callable[..., None]:
    """A function for `typer.Typer.command` with an option for each field of a settings class.

    Parameters
    ----------
    settings : type
        Dataclass.
    body : function
        Called with an instance of the class, then with the values of `others` by name.
    others : list of inspect.Parameter
        Further parameters, with Typer's annotations.
    summary : str
        First line of the help.
    """

    def verb(**values: Any) -> None:
        given = {parameter.name: values.pop(parameter.name) for parameter in others}
        body(_made(settings, values), **given)

    parameters = [*_parameters(settings), *others]
    verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    verb.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    verb.__doc__ = summary
    return verb


def parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """A further parameter of `command`."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _parameters(settings: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(settings)
    return [_parameter(field, hints[field.name]) for field in fields(settings)]


def _parameter(field: Field[Any], hint: Any) -> inspect.Parameter:
    help, parse, metavar = (field.metadata[key] for key in ("help", "parse", "metavar"))
    if field.default is MISSING:
        return parameter(field.name, Annotated[_annotation(hint), typer.Argument(help=help, callback=expand)])
    if parse is not None:
        default = None if field.default in (None, ()) else str(field.default)
        return parameter(field.name, Annotated[str | None, typer.Option(help=help, metavar=metavar or None)], default)
    if metavar.startswith("<"):
        *words, registry = metavar.strip("<>").split("|")
        return parameter(field.name, Annotated[str, named(registry, *words, help=help)], field.default)
    if get_origin(hint) is tuple:
        help = f"{help} Repeat the option for more."
    names = (f"--{field.name.replace('_', '-')}",) if hint is bool else ()
    info = typer.Option(*names, help=help, callback=expand, metavar=metavar or None)
    return parameter(field.name, Annotated[_annotation(hint), info], _default(hint, field.default))


def _annotation(hint: Any) -> Any:
    """The annotation that Typer understands: lists for tuples, enumerations for choices in them."""
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return list[_enumeration(inner) if get_origin(inner) is Literal else inner]  # type: ignore[misc]
    return hint


def _enumeration(choices: Any) -> Any:
    return Enum("Choice", {str(choice): choice for choice in get_args(choices)})


def _default(hint: Any, value: Any) -> Any:
    return list(value) if get_origin(hint) is tuple else value


def _made(settings: type[Any], values: dict[str, Any]) -> Any:
    """An instance of the settings from Typer's values."""
    made = {}
    for field in fields(settings):
        value, parse = values[field.name], field.metadata["parse"]
        if parse is not None:
            made[field.name] = field.default if value is None else parse(value)
        elif isinstance(value, list):
            made[field.name] = tuple(part.value if isinstance(part, Enum) else part for part in value)
        else:
            made[field.name] = value
    return settings(**made)


def is_supported(hint: Any) -> bool:
    """Whether a field of this type can be an option without a `parse` of its own."""
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        return len(kinds) == 1 and is_supported(kinds[0]) and get_origin(kinds[0]) is not tuple
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        return len(inner) == 2 and inner[1] is Ellipsis and get_origin(inner[0]) is not tuple and is_supported(inner[0])
    return get_origin(hint) is Literal or hint in (int, float, str, bool, Path)
