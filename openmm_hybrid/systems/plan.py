"""The plan of an attachment: the backend of each part of a model."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeGuard

import openmm

from openmm_hybrid.core.errors import MismatchError, MissingDependencyError
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.systems.backends import BACKENDS
from openmm_hybrid.systems.backends.backend import Backend


def known_backends() -> list[Backend]:
    """Every registered backend, whether it works here or not, in the order in which "auto" tries them."""
    return [BACKENDS.load(name)() for name in BACKENDS.names()]


def choose(name: str = "auto") -> list[Backend]:
    """The backends to use, best first: all that work here for "auto", otherwise the one with this name.

    Raises
    ------
    MissingDependencyError
        The named backend does not work here, or none does; the message says what to install.
    InputError
        Unknown name.
    """
    candidates = known_backends() if name == "auto" else [BACKENDS.load(name)()]
    states = [backend.state() for backend in candidates]
    working = [backend for backend, state in zip(candidates, states, strict=True) if state.works]
    if not working:
        reasons = [
            f"{backend.name} is {state.status} ({state.detail})"
            for backend, state in zip(candidates, states, strict=True)
        ]
        raise MissingDependencyError(
            "; ".join(reasons), hint=" or ".join(dict.fromkeys(state.hint for state in states))
        )
    return working


def choose_for_terms(name: str = "auto") -> list[Backend]:
    """The backends to use for the groups of a force field, best first.

    The exact backends that need OpenMM alone come first, since a term with an expression never needs torch or a table.
    The named backend is next, then the remaining backends that need OpenMM alone.

    Raises
    ------
    MissingDependencyError, InputError
        As `choose`.
    """
    named = choose(name)
    if name == "auto":
        return named
    alone = [backend for backend in known_backends() if not backend.needs_torch and backend.state().works]
    ranked = [*(backend for backend in alone if backend.exact), *named, *alone]
    return list({backend.name: backend for backend in ranked}.values())


def plan(
    model: EnergyModel, backends: list[Backend], system: openmm.System | None = None
) -> list[tuple[Backend, EnergyModel]]:
    """Give each part of a Sum, and each group of a ForceField, to the first backend that takes it.

    Groups of one ForceField with the same backend stay together as one ForceField, parts as one Sum. Backends whose
    forces must not be in one System (`Backend.not_beside`) are never used together: the parts of the earlier one go to
    the others.

    Parameters
    ----------
    model : EnergyModel
    backends : list of Backend
        Backends to use, best first.
    system : openmm.System, optional
        The System that gets the forces; backends that its forces rule out are not used.

    Raises
    ------
    MismatchError
        No backend takes a part, or the only ones that do are ruled out by a force of the System.
    MissingDependencyError
        None of these backends takes a part, and those that would do not work here; the message says what to install.
    """
    forces = [] if system is None else system.getForces()
    ruled_out = {backend.name: force for backend in backends if (force := _excluding(backend, forces)) is not None}
    shares: dict[int, list[EnergyModel]] = {}
    for part in _parts(model):
        for rank, share in _split(part, backends, ruled_out).items():
            shares.setdefault(rank, []).append(share)
    for first, second in itertools.combinations(sorted(shares), 2):
        if _exclude_each_other(backends[first], backends[second]):
            return plan(model, [backend for backend in backends if backend is not backends[first]], system)
    return [(backends[rank], parts[0] if len(parts) == 1 else Sum(parts)) for rank, parts in sorted(shares.items())]


def _exclude_each_other(first: Backend, second: Backend) -> bool:
    return first.force_type in second.not_beside or second.force_type in first.not_beside


def _excluding(backend: Backend, forces: Iterable[openmm.Force]) -> openmm.Force | None:
    """The first of a System's forces that rules out a backend."""
    others = [other for other in known_backends() if _exclude_each_other(backend, other)]
    return next((force for force in forces if any(other.made(force) for other in others)), None)


def _parts(model: EnergyModel) -> Iterator[EnergyModel]:
    if isinstance(model, Sum):
        for part in model.parts:
            yield from _parts(part)
    else:
        yield model


def _split(part: EnergyModel, backends: list[Backend], ruled_out: dict[str, openmm.Force]) -> dict[int, EnergyModel]:
    """Index of a backend → the part itself, or the groups of a force field, that this backend carries."""
    if not _is_forcefield(part):
        return {_first_taker(part, backends, ruled_out, type(part).__name__): part}
    groups: dict[int, list[str]] = {}
    for name in part.groups:
        groups.setdefault(_first_taker(part.only(name), backends, ruled_out, f"the group {name!r}"), []).append(name)
    return {rank: part.only(*names) for rank, names in groups.items()}


def _is_forcefield(model: EnergyModel) -> TypeGuard[ForceField]:
    return isinstance(model, ForceField) and len(model.groups) > 0


def _first_taker(
    part: EnergyModel, backends: list[Backend], ruled_out: dict[str, openmm.Force], description: str
) -> int:
    """Index of the first backend that takes a part; only an exact one replaces a backend that is ruled out."""
    blocked: Backend | None = None
    for rank, backend in enumerate(backends):
        if (blocked is None or backend.exact) and backend.takes(part):
            if backend.name not in ruled_out:
                return rank
            blocked = blocked or backend
    if blocked is not None:
        raise _both_kinds(blocked, ruled_out[blocked.name], part)
    names = [backend.name for backend in backends]
    problem = f"no backend among {', '.join(names)} takes {description}"
    takers = [other for other in known_backends() if other.name not in names and other.takes(part)]
    states = {taker.name: taker.state() for taker in takers}
    missing = {name: state for name, state in states.items() if not state.works}
    # Without torch nothing carries learned terms, so what is missing is a package and not another model.
    if missing and len(missing) == len(states) and not any(backend.needs_torch for backend in backends):
        reasons = [f"{name} would and is {state.status} ({state.detail})" for name, state in missing.items()]
        hints = dict.fromkeys(state.hint for state in missing.values())
        raise MissingDependencyError("; ".join([problem, *reasons]), hint=" or ".join(hints))
    able = [repr(name) for name, state in states.items() if state.works]
    raise MismatchError(
        problem,
        expected="a model with a TorchScript form, or a force field of bonded terms",
        hint=f"use backend={' or '.join(able)}, or 'auto'" if able else "keep this part as OpenMM forces",
    )


def _both_kinds(backend: Backend, force: openmm.Force, part: EnergyModel) -> MismatchError:
    """The error for a part whose only backends are ruled out by a force of the System."""
    owner = next(other for other in known_backends() if _exclude_each_other(backend, other) and other.made(force))
    common = (
        f"attach this model with backend={owner.name!r} too"
        if owner.takes(part)
        else f"attach the other models with backend={backend.name!r} too"
    )
    return MismatchError(
        f"the System has a {owner.force_type} ({force.getName()!r}), and the backend {backend.name} adds a "
        f"{backend.force_type}",
        expected="only one of these kinds in a System, because OpenMM cannot run both together on every platform",
        hint=f"{common}, or attach all of them as one oh.Sum",
    )
