"""Wells of a density of dihedrals: the regions around its maxima."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.analysis.arguments import radians
from openmm_hybrid.analysis.distributions import Density
from openmm_hybrid.core.errors import InputError

Ints = NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class Wells:
    """A division of dihedral space into wells. Made by `density_wells`.

    Parameters
    ----------
    labels : (n,) or (n, n), int
        Well of each bin of the density; wells are numbered by falling density at the maximum.
    peaks : (n_wells, n_dihedrals), rad
        Dihedrals of the maxima.
    """

    labels: Ints = field(repr=False)
    peaks: NDArray[np.float64]

    def of(self, dihedrals: ArrayLike) -> Ints:
        """Well of each point.

        Parameters
        ----------
        dihedrals : (…, n_dihedrals), rad, or a Quantity
            (n_frames,) also serves for one dihedral.

        Returns
        -------
        int array
            (…), or (n_frames,).

        Raises
        ------
        InputError
            Another shape, numbers that are not finite or beyond ±2π.
        """
        n, n_dihedrals = len(self.labels), self.labels.ndim
        values = radians(dihedrals)
        points = values[:, None] if values.ndim == n_dihedrals == 1 else values
        if points.ndim < 1 or points.shape[-1] != n_dihedrals or not np.isfinite(points).all():
            raise InputError(
                f"dihedrals of shape {values.shape} have no wells",
                expected=f"finite numbers, (n_frames, {n_dihedrals}){' or (n_frames,)' if n_dihedrals == 1 else ''}",
                hint="the wells are those of the density's dihedrals",
            )
        bins = np.floor((points + np.pi) / (2.0 * np.pi) * n).astype(np.int64) % n
        return self.labels[tuple(np.moveaxis(bins, -1, 0))]


def density_wells(density: Density, *, depth: float = 0.3, least: float = 0.02) -> Wells:
    """Divide the bins of a density among its maxima.

    Bins are visited by falling density. A bin joins the well of its densest neighbour that was visited before, or
    starts a new well. Where two wells meet, the one with the lower maximum is joined to the other if it is shallow or
    small (Chazal, Guibas, Oudot and Skraba, J. ACM 60, 41 (2013)). The defaults are our choice.

    Parameters
    ----------
    density : Density
        Of one or two dihedrals.
    depth : float
        Least depth of a well, the logarithm of the densities at its maximum and at the saddle (free energy in kT).
    least : float
        Least population of a well above the saddle.

    Raises
    ------
    InputError
        A bound is negative.
    """
    if not (depth >= 0.0 and least >= 0.0):
        raise InputError(f"depth = {depth:g}, least = {least:g}", expected="numbers that are not negative")
    values, shares = density.values.ravel(), density.probabilities.ravel()
    near = _neighbours(density.values.shape)
    owner = np.full(len(values), -1)  # a bin of the same well that was visited before, up to the maximum itself
    mass = np.zeros(len(values))

    def root(one: int) -> int:
        while owner[one] != one:
            one = int(owner[one])
        return one

    for one in np.argsort(-values, kind="stable").tolist():
        visited = [other for other in near[one].tolist() if owner[other] >= 0]
        owner[one] = root(max(visited, key=lambda other: values[other])) if visited else one
        mass[owner[one]] += shares[one]
        ranked = sorted({root(other) for other in visited}, key=lambda well: (-values[well], well))
        for well in ranked[1:]:
            if values[well] < np.exp(depth) * values[one] or mass[well] < least:
                owner[well] = ranked[0]
                mass[ranked[0]] += mass[well]
    roots = np.array([root(one) for one in range(len(values))])
    maxima = np.unique(roots)
    maxima = maxima[np.argsort(-values[maxima], kind="stable")]
    number = np.zeros(len(values), dtype=np.int64)
    number[maxima] = np.arange(len(maxima))
    places = np.stack(np.unravel_index(maxima, density.values.shape), axis=1)
    return Wells(number[roots].reshape(density.values.shape), density.grid[places])


def _neighbours(shape: tuple[int, ...]) -> Ints:
    """Neighbours (n_bins, 2 n_axes) of each bin on a periodic grid."""
    numbers = np.arange(np.prod(shape)).reshape(shape)
    shifted = [np.roll(numbers, step, axis).ravel() for axis in range(len(shape)) for step in (-1, 1)]
    return np.stack(shifted, axis=1)
