"""Which backend carries which part of a model."""

from __future__ import annotations

from collections.abc import Iterator

from openmm_hybrid.backends import BACKENDS
from openmm_hybrid.backends.base import Backend
from openmm_hybrid.errors import MismatchError, MissingDependencyError
from openmm_hybrid.models.base import EnergyModel
from openmm_hybrid.models.compose import Sum


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
            "; ".join(reasons), mend=" or ".join(dict.fromkeys(state.mend for state in states))
        )
    return working


def plan(model: EnergyModel, backends: list[Backend]) -> list[tuple[Backend, EnergyModel]]:
    """Give every part of a Sum to the first backend that takes it; one backend's parts stay together as one Sum.

    Raises
    ------
    MismatchError
        No backend takes a part.
    """
    shares: dict[int, list[EnergyModel]] = {}
    for part in _parts(model):
        place = next((k for k, backend in enumerate(backends) if backend.takes(part)), None)
        if place is None:
            raise MismatchError(
                f"no backend among {', '.join(backend.name for backend in backends)} takes {type(part).__name__}",
                expected="a model with a TorchScript form for torchforce",
                mend="use the modern stack (PythonForce), or keep this part as OpenMM forces",
            )
        shares.setdefault(place, []).append(part)
    return [(backends[place], parts[0] if len(parts) == 1 else Sum(parts)) for place, parts in sorted(shares.items())]


def _parts(model: EnergyModel) -> Iterator[EnergyModel]:
    if isinstance(model, Sum):
        for part in model.parts:
            yield from _parts(part)
    else:
        yield model
