"""Parameters of ASE calculators: level of theory, charge and multiplicity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from openmm_hybrid.core.errors import InputError, MismatchError

CHARGE = ("charge", "total_charge", "net_charge", "hamiltonian_charge", "tot_charge")
"""Parameters, in lower case, by which calculators of ASE take the net charge."""

MULTIPLICITY = ("multiplicity", "mult", "spin_multiplicity")
"""Parameters, in lower case, by which they take the multiplicity 2S + 1."""

SILENT = (
    "verbosity",
    "cache_api",
    "label",
    "directory",
    "txt",
    "command",
    "profile",
    "device",
    "nprocs",
    "num_threads",
)
"""Parameters, in lower case, that do not change a label: files, output and processors."""

_METHOD = ("method", "xc", "functional", "basis", "model", "orcasimpleinput", "solvation")
"""Parameters, in lower case, that name a level of theory; it shows them also where they have their default values."""

_LONG = 60  # characters of the longest parameter that is written out; longer ones are recorded by their hash


def parameters_of(calculator: Any) -> dict[str, Any]:
    """Parameters of a calculator by name: `parameters`, else `todict()`; empty if it has neither."""
    found = getattr(calculator, "parameters", None)
    if not isinstance(found, Mapping) or not found:
        described = calculator.todict() if hasattr(calculator, "todict") else {}
        found = described if isinstance(described, Mapping) else {}
    return {str(name): value for name, value in found.items()}


def resolved(
    calculator: Any, parameters: Mapping[str, Any], what: str, names: tuple[str, ...], given: int | None, neutral: int
) -> int:
    """Charge or multiplicity: the calculator's own, the given one, or the default."""
    found = stated(calculator, parameters, names)
    if found is None:
        return neutral if given is None else int(given)
    name, value = found
    if given is not None and value != given:
        raise MismatchError(
            f"the {type(calculator).__name__} has {name}={value}, and the engine was given {what}={given}",
            expected="one of them, or equal numbers",
            hint=f"set {name}={given} in the calculator",
        )
    return value


def stated(calculator: Any, parameters: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, int] | None:
    """Name and value of the first of some parameters, or attributes, that a calculator has."""
    attributes = {name: getattr(calculator, name, None) for name in names}
    for name, value in (*parameters.items(), *attributes.items()):
        if name.lower() in names and isinstance(value, int | float | np.number) and not isinstance(value, bool):
            return name, round(float(value))
    return None


def level_of(calculator: Any, parameters: Mapping[str, Any]) -> str:
    """Class of a calculator with its method and the parameters that are not the defaults of the class; else all."""
    kind = type(calculator).__name__
    defaults = getattr(calculator, "default_parameters", None) or {}
    known = {
        name: as_text(value)
        for name, value in sorted(parameters.items())
        if value is not None and name.lower() not in (*SILENT, *CHARGE, *MULTIPLICITY)
    }
    if not known:
        raise InputError(
            f"a {kind} does not tell its level of theory, which decides the labels",
            hint='name it: AseEngine(calculator, theory="method/basis, or the network with its version")',
        )
    chosen = [
        name
        for name in known
        if name.lower() in _METHOD or name not in defaults or known[name] != as_text(defaults[name])
    ]
    return f"{kind} " + ", ".join(f"{name}={known[name]}" for name in chosen or known)


def parameter_text(parameters: Mapping[str, Any]) -> str:
    named = sorted((name, as_text(value)) for name, value in parameters.items() if name.lower() not in SILENT)
    return ", ".join(f"{name}={text}" for name, text in named)


def as_text(value: Any) -> str:
    """A value in one spelling that does not change from run to run; a long one as the start of its hash."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=_plain)
    return text if len(text) <= _LONG else f"#{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else type(value).__name__
