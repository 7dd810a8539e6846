"""Every group of a force field as one CustomCompoundBondForce: a backend for forms with an expression."""

from __future__ import annotations

from typing import final

import openmm

from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.systems.backends.backend import Backend, BackendState
from openmm_hybrid.systems.backends.native import forcefields
from openmm_hybrid.systems.compound_force import expression_force
from openmm_hybrid.systems.placement import Placement


@final
class CompoundBackend(Backend):
    """Carries force fields of forms that have an expression, without OpenMM's special forces for some of them."""

    @property
    def name(self) -> str:
        return "compound"

    def state(self, *, refresh: bool = False) -> BackendState:
        return BackendState("works", f"openmm {openmm.version.short_version}")

    def takes(self, model: EnergyModel) -> bool:
        return isinstance(model, ForceField) and all(terms.form.expression() for terms in model.terms)

    def forces(self, placement: Placement, *, dtype: str = "float64") -> list[openmm.Force]:
        return [
            expression_force(forcefield, terms, placement)
            for forcefield in forcefields(placement.model)
            for terms in forcefield.terms
        ]
