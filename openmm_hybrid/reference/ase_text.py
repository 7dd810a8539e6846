"""ASE calculators from a text: "module:Class" with keyword arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from openmm_hybrid.core.errors import InputError, MissingDependencyError
from openmm_hybrid.core.registry import near
from openmm_hybrid.reference.ase_parameters import CHARGE, MULTIPLICITY, SILENT
from openmm_hybrid.reference.engine_name import Option

_FORM = "ase:MODULE:CLASS, such as ase:tblite.ase:TBLite"
_SPELLINGS = {"charge": CHARGE, "multiplicity": MULTIPLICITY}


def calculator_named(text: str, options: Mapping[str, Option], state: Mapping[str, int]) -> tuple[Any, str]:
    """The calculator of a text such as "tblite.ase:TBLite", and its level of theory in words.

    Parameters
    ----------
    text : str
        Module, and class or function of it, with a colon between them.
    options : mapping of str to value
        Keyword arguments.
    state : mapping of str to int
        "charge" and "multiplicity" where they are not 0 and 1; handed over by the names that the class takes, if any,
        and if the options do not have them.

    Raises
    ------
    InputError
        The module or the class does not exist, it does not take an option, or it refuses a value.
    MissingDependencyError
        The calculator needs a package that is not installed.
    """
    make = _loaded(text)
    name = text.partition(":")[2]
    taken, any_name = _keywords(make)
    for option in options:
        if option not in taken and not any_name:
            raise InputError(
                f"{name} takes no argument {option!r}",
                expected=f"one of {', '.join(taken)}" if taken else "no options",
                hint=near(option, taken),
            )
    given: dict[str, Any] = dict(options)
    for what, value in state.items():
        spellings = [known for known in taken if known.lower() in _SPELLINGS[what]]
        if spellings and not {option.lower() for option in options} & set(_SPELLINGS[what]):
            given[spellings[0]] = value
    try:
        calculator = make(**given)
    except ImportError as error:
        raise MissingDependencyError(f"{name} cannot be made ({error})", hint="install what it needs") from error
    except (TypeError, ValueError, RuntimeError, LookupError, OSError) as error:
        raise InputError(f"{name} cannot be made ({type(error).__name__}: {error})") from error
    ignored = {*SILENT, *CHARGE, *MULTIPLICITY}
    level = ", ".join(f"{key}={value}" for key, value in sorted(options.items()) if key.lower() not in ignored)
    return calculator, f"{text} {level}".strip()


def _loaded(text: str) -> Callable[..., Any]:
    module, _, name = text.partition(":")
    if not module or not name:
        raise InputError(f"{text!r} is no ASE calculator" if text else "the engine ase needs a class", expected=_FORM)
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name and not (module == error.name or module.startswith(f"{error.name}.")):
            raise MissingDependencyError(f"{module} cannot be loaded ({error})", hint="install what it needs") from None
        raise InputError(
            f"there is no module {module!r} ({error})", expected=_FORM, hint="install it, or check its spelling"
        ) from None
    except ImportError as error:
        raise MissingDependencyError(f"{module} cannot be loaded ({error})", hint="install what it needs") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{module!r} is not the name of a module ({error})", expected=_FORM) from None
    made = getattr(found, name, None)
    if not callable(made):
        names = [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]
        raise InputError(f"the module {module} has no class {name!r}", hint=near(name, names))
    known: Callable[..., Any] = made
    return known


def _keywords(make: Callable[..., Any]) -> tuple[list[str], bool]:
    """Names of the keyword arguments of a calculator, with its default parameters, and whether it takes any others."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return [], True
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        return named, False
    defaults = getattr(make, "default_parameters", None) or {}
    return list(dict.fromkeys((*named, *defaults))), not defaults
