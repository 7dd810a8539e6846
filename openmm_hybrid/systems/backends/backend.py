"""Backend: the contract of whatever turns a located model into OpenMM forces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import openmm

from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.systems.placement import Placement


@dataclass(frozen=True)
class BackendState:
    """Whether a backend can be used on this machine.

    Parameters
    ----------
    status : {"works", "missing", "incompatible"}
    detail : str
        Versions, or the reason why it does not work.
    hint : str
        What to install; empty if it works.
    """

    status: Literal["works", "missing", "incompatible"]
    detail: str
    hint: str = ""

    @property
    def works(self) -> bool:
        """Whether the backend can be used."""
        return self.status == "works"


class Backend(ABC):
    """Turns located models into OpenMM forces.

    A subclass has no state and takes no arguments. It overrides the facts below that differ for it; the rest of the
    package uses these facts and never the name of a backend. `openmm_hybrid.testing.backend.BackendSuite` tests a
    subclass.
    """

    needs_torch: ClassVar[bool] = False
    """Whether torch evaluates the model; otherwise the backend needs OpenMM alone and works everywhere."""

    exact: ClassVar[bool] = True
    """Whether the forces are the model's own functions; False for approximations such as tables."""

    parameter_derivatives: ClassVar[bool] = True
    """Whether OpenMM can differentiate the energy with respect to the scale."""

    holds_code: ClassVar[bool] = False
    """Whether the force contains the model as a program. `save_system` leaves such a force out of the System's XML,
    and `load_system` makes it again from the model."""

    holds_pickle: ClassVar[bool] = False
    """Whether XML of the force contains a pickle, which runs code when it is read: `read_xml` refuses such a file."""

    force_type: ClassVar[str] = ""
    """Name of the OpenMM force class that this backend alone makes; empty if it makes OpenMM's ordinary forces. A
    backend that holds code has one."""

    not_beside: ClassVar[tuple[str, ...]] = ()
    """Names of OpenMM force classes that must not be in the same System as the forces of this backend."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name under which the backend is registered."""

    @abstractmethod
    def state(self, *, refresh: bool = False) -> BackendState:
        """Whether the backend works here. Never raises, and never endangers this process.

        Parameters
        ----------
        refresh : bool
            Ignore remembered outcomes and try again.
        """

    @abstractmethod
    def takes(self, model: EnergyModel) -> bool:
        """Whether this backend can carry the model; the answer does not depend on `state`."""

    @abstractmethod
    def forces(self, placement: Placement, *, dtype: str = "float64") -> list[openmm.Force]:
        """Forces of a located model, not yet in a System, with force group and scale set.

        Parameters
        ----------
        placement : Placement
            Its model is one that the backend takes, or a `Sum` of several.
        dtype : {"float64", "float32"}
            Precision of torch; a backend without torch ignores it.
        """

    def prepare(self) -> None:
        """Make this process ready to read one of the backend's forces from XML; most backends need nothing.

        Raises
        ------
        ImportError
            A package of the backend is not installed.
        """
        return

    def made(self, force: openmm.Force) -> bool:
        """Whether a force in a System is of this backend's `force_type`."""
        return bool(self.force_type) and type(force).__name__ == self.force_type
