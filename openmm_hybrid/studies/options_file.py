"""Options of studies in a TOML file."""

from __future__ import annotations

import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded


def read_toml(path: str | Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises
    ------
    InputError
        There is no such file, or it is no TOML.
    """
    target = expanded(path)
    try:
        return tomllib.loads(target.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot read {target}: {reason}", expected="a TOML file") from None


def settings_of(kind: type[Any], given: Mapping[str, Any], options: Mapping[str, Any], where: str) -> Any:
    """Settings of a study from values, and from the options of a user, which come on top.

    Parameters
    ----------
    kind : type
        Dataclass of a study's settings.
    given : mapping
        Values that the user may not change: those of the fields without a default, and others.
    options : mapping of str to object
        Names of fields, also with hyphens as on the command line, and their values as TOML has them.
    where : str
        What has these options, for messages.

    Raises
    ------
    InputError
        A name is unknown or may not be changed, or a value has the wrong type.
    """
    hints = get_type_hints(kind)
    free = {field.name: field for field in fields(kind) if field.default is not MISSING and field.name not in given}
    values: dict[str, Any] = {}
    for key, value in options.items():
        name = key.replace("-", "_")
        if name not in free:
            raise InputError(f"{where} has no option {key!r}", expected=f"one of {', '.join(sorted(free))}")
        parse = free[name].metadata["parse"]
        if parse is not None:
            values[name] = parse(str(value))
        elif fits(value, hints[name]):
            values[name] = _tuples(value, hints[name])
        else:
            raise InputError(f"{where}: {key} = {value!r}", expected=f"a value such as {free[name].default!r}")
    return kind(**given, **values)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of TOML can be that of a field of this type (see `openmm_hybrid.studies.study.option`)."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, kind) for kind in get_args(hint) if kind is not type(None))
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        return isinstance(value, list) and all(fits(part, get_args(hint)[0]) for part in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str if hint is Path else hint)


def _tuples(value: Any, hint: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(part, get_args(hint)[0]) for part in value)
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if isinstance(value, str):
        return Path(value) if Path in kinds else value
    return float(value) if float in kinds else value
