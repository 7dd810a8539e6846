"""Populations of conformations, with errors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.analysis.arguments import radians
from openmm_hybrid.analysis.blocks import Estimate, mean_with_error
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import strip

Basins = Mapping[str, tuple[float, float]]
"""Name → interval [low, high) of a dihedral in rad; an interval with low > high extends across ±π."""

REST = "other"
"""Label of values outside all basins."""


def label_basins(dihedrals: ArrayLike, basins: Basins) -> NDArray[np.str_]:
    """Name of the basin of each value, or "other" outside all basins.

    π and −π are one point. It belongs to the basin that crosses it or begins there, otherwise to the one that ends
    there.

    Parameters
    ----------
    dihedrals : any shape, rad, or a Quantity
        In any convention, such as [−π, π) or [0, 2π).
    basins : mapping of str to (low, high), rad, or Quantities

    Raises
    ------
    InputError
        No basins, a bound outside [−π, π], a value in two basins, or dihedrals beyond ±2π.
    """
    values = _wrapped(radians(dihedrals))
    if not basins or REST in basins:
        raise InputError("the basins cannot be used", expected=f"at least one, none of them called {REST!r}")
    names = np.array([*basins, REST])
    inside, ending = [], []
    for name, bounds in basins.items():
        low, high = (float(strip(bound, "angle")) for bound in bounds)
        if not max(abs(low), abs(high)) <= np.pi + 1e-9:
            raise InputError(f"basin {name!r} reaches from {low:g} to {high:g}", expected="bounds within ±π rad")
        after, before = values >= low, values < high
        inside.append(after & before if low <= high else after | before)
        ending.append(low != high and abs(high) >= np.pi - 1e-9)
    free = (values == -np.pi) & ~np.any(inside, axis=0)
    inside = [found | free if ends else found for found, ends in zip(inside, ending, strict=True)]
    counts = np.sum(inside, axis=0)
    if (counts > 1).any():
        raise InputError("two basins overlap", hint="give intervals that do not")
    return names[np.where(counts == 0, len(basins), np.argmax(inside, axis=0))]


def _wrapped(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same angles in [−π, π); those that are there already keep every bit."""
    with np.errstate(invalid="ignore"):  # infinite values become NaN, which is in no basin
        turned = np.mod(values + np.pi, 2.0 * np.pi) - np.pi
    turned = np.where((values >= -np.pi) & (values < np.pi), values, turned)
    return np.where(turned >= np.pi, -np.pi, turned)


def populations(
    labels: ArrayLike, weights: ArrayLike | None = None, *, names: tuple[str, ...] = ()
) -> dict[str, Estimate]:
    """Population of each label, Σw[label]/Σw, with block errors (see `mean_with_error`).

    A label that the series never leaves, or never enters, has the error 0, which does not mean that the population is
    known.

    Parameters
    ----------
    labels : (n_frames,) or (n_runs, n_frames)
        Labels of frames in time order, such as from `label_basins`.
    weights : same shape as `labels`, optional
        Weights of the frames, such as from `boltzmann_weights`.
    names : tuple of str
        Labels to report even if they do not occur.
    """
    present = np.asarray(labels)
    wanted = dict.fromkeys([*names, *np.unique(present).tolist()])
    return {str(name): mean_with_error(present == name, weights) for name in wanted}
