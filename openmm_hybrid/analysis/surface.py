"""Energy surfaces over two dihedrals on a periodic grid: differences, minima, profiles and barriers.

The grid has n angles of each dihedral at equal distances from −π on. Energies (n, n), kcal/mol, have the first dihedral
on the first axis; NaN marks a point without an energy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RectBivariateSpline

from openmm_hybrid.core.errors import InputError, MismatchError

Floats = NDArray[np.float64]

_FINE = 360  # angles of an interpolated profile
_RIPPLE = 0.02  # least height of a barrier, kcal/mol: lower ones are ripples of the grid or of the interpolation
_OVERLAP = 6  # grid lines that continue a periodic surface for its spline


@final
@dataclass(frozen=True)
class SurfaceProfile:
    """The lowest energy along one dihedral.

    Parameters
    ----------
    minima, barriers : tuple of (angle, energy)
        Minima and maxima in the order of their angles, degrees in [−180, 180), and kcal/mol. A profile whose energy
        varies by less than 0.02 kcal/mol has none.
    """

    minima: tuple[tuple[float, float], ...]
    barriers: tuple[tuple[float, float], ...]


def rms_difference(energies: ArrayLike, reference: ArrayLike, *, window: float) -> float:
    """RMS difference of two surfaces, kcal/mol, over the points at which the reference is at most `window`.

    Parameters
    ----------
    energies, reference : (n, n), kcal/mol
        Energies above the minimum of each.
    window : float, kcal/mol

    Returns
    -------
    float
        NaN without a common point.

    Raises
    ------
    MismatchError
        The grids differ.
    """
    tested, truth = _checked(energies), _checked(reference)
    if tested.shape != truth.shape:
        raise MismatchError(f"the surfaces have the shapes {tested.shape} and {truth.shape}")
    common = np.isfinite(tested) & (truth <= window)
    return float(np.sqrt(np.mean((tested - truth)[common] ** 2))) if common.any() else float("nan")


def image_difference(energies: ArrayLike, images: Iterable[ArrayLike]) -> float:
    """Largest difference between points that a symmetry makes equal, kcal/mol.

    Parameters
    ----------
    energies : (n, n), kcal/mol
    images : iterable of (n²,)
        Index of the image of each point, for each symmetry.

    Returns
    -------
    float
        NaN without symmetries.
    """
    flat = _checked(energies).ravel()
    differences = [np.abs(flat[np.asarray(points)] - flat) for points in images]
    known = [part[np.isfinite(part)] for part in differences]
    return max((float(part.max()) for part in known if part.size), default=float("nan"))


def grid_minima(energies: ArrayLike) -> list[tuple[int, int]]:
    """Grid points (i, j) that are lower than their eight neighbtested, the lowest first; of equal neighbtested, one."""
    filled = np.nan_to_num(_checked(energies), nan=np.inf)
    order = np.arange(filled.size).reshape(filled.shape)
    lowest = np.isfinite(filled)
    for shift in ((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j):
        other, other_order = (np.roll(part, shift, axis=(0, 1)) for part in (filled, order))
        lowest &= (filled < other) | ((filled == other) & (order < other_order))
    points = np.argwhere(lowest)
    return [(int(i), int(j)) for i, j in points[np.argsort(filled[lowest], kind="stable")]]


def surface_profile(energies: ArrayLike, axis: int) -> SurfaceProfile:
    """Minima and barriers along one dihedral, the other one at its best angle, from a bicubic periodic spline.

    Parameters
    ----------
    energies : (n, n), kcal/mol
        Missing energies count as the largest one.
    axis : int
        0 for the first dihedral, 1 for the second.
    """
    known = _checked(energies)
    filled = np.where(np.isfinite(known), known, np.nanmax(known))
    n = len(filled)
    lines = (np.arange(-_OVERLAP, n + _OVERLAP)) * (360.0 / n) - 180.0
    spline = RectBivariateSpline(lines, lines, np.pad(filled, _OVERLAP, mode="wrap"))
    angles = np.linspace(-180.0, 180.0, _FINE, endpoint=False)
    lowest = spline(angles, angles).min(axis=1 - axis)
    return _extremes(angles, lowest)


def _extremes(angles: Floats, energies: Floats) -> SurfaceProfile:
    """Alternating minima and maxima of a periodic profile, without ripples."""
    rises = np.sign(np.roll(energies, -1) - energies)
    # Sign of the slope before each point; on a plateau, the last slope that is not zero.
    nonzero = np.flatnonzero(rises)
    if np.ptp(energies) < _RIPPLE or not len(nonzero):
        return SurfaceProfile((), ())
    filled = rises[nonzero[np.searchsorted(nonzero, np.arange(len(rises)), side="right") - 1]]
    turns = np.flatnonzero(filled != np.roll(filled, 1)).tolist()
    while len(turns) > 2:
        heights = np.abs(energies[turns] - energies[np.roll(turns, -1)])
        flattest = int(np.argmin(heights))
        if heights[flattest] >= _RIPPLE:
            break
        gone = {turns[flattest], turns[(flattest + 1) % len(turns)]}
        turns = [turn for turn in turns if turn not in gone]
    pairs = [(float(angles[turn]), float(energies[turn])) for turn in turns]
    first_is_minimum = pairs[0][1] < pairs[1][1]
    minima, barriers = (pairs[::2], pairs[1::2]) if first_is_minimum else (pairs[1::2], pairs[::2])
    return SurfaceProfile(tuple(minima), tuple(barriers))


def _checked(energies: ArrayLike) -> Floats:
    array = np.asarray(energies, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or len(array) < _OVERLAP or not np.isfinite(array).any():
        raise InputError(f"energies have shape {array.shape}", expected=f"(n, n) with n ≥ {_OVERLAP}, and a finite one")
    return array
