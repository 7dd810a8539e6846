"""Backend of analytic forms: OpenMM's own bonded forces."""

from __future__ import annotations

from typing import final

import openmm

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.systems.backends.backend import Backend, BackendState
from openmm_hybrid.systems.compound_force import expression_force
from openmm_hybrid.systems.force_kinds import classical_rows, is_bonded, new_force
from openmm_hybrid.systems.placement import Placement


@final
class NativeBackend(Backend):
    """Carrier of force fields whose forms have expressions, in OpenMM's own forces.

    Classical bonds, angles and torsions become HarmonicBondForce, HarmonicAngleForce, PeriodicTorsionForce and
    CustomBondForce (Morse). Every other group becomes one CustomCompoundBondForce. With a scale, all groups do.
    """

    @property
    def name(self) -> str:
        """See `Backend.name`."""
        return "native"

    def state(self, *, refresh: bool = False) -> BackendState:
        """See `Backend.state`: always works."""
        return BackendState("works", f"openmm {openmm.version.short_version}")

    def takes(self, model: EnergyModel) -> bool:
        """See `Backend.takes`."""
        return isinstance(model, ForceField) and all(bool(terms.form.expression()) for terms in model.terms)

    def forces(self, placement: Placement, *, dtype: str = "float64") -> list[openmm.Force]:
        """See `Backend.forces`. OpenMM's platform sets the precision, not `dtype`."""
        made = []
        for model in forcefields(placement.model):
            if not placement.scale:
                made += _classical_forces(model, placement)
            for terms in model.terms:
                if placement.scale or not is_bonded(terms.form):
                    made.append(expression_force(model, terms, placement))
        return made


def forcefields(model: EnergyModel) -> list[ForceField]:
    """A force field, or those of a Sum that `plan` made.

    Raises
    ------
    MismatchError
        Another kind of model.
    """
    if isinstance(model, Sum):
        return [each for part in model.parts for each in forcefields(part)]
    if isinstance(model, ForceField):
        return [model]
    raise MismatchError(f"{type(model).__name__} cannot be written in OpenMM's own forces", expected="a ForceField")


def _classical_forces(forcefield: ForceField, placement: Placement) -> list[openmm.Force]:
    made = []
    for kind, rows in classical_rows(forcefield, placement.atoms).items():
        if rows:
            force = kind.fill(new_force(kind), rows)
            force.setUsesPeriodicBoundaryConditions(placement.periodic)
            force.setForceGroup(placement.force_group)
            made.append(force)
    return made
