"""How often a molecule is in which conformation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.analysis.blocks import Estimate, mean_with_error
from openmm_hybrid.core.errors import InputError

Basins = Mapping[str, tuple[float, float]]
"""Name → interval [low, high) of a dihedral in rad; with low > high it reaches across ±π."""

REST = "other"
"""Name of what lies in no basin."""


def label_basins(dihedrals: ArrayLike, basins: Basins) -> NDArray[np.str_]:
    """Name of the basin that each value lies in, or "other".

    Parameters
    ----------
    dihedrals : any shape, rad
    basins : mapping of str to (low, high), rad

    Raises
    ------
    InputError
        No basins, a bound outside [−π, π], or a value in two basins.
    """
    values = np.asarray(dihedrals, dtype=np.float64)
    if not basins or REST in basins:
        raise InputError("the basins cannot be used", expected=f"at least one, none of them called {REST!r}")
    names = np.array([*basins, REST])
    inside = []
    for name, (low, high) in basins.items():
        if not max(abs(low), abs(high)) <= np.pi + 1e-9:
            raise InputError(f"basin {name!r} reaches from {low:g} to {high:g}", expected="bounds within ±π rad")
        after, before = values >= low, values < high
        inside.append(after & before if low <= high else after | before)
    counts = np.sum(inside, axis=0)
    if (counts > 1).any():
        raise InputError("two basins overlap", hint="give intervals that do not")
    return names[np.where(counts == 0, len(basins), np.argmax(inside, axis=0))]


def populations(
    labels: ArrayLike, weights: ArrayLike | None = None, *, names: tuple[str, ...] = ()
) -> dict[str, Estimate]:
    """Population of each label, Σw[label]/Σw, with block errors (see `mean_with_error`).

    A label that is never left, or never met, has an error of 0: the series then says nothing about its exchange.

    Parameters
    ----------
    labels : (n_frames,) or (n_runs, n_frames)
        Of frames in time order, such as from `label_basins`.
    weights : as `labels`, optional
        Such as from `boltzmann_weights`.
    names : tuple of str
        Labels to report even where they do not occur.
    """
    present = np.asarray(labels)
    wanted = dict.fromkeys([*names, *np.unique(present).tolist()])
    return {str(name): mean_with_error(present == name, weights) for name in wanted}
