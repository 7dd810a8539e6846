"""EnergyModels as ASE calculators, for ASE's optimisers, dynamics and vibrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.units import KCAL_PER_EV
from openmm_hybrid.models.energy_model import EnergyModel, check_model


def as_ase(model: EnergyModel) -> Calculator:
    """An ASE calculator of a model: energies in eV, forces in eV/Å.

    Parameters
    ----------
    model : EnergyModel
        The atoms must have its order. Bonds and charges are part of the model.

    Raises
    ------
    MismatchError
        The model is no EnergyModel. In a calculation: the atoms are not the model's, or they are periodic.
    InputError
        In a calculation: a coordinate is not finite.
    """
    check_model(model, "the model")
    return EnergyModelCalculator(model)


@final
class EnergyModelCalculator(Calculator):
    """See `as_ase`."""

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012  # as ASE declares it

    def __init__(self, model: EnergyModel) -> None:
        super().__init__()
        self.model = model

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute energy and forces, always both. ASE calls this."""
        super().calculate(atoms, list(properties), list(system_changes))
        energy, forces = self.model.predict(_checked(self.model, self.atoms).get_positions())
        in_ev = float(energy) / KCAL_PER_EV
        self.results: dict[str, Any] = {"energy": in_ev, "free_energy": in_ev, "forces": forces / KCAL_PER_EV}


def _checked(model: EnergyModel, atoms: Atoms | None) -> Atoms:
    if atoms is None:
        raise MismatchError("the calculator has no atoms", hint="set atoms.calc to it, or give it atoms")
    atomic_numbers = atoms.get_atomic_numbers()
    if not np.array_equal(atomic_numbers, model.atomic_numbers):
        raise MismatchError(
            f"the atoms {atoms.get_chemical_formula('reduce')} have the atomic numbers {atomic_numbers.tolist()}",
            expected=f"{model.atomic_numbers.tolist()}, like the model",
            hint="give the model's molecule in its atom order",
        )
    if atoms.pbc.any():
        raise MismatchError(
            "the atoms are periodic", expected="a molecule in vacuum, like the model", hint="set atoms.pbc = False"
        )
    return atoms
