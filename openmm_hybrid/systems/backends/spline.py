"""Backend of tabulated forms: neural and spline terms as tables in OpenMM's own forces, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.core.units import KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.terms import Terms
from openmm_hybrid.forms.form import FunctionalForm
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.systems import compound_force as compound
from openmm_hybrid.systems.backends.backend import Backend, BackendState
from openmm_hybrid.systems.backends.native import forcefields
from openmm_hybrid.systems.placement import Placement
from openmm_hybrid.systems.tabulate import Table, can_tabulate, tabulate


@final
@dataclass(frozen=True)
class TableError:
    """Errors of a group's table.

    Parameters
    ----------
    group : str
    coordinate : {"distance", "angle", "dihedral"}
    n_functions : int
        Number of functions, one for each type of term.
    n_knots : int
        Knots of each function.
    first, last : float
        Ends of the table, Å or rad.
    energy_error : float
        Largest error of a term's energy at and between the knots, over all values of the coordinate, kcal/mol.
    slope_error : float
        Largest error of its derivative, kcal/mol/Å or kcal/mol/rad.
    """

    group: str
    coordinate: str
    n_functions: int
    n_knots: int
    first: float
    last: float
    energy_error: float
    slope_error: float


def table_errors(forcefield: ForceField) -> tuple[TableError, ...]:
    """Errors of the tables into which the spline backend compiles a force field's neural and spline groups.

    Parameters
    ----------
    forcefield : ForceField

    Returns
    -------
    tuple of TableError
        Errors of each tabulated group. The error of a molecule's energy is at most their sum over its terms.

    Raises
    ------
    NumericalError
        A group has no table within the limits; `attach` and `replace` refuse it too.
    """
    return tuple(
        _table_error(terms, _rows(forcefield, terms)[0].shape[0], _table(forcefield, terms))
        for terms in forcefield.terms
        if _tabulated(terms.form)
    )


@final
class SplineBackend(Backend):
    """Carrier of force fields whose terms become tables, in one CustomCompoundBondForce per group.

    The table is a Continuous2DFunction of the coordinate and the index of the term's function. Its second argument is
    always a whole number, where OpenMM's bicubic patches equal the natural cubic spline along the first argument.
    """

    exact = False

    @property
    def name(self) -> str:
        """See `Backend.name`."""
        return "spline"

    def state(self, *, refresh: bool = False) -> BackendState:
        """See `Backend.state`: always works."""
        return BackendState("works", f"openmm {openmm.version.short_version}")

    def takes(self, model: EnergyModel) -> bool:
        """See `Backend.takes`."""
        return isinstance(model, ForceField) and all(_tabulated(terms.form) for terms in model.terms)

    def forces(self, placement: Placement, *, dtype: str = "float64") -> list[openmm.Force]:
        """See `Backend.forces`. OpenMM's platform sets the precision, not `dtype`."""
        return [_force(model, terms, placement) for model in forcefields(placement.model) for terms in model.terms]


def _tabulated(form: FunctionalForm) -> bool:
    return "pairs" not in form.slots and not form.expression() and can_tabulate(form)


def _rows(forcefield: ForceField, terms: Terms) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Parameters (n_functions, n_columns) of the functions, and the index of each term's function (n_terms,)."""
    indices, which = np.unique(terms.assignment, axis=0, return_inverse=True)
    return forcefield.parameters.values[indices], which.reshape(-1)


def _table(forcefield: ForceField, terms: Terms) -> Table:
    return tabulate(terms.form, _rows(forcefield, terms)[0], terms.group)


def _force(forcefield: ForceField, terms: Terms, placement: Placement) -> openmm.Force:
    table = _table(forcefield, terms)
    _, which = _rows(forcefield, terms)
    coordinate = terms.form.coordinates[0]
    per = NM_PER_ANGSTROM if coordinate.kind == "distance" else 1.0
    first, last = per * float(table.knots[0]), per * float(table.knots[-1])
    q = compound.function(coordinate)
    if coordinate.kind == "distance":
        q = f"min(max({q},{first!r}),{last!r})"  # beyond, the function is constant; OpenMM's table would be zero
    force = compound.force(terms, placement, f"table({q},row)", ["row"], which)
    # With one more row than functions, every row begins a patch, where the other rows have zero weight.
    values = np.vstack([table.values, table.values[-1:]]) * KJ_PER_KCAL
    n_rows, n_knots = values.shape
    function = openmm.Continuous2DFunction(n_knots, n_rows, values.ravel(), first, last, 0.0, float(n_rows - 1))
    force.addTabulatedFunction("table", function)
    return force


def _table_error(terms: Terms, n_functions: int, table: Table) -> TableError:
    return TableError(
        group=terms.group,
        coordinate=terms.form.coordinates[0].kind,
        n_functions=n_functions,
        n_knots=len(table.knots),
        first=float(table.knots[0]),
        last=float(table.knots[-1]),
        energy_error=table.energy_error,
        slope_error=table.slope_error,
    )
