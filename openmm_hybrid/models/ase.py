"""EnergyModels as ASE calculators, for ASE's optimisers, dynamics and vibrations."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.units import KCAL_PER_EV
from openmm_hybrid.data.bonds import bonds_from_geometry
from openmm_hybrid.data.identity import Identity
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

    Warns
    -----
    UserWarning
        In the first calculation: the bonds of the atoms are those of the model in another order of atoms.
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
        self._seen = False

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute energy and forces, always both. ASE calls this."""
        super().calculate(atoms, list(properties), list(system_changes))
        positions = _checked(self.model, self.atoms).get_positions()
        if not self._seen:
            self._seen = True
            _warn_of_another_order(self.model, positions)
        energy, forces = self.model.predict(positions)
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


def _warn_of_another_order(model: EnergyModel, positions: NDArray[np.float64]) -> None:
    if model.bonds is None or not np.isfinite(positions).all():
        return
    expected = Identity.of("the model", model.atomic_numbers, model.bonds)
    found = Identity.of("the atoms", model.atomic_numbers, bonds_from_geometry(model.atomic_numbers, positions))
    try:
        order = expected.order_in(found)
    except MismatchError:
        return  # distorted bonds tell nothing
    moved = np.flatnonzero(order != np.arange(len(order)))
    if len(moved):
        warnings.warn(
            f"the bonds of the atoms are those of the model in another order: its atom {moved[0]} is the atom "
            f"{order[moved[0]]} here; give the atoms in the model's order: atoms[{order.tolist()}]",
            stacklevel=3,
        )
