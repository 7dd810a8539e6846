"""Parameters that several force fields share by equal names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isclose
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.forcefield import ForceField, Parameters
from openmm_hybrid.forms.form import Column

_UNUSED = Column("unused", "1", fitted=False)
_CLOSE, _TINY = 1e-9, 1e-12  # relative and absolute difference of equal values, which may be quotients with rounding
_CHARGES = ("e", "e²")  # units of parameters that belong to a molecule and have its name in theirs


@final
@dataclass(frozen=True, eq=False)
class SharedParameters:
    """Force fields that are fitted together, with one list of parameters.

    Parameters
    ----------
    forcefields : tuple of ForceField
    parameters : Parameters
        Parameters of all force fields, without repeated names.
    indices : tuple of (n,)
        Index in `parameters` of each parameter of each force field.
    """

    forcefields: tuple[ForceField, ...]
    parameters: Parameters
    indices: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, forcefields: Sequence[ForceField]) -> SharedParameters:
        """Merge the parameters of force fields.

        Raises
        ------
        InputError
            There is no force field.
        MismatchError
            A name has two units, or two values that differ by more than rounding.
        """
        if not forcefields:
            raise InputError("there is no force field to fit", expected="one or more")
        found: dict[str, int] = {}
        lists = [forcefield.parameters for forcefield in forcefields]
        for parameters in lists:
            for name in parameters.names:
                found.setdefault(name, len(found))
        indices = tuple(np.array([found[name] for name in part.names], dtype=np.int64) for part in lists)
        merged = _merged(tuple(found), lists, indices)
        for forcefield, part, positions in zip(forcefields, lists, indices, strict=True):
            for number, index in enumerate(positions.tolist()):
                equal = isclose(part.values[number], merged.values[index], rel_tol=_CLOSE, abs_tol=_TINY)
                if part.units[number] != merged.units[index] or not equal:
                    raise MismatchError(
                        f"{part.names[number]} is {part.values[number]:.9g} {part.units[number]} in "
                        f"{forcefield.name!r} and {merged.values[index]:.9g} {merged.units[index]} in another one",
                        expected="equal values, since a fit makes one parameter of equal names",
                        hint="give each molecule a name of its own, as in ForceField.from_system(…, name='ethanol')"
                        if part.units[number] in _CHARGES
                        else "use the same types and the same version of GAFF, or rename the types",
                    )
        return cls(tuple(forcefields), merged, indices)

    def with_values(self, values: NDArray[np.float64]) -> SharedParameters:
        """The same force fields with other values (n_parameters,) of the common list."""
        changed = tuple(
            forcefield.with_values(values[indices])
            for forcefield, indices in zip(self.forcefields, self.indices, strict=True)
        )
        return replace(self, forcefields=changed, parameters=self.parameters.with_values(values))

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Column of each parameter (n_parameters,); parameters without terms have one that is not fitted."""
        found = [_UNUSED] * len(self.parameters)
        for forcefield, indices in zip(self.forcefields, self.indices, strict=True):
            for terms in forcefield.terms:
                for number, column in enumerate(terms.form.columns):
                    for index in np.unique(indices[terms.assignment[:, number]]).tolist():
                        found[index] = column
        return tuple(found)

    def restraints(self) -> NDArray[np.float64]:
        """1/width² of each parameter (n_parameters,); 0 for parameters without a width (see `Column`)."""
        widths = np.array([column.width for column in self.columns])
        relative = np.array([column.relative for column in self.columns])
        widths = np.where(relative, widths * self.parameters.values, widths)
        return np.where(widths != 0.0, 1.0 / np.where(widths != 0.0, widths, 1.0) ** 2, 0.0)

    def charge_rows(self) -> NDArray[np.float64]:
        """Derivatives (n_forcefields, n_parameters) of each molecule's total charge."""
        rows = np.zeros((len(self.forcefields), len(self.parameters)))
        for row, forcefield, indices in zip(rows, self.forcefields, self.indices, strict=True):
            row[indices] = forcefield.tables.charge_sum()
        return rows


def _merged(names: tuple[str, ...], lists: Sequence[Parameters], indices: Sequence[NDArray[np.int64]]) -> Parameters:
    """One list. A repeated parameter has the values of the last list, and is fitted if all lists allow it."""
    size = len(names)
    units = [""] * size
    values, lower, upper, fitted = np.zeros(size), np.zeros(size), np.zeros(size), np.ones(size, dtype=bool)
    for part, positions in zip(lists, indices, strict=True):
        values[positions], lower[positions], upper[positions] = part.values, part.lower, part.upper
        fitted[positions] &= part.fitted
        for number, index in enumerate(positions.tolist()):
            units[index] = part.units[number]
    return Parameters(names, tuple(units), values, lower, upper, fitted)
