"""Which backend carries which part of a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeGuard

from openmm_hybrid.core.errors import MismatchError, MissingDependencyError
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.systems.backends import BACKENDS
from openmm_hybrid.systems.backends.backend import Backend

#: Backends that work everywhere; with these alone, whoever carries other models is missing.
_OPENMM_ALONE = frozenset({"native", "spline"})


def choose(name: str = "auto") -> list[Backend]:
    """The backends to use, best first: those that work here for "auto", else the one called `name`.

    Raises
    ------
    MissingDependencyError
        The backend called `name` does not work here, or none does; the message says what to install.
    InputError
        Unknown name.
    """
    names = BACKENDS.names() if name == "auto" else (name,)
    backends: list[Backend] = [BACKENDS.load(each)() for each in names]
    states = [backend.state() for backend in backends]
    working = [backend for backend, state in zip(backends, states, strict=True) if state.works]
    if not working:
        reasons = [f"{each} is {state.status} ({state.detail})" for each, state in zip(names, states, strict=True)]
        raise MissingDependencyError(
            "; ".join(reasons), hint=" or ".join(dict.fromkeys(state.hint for state in states))
        )
    return working


def plan(model: EnergyModel, backends: list[Backend]) -> list[tuple[Backend, EnergyModel]]:
    """Give every part of a Sum, and every group of a ForceField, to the first backend that takes it.

    One backend's groups of a ForceField stay together as one ForceField, its parts as one Sum.

    Raises
    ------
    MismatchError
        No backend takes a part.
    MissingDependencyError
        None of these does, and those that would do not work here; the message says what to install.
    """
    shares: dict[int, list[EnergyModel]] = {}
    for part in _parts(model):
        for place, whole in _carriers(part, backends).items():
            shares.setdefault(place, []).append(whole)
    return [(backends[place], parts[0] if len(parts) == 1 else Sum(parts)) for place, parts in sorted(shares.items())]


def _parts(model: EnergyModel) -> Iterator[EnergyModel]:
    if isinstance(model, Sum):
        for part in model.parts:
            yield from _parts(part)
    else:
        yield model


def _carriers(part: EnergyModel, backends: list[Backend]) -> dict[int, EnergyModel]:
    """A part, or the groups of a force field, by the place of the backend that carries it."""
    if not _is_forcefield(part):
        return {_carrier(part, backends, type(part).__name__): part}
    groups: dict[int, list[str]] = {}
    for name in part.groups:
        groups.setdefault(_carrier(part.only(name), backends, f"the group {name!r}"), []).append(name)
    return {place: part.only(*names) for place, names in groups.items()}


def _is_forcefield(model: EnergyModel) -> TypeGuard[ForceField]:
    return isinstance(model, ForceField) and len(model.groups) > 0


def _carrier(part: EnergyModel, backends: list[Backend], what: str) -> int:
    place = next((k for k, backend in enumerate(backends) if backend.takes(part)), None)
    if place is not None:
        return place
    names = [backend.name for backend in backends]
    problem = f"no backend among {', '.join(names)} takes {what}"
    others: list[Backend] = [BACKENDS.load(name)() for name in BACKENDS.names() if name not in names]
    states = {other.name: other.state() for other in others if other.takes(part)}
    missing = {name: state for name, state in states.items() if not state.works}
    if missing and len(missing) == len(states) and _OPENMM_ALONE.issuperset(names):
        reasons = [f"{name} would and is {state.status} ({state.detail})" for name, state in missing.items()]
        mends = dict.fromkeys(state.hint for state in missing.values())
        raise MissingDependencyError("; ".join([problem, *reasons]), hint=" or ".join(mends))
    able = [repr(name) for name, state in states.items() if state.works]
    raise MismatchError(
        problem,
        expected="a model with a TorchScript form, or a force field of bonded terms",
        hint=f"use backend={' or '.join(able)}, or 'auto'" if able else "keep this part as OpenMM forces",
    )
