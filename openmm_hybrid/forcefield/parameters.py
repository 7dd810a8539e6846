"""Named parameters of a force field, one flat list that terms point into."""

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
        "group/type/column", such as "bonds/c3-hc/k"; each once.
    units : tuple of str, (n_parameters,)
    values : (n_parameters,)
    lower, upper : (n_parameters,)
        Bounds that a fit keeps.
    fitted : (n_parameters,) bool
        Whether a fit may change them.
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
        """No parameters."""
        nothing = np.zeros(0)
        return cls((), (), nothing, nothing, nothing, nothing.astype(bool))

    def extended(
        self, group: str, labels: Sequence[str], columns: Sequence[Column], values: ArrayLike
    ) -> tuple[Parameters, NDArray[np.int64]]:
        """With rows `values` (n_labels, n_columns) of a group added; also their indices (n_labels, n_columns).

        Raises
        ------
        InputError
            The group has a label already.
        """
        rows = np.asarray(values, dtype=np.float64).reshape(len(labels), len(columns))
        names = [f"{group}/{label}/{column.name}" for label in labels for column in columns]
        repeated = set(names) & set(self.names)
        if repeated or len(set(names)) != len(names):
            raise InputError(f"a parameter named {min(repeated or names)!r} is there already")

        def every(items: Iterable[float | bool]) -> NDArray[np.float64]:
            return np.tile(np.array(list(items)), len(labels))

        added = Parameters(
            names=(*self.names, *names),
            units=(*self.units, *(column.unit for _ in labels for column in columns)),
            values=np.concatenate([self.values, rows.ravel()]),
            lower=np.concatenate([self.lower, every(column.lower for column in columns)]),
            upper=np.concatenate([self.upper, every(column.upper for column in columns)]),
            fitted=np.concatenate([self.fitted, every(column.fitted for column in columns).astype(bool)]),
        )
        return added, len(self) + np.arange(rows.size).reshape(rows.shape)

    def with_values(self, values: ArrayLike) -> Parameters:
        """The same parameters with other values (n_parameters,).

        Raises
        ------
        InputError
            Another shape, or a value that is not finite (named).
        """
        array = np.array(values, dtype=np.float64)
        if array.shape != self.values.shape:
            raise InputError(f"values have shape {array.shape}", expected=f"{self.values.shape}")
        finite = np.isfinite(array)
        if not finite.all():
            raise InputError(f"the value of {self.names[int(np.argmin(finite))]} is not finite")
        return replace(self, values=array)

    def matching(self, pattern: str) -> NDArray[np.int64]:
        """Indices of the names that a shell pattern matches, such as ``charges/*``.

        Raises
        ------
        InputError
            It matches none.
        """
        found = np.flatnonzero([fnmatchcase(name, pattern) for name in self.names])
        if not len(found):
            groups = ", ".join(dict.fromkeys(name.split("/")[0] for name in self.names))
            raise InputError(
                f"no parameter matches {pattern!r}", expected=f"a pattern such as 'bonds/*'; there are {groups}"
            )
        return found

    def kept(self, indices: NDArray[np.int64]) -> Parameters:
        """Only the parameters at `indices`, in that order."""
        chosen = indices.tolist()
        return Parameters(
            names=tuple(self.names[k] for k in chosen),
            units=tuple(self.units[k] for k in chosen),
            values=self.values[indices],
            lower=self.lower[indices],
            upper=self.upper[indices],
            fitted=self.fitted[indices],
        )
