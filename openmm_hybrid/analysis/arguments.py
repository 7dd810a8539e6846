"""Arguments of the analyses: plain numbers in internal units from numbers and from Quantities, with their bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import strip

_LARGEST = 2.0 * np.pi + 1e-6  # largest dihedral in rad, from any convention


def array(values: Any, kind: str) -> NDArray[np.float64]:
    """Numbers in internal units, from numbers in these units or from Quantities; for `kind` see `strip`."""
    return np.asarray(strip(values, kind), dtype=np.float64)


def radians(dihedrals: Any) -> NDArray[np.float64]:
    """Dihedrals in rad, from numbers in rad or Quantities.

    Raises
    ------
    InputError
        A value beyond ±2π, as in degrees.
    """
    values = array(dihedrals, "angle")
    largest = float(np.abs(values).max(initial=0.0))
    if largest > _LARGEST and np.isfinite(largest):
        raise InputError(
            f"a dihedral of {largest:.4g}", expected="rad, within ±2π", hint="convert degrees with numpy.radians"
        )
    return values


def plain(values: Any, what: str) -> NDArray[np.float64]:
    """Numbers of any kind, which must be no Quantity: its unit would be lost.

    Raises
    ------
    InputError
        A Quantity, or a list of them.
    """
    first = values[0] if isinstance(values, list | tuple) and len(values) else values
    if hasattr(values, "value_in_unit") or hasattr(first, "value_in_unit"):
        raise InputError(f"{what} is a Quantity", expected="plain numbers", hint="call its value_in_unit first")
    return np.asarray(values, dtype=np.float64)
