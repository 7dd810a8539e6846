"""Tables of functions of one coordinate for OpenMM's interpolation, with their errors."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.forms.form import FunctionalForm
from openmm_hybrid.forms.saturate import MARGIN

ENERGY_TARGET, SLOPE_TARGET = 1e-6, 5e-5
"""Errors in kcal/mol and kcal/mol/Å (or /rad) below which a table is fine enough; our choice."""
ENERGY_LIMIT, SLOPE_LIMIT = 1e-5, 1e-3
"""Errors above which we refuse the finest table; our choice."""

_FIRST, _LAST = 257, 8193  # knots of the coarsest and the finest table
_BEYOND = 8.0  # margins beyond which a saturated coordinate is constant: tanh'(8) < 1e-6
_AROUND = 0.3  # rad beyond the range of angles, over which the effect of the spline's free ends decays


@dataclass(frozen=True, eq=False)
class Table:
    """Natural cubic splines of the functions of one group.

    Parameters
    ----------
    knots : (n_knots,), Å or rad
    values : (n_rows, n_knots), kcal/mol
    energy_error, slope_error : float
        Largest deviations from the form, at and between the knots, kcal/mol and kcal/mol/Å or kcal/mol/rad.
    """

    knots: NDArray[np.float64]
    values: NDArray[np.float64]
    energy_error: float
    slope_error: float

    @property
    def fine(self) -> bool:
        """Whether its errors are below the targets."""
        return self.energy_error <= ENERGY_TARGET and self.slope_error <= SLOPE_TARGET

    @property
    def usable(self) -> bool:
        """Whether its errors are below the limits."""
        return self.energy_error <= ENERGY_LIMIT and self.slope_error <= SLOPE_LIMIT


def can_tabulate(form: FunctionalForm) -> bool:
    """Whether a form is a function of one coordinate with a range: an angle, a dihedral, or a saturated distance."""
    return len(form.coordinates) == 1 and (form.coordinates[0].kind != "distance" or bool(form.ranges))


def tabulate(form: FunctionalForm, rows: NDArray[np.float64], group: str = "") -> Table:
    """Table of a form's functions, with twice the knots until it is fine enough.

    Parameters
    ----------
    form : FunctionalForm
    rows : (n_rows, n_columns)
        Parameters of the functions.
    group : str
        Name of the group of terms, for messages.

    Raises
    ------
    NumericalError
        The finest table has errors above the limits.
    """
    first, last = _ends(form, rows)
    n_knots = _FIRST
    table = _table(form, rows, np.linspace(first, last, n_knots))
    while not table.fine and n_knots < _LAST:
        n_knots = 2 * n_knots - 1
        table = _table(form, rows, np.linspace(first, last, n_knots))
    if not table.usable:
        raise NumericalError(
            f"{group or form.name} cannot be tabulated: {len(table.knots)} knots leave errors of "
            f"{table.energy_error:.1e} kcal/mol and {table.slope_error:.1e} kcal/mol/Å or rad",
            expected=f"at most {ENERGY_LIMIT:.0e} and {SLOPE_LIMIT:.0e}",
            hint="fit with a stronger penalty on the weights, or use the backend torchforce or pythonforce",
        )
    return table


def _ends(form: FunctionalForm, rows: NDArray[np.float64]) -> tuple[float, float]:
    """Positions of the first and last knots."""
    kind = form.coordinates[0].kind
    if kind == "angle":
        return -_AROUND, pi + _AROUND
    if kind == "dihedral":
        return -pi - _AROUND, pi + _AROUND
    ((first, last, _),) = form.ranges
    lower, upper = rows[:, first], rows[:, last]
    beyond = _BEYOND * MARGIN * (upper - lower)
    return float((lower - beyond).min()), float((upper + beyond).max())


def _table(form: FunctionalForm, rows: NDArray[np.float64], knots: NDArray[np.float64]) -> Table:
    values, _ = _evaluate(form, rows, knots)
    spline = CubicSpline(knots, values, axis=1, bc_type="natural")  # OpenMM's interpolation
    step = knots[1] - knots[0]
    probes = np.concatenate([knots[:-1] + part * step for part in (0.0, 0.25, 0.5, 0.75)])
    if form.coordinates[0].kind == "distance":
        away = np.array([knots[0] - 1.0, knots[0], knots[-1], knots[-1] + 1.0, knots[-1] + 100.0])
        probes = np.concatenate([probes, away])
    else:
        probes = probes[(probes >= knots[0] + _AROUND) & (probes <= knots[-1] - _AROUND)]
    energies, slopes = _evaluate(form, rows, probes)
    inside = np.clip(probes, knots[0], knots[-1])
    moving = (probes > knots[0]) & (probes < knots[-1])
    return Table(
        knots=knots,
        values=values,
        energy_error=float(np.abs(spline(inside) - energies).max()),
        slope_error=float(np.abs(np.where(moving, spline(inside, 1), 0.0) - slopes).max()),
    )


def _evaluate(
    form: FunctionalForm, rows: NDArray[np.float64], q: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies and slopes (n_rows, n_q) of every function at q (n_q,)."""
    with torch.inference_mode():
        values = torch.tensor(q)[:, None, None].expand(-1, len(rows), 1)
        energies, slopes = form(values, torch.tensor(rows))
    return energies.numpy().T, slopes[:, :, 0].numpy().T
