"""Named parameters of a force field: one flat list, which terms refer to by index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forms.form import Column


@dataclass(frozen=True, eq=False)
class Parameters:
    """Parameters with names, units and bounds. Equal names in two force fields are one parameter in a common fit.

    Parameters
    ----------
    names : tuple of str, (n_parameters,)
        Unique names "group/type/column", such as "bonds/c3-hc/k".
    units : tuple of str, (n_parameters,)
    values : (n_parameters,)
    lower, upper : (n_parameters,)
        Bounds that a fit keeps.
    fitted : (n_parameters,) bool
        Whether a fit may change each parameter.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    fitted: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def empty(cls) -> Parameters:
        """An empty list."""
        nothing = np.zeros(0)
        return cls((), (), nothing, nothing, nothing, nothing.astype(bool))

    def extended(
        self, group: str, labels: Sequence[str], columns: Sequence[Column], values: ArrayLike
    ) -> tuple[Parameters, NDArray[np.int64]]:
        """The list with the parameters of a group added, and their indices (n_labels, n_columns).

        Parameters
        ----------
        group : str
        labels : sequence of str
            Types of terms.
        columns : sequence of Column
        values : (n_labels, n_columns)

        Raises
        ------
        InputError
            A name is repeated.
        """
        rows = np.asarray(values, dtype=np.float64).reshape(len(labels), len(columns))
        names = [f"{group}/{label}/{column.name}" for label in labels for column in columns]
        repeated = set(names) & set(self.names)
        if repeated or len(set(names)) != len(names):
            raise InputError(f"a parameter named {min(repeated or names)!r} already exists")

        def tiled(items: Iterable[float | bool]) -> NDArray[np.float64]:
            return np.tile(np.array(list(items)), len(labels))

        added = Parameters(
            names=(*self.names, *names),
            units=(*self.units, *(column.unit for _ in labels for column in columns)),
            values=np.concatenate([self.values, rows.ravel()]),
            lower=np.concatenate([self.lower, tiled(column.lower for column in columns)]),
            upper=np.concatenate([self.upper, tiled(column.upper for column in columns)]),
            fitted=np.concatenate([self.fitted, tiled(column.fitted for column in columns).astype(bool)]),
        )
        return added, len(self) + np.arange(rows.size).reshape(rows.shape)

    def with_values(self, values: ArrayLike) -> Parameters:
        """The list with other values (n_parameters,).

        Raises
        ------
        InputError
            The shape is another one, or a value is not finite; the message names it.
        """
        array = np.array(values, dtype=np.float64)
        if array.shape != self.values.shape:
            raise InputError(f"values have shape {array.shape}", expected=f"{self.values.shape}")
        finite = np.isfinite(array)
        if not finite.all():
            raise InputError(f"the value of {self.names[int(np.argmin(finite))]} is not finite")
        return replace(self, values=array)

    def matching(self, pattern: str) -> NDArray[np.int64]:
        """Indices of the parameters whose names match a shell pattern such as ``charges/*``.

        The exact name of a parameter stands for this one alone, also where it contains ``[``, ``*`` or ``?``.

        Raises
        ------
        InputError
            No name matches.
        """
        if pattern in self.names:
            return np.array([self.names.index(pattern)], dtype=np.int64)
        found = np.flatnonzero([fnmatchcase(name, pattern) for name in self.names])
        if not len(found):
            groups = ", ".join(dict.fromkeys(name.split("/")[0] for name in self.names))
            raise InputError(
                f"no parameter matches {pattern!r}", expected=f"a pattern such as 'bonds/*'; there are {groups}"
            )
        return found

    def matching_any(self, patterns: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each parameter (n_parameters,) matches one of several patterns.

        Raises
        ------
        InputError
            `patterns` is a single string, or no name matches a pattern.
        """
        if isinstance(patterns, str):
            raise InputError(f"fixed = {patterns!r}", expected="a sequence of patterns", hint=f"write ({patterns!r},)")
        found = np.zeros(len(self), dtype=bool)
        for pattern in patterns:
            found[self.matching(pattern)] = True
        return found

    def kept(self, indices: NDArray[np.int64]) -> Parameters:
        """The list of the parameters at `indices` only, in that order."""
        chosen = indices.tolist()
        return Parameters(
            names=tuple(self.names[k] for k in chosen),
            units=tuple(self.units[k] for k in chosen),
            values=self.values[indices],
            lower=self.lower[indices],
            upper=self.upper[indices],
            fitted=self.fitted[indices],
        )
