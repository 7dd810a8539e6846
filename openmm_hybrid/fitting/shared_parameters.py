"""Several force fields with one list of parameters: equal names are one parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.forcefield import ForceField, Parameters
from openmm_hybrid.forms.form import Column

_UNUSED = Column("unused", "1", fitted=False)


@final
@dataclass(frozen=True, eq=False)
class SharedParameters:
    """Force fields that are fitted together.

    Parameters
    ----------
    forcefields : tuple of ForceField
    parameters : Parameters
        Of all of them, each name once.
    places : tuple of (n_own_parameters,)
        Where the parameters of each force field stand in that list.
    """

    forcefields: tuple[ForceField, ...]
    parameters: Parameters
    places: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, forcefields: Sequence[ForceField]) -> SharedParameters:
        """Put the lists together.

        Raises
        ------
        InputError
            No force fields.
        MismatchError
            One name stands for two values or units.
        """
        if not forcefields:
            raise InputError("there is no force field to fit", expected="one or more")
        found: dict[str, int] = {}
        lists = [forcefield.parameters for forcefield in forcefields]
        for parameters in lists:
            for name in parameters.names:
                found.setdefault(name, len(found))
        places = tuple(np.array([found[name] for name in own.names], dtype=np.int64) for own in lists)
        joined = _merged(tuple(found), lists, places)
        for forcefield, own in zip(forcefields, places, strict=True):
            mine = forcefield.parameters
            for number, place in enumerate(own.tolist()):
                if mine.units[number] != joined.units[place] or mine.values[number] != joined.values[place]:
                    raise MismatchError(
                        f"{mine.names[number]} is {mine.values[number]:.9g} {mine.units[number]} in "
                        f"{forcefield.name!r} and {joined.values[place]:.9g} {joined.units[place]} in another one",
                        expected="equal values, as a fit makes one parameter of equal names",
                        hint="give the force fields the same types and the same GAFF, or other names of types",
                    )
        return cls(tuple(forcefields), joined, places)

    def with_values(self, values: NDArray[np.float64]) -> SharedParameters:
        """The same force fields with other values (n_parameters,) of the common list."""
        chosen = tuple(
            forcefield.with_values(values[own]) for forcefield, own in zip(self.forcefields, self.places, strict=True)
        )
        return replace(self, forcefields=chosen, parameters=self.parameters.with_values(values))

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Column of a form for each parameter (n_parameters,). One without terms is not fitted."""
        found = [_UNUSED] * len(self.parameters)
        for forcefield, indices in zip(self.forcefields, self.places, strict=True):
            for terms in forcefield.terms:
                for number, column in enumerate(terms.form.columns):
                    for index in np.unique(indices[terms.assignment[:, number]]).tolist():
                        found[index] = column
        return tuple(found)

    def restraints(self) -> NDArray[np.float64]:
        """1/width² of every parameter (n_parameters,); 0 for those that have no width (see `Column`)."""
        widths = np.array([column.width for column in self.columns])
        relative = np.array([column.relative for column in self.columns])
        widths = np.where(relative, widths * self.parameters.values, widths)
        return np.where(widths != 0.0, 1.0 / np.where(widths != 0.0, widths, 1.0) ** 2, 0.0)

    def charge_rows(self) -> NDArray[np.float64]:
        """Derivatives (n_forcefields, n_parameters) of each molecule's total charge."""
        rows = np.zeros((len(self.forcefields), len(self.parameters)))
        for row, forcefield, own in zip(rows, self.forcefields, self.places, strict=True):
            row[own] = forcefield.tables.charge_sum()
        return rows


def _merged(names: tuple[str, ...], lists: Sequence[Parameters], places: Sequence[NDArray[np.int64]]) -> Parameters:
    """One list; what stands in several lists is taken from the last one, and may be fitted if it may be in all."""
    size = len(names)
    units = [""] * size
    values, lower, upper, fitted = np.zeros(size), np.zeros(size), np.zeros(size), np.ones(size, dtype=bool)
    for own, place in zip(lists, places, strict=True):
        values[place], lower[place], upper[place] = own.values, own.lower, own.upper
        fitted[place] &= own.fitted
        for number, at in enumerate(place.tolist()):
            units[at] = own.units[number]
    return Parameters(names, tuple(units), values, lower, upper, fitted)
