"""Backend: who turns a placed model into OpenMM forces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import openmm

from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.systems.placement import Placement


@dataclass(frozen=True)
class BackendState:
    """Whether a backend can be used here.

    Parameters
    ----------
    status : {"works", "missing", "incompatible"}
    detail : str
        Versions, or what went wrong.
    hint : str
        What to install; empty where it works.
    """

    status: Literal["works", "missing", "incompatible"]
    detail: str
    hint: str = ""

    @property
    def works(self) -> bool:
        """Whether the backend can be used."""
        return self.status == "works"


class Backend(ABC):
    """Turns placed models into OpenMM forces. One object without state per kind."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name it is registered under."""

    @abstractmethod
    def state(self, *, refresh: bool = False) -> BackendState:
        """Whether it works here, found out without risk for this process; `refresh` forgets what was found before."""

    @abstractmethod
    def takes(self, model: EnergyModel) -> bool:
        """Whether it can carry this model."""

    @abstractmethod
    def forces(self, placement: Placement, *, dtype: str = "float64") -> list[openmm.Force]:
        """Forces, not yet in a System, with force group and parameters set. `dtype` is what torch computes in."""
