"""Overlap of the distributions of interatomic distances in two ensembles, for one kind of pairs after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from openmm_hybrid.analysis.arguments import array
from openmm_hybrid.analysis.similarity import Excess, excesses
from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError, MismatchError

Array = NDArray[np.float64]

_STEP = 0.025  # width of a bin, Å
_WIDTH = 2.0  # standard deviation of the kernel, bins
_SPLITS, _BOOTSTRAP = 100, 100


@final
@dataclass(frozen=True, eq=False)
class PairDensities:
    """Densities of the distances of several kinds of pairs in one ensemble. Made by `pair_densities`.

    Parameters
    ----------
    names : tuple of str
        Names of the kinds.
    grid : (n_bins,), Å
        Midpoints of equal bins.
    starts : (n_starts, n_kinds, n_bins), 1/Å
        Densities in each start, averaged over the pairs of a kind.
    """

    names: tuple[str, ...]
    grid: Array = field(repr=False)
    starts: Array = field(repr=False)

    @property
    def values(self) -> Array:
        """Densities (n_kinds, n_bins), 1/Å, of all starts."""
        return np.asarray(self.starts.mean(axis=0))


def pair_densities(positions: ArrayLike, kinds: Mapping[str, ArrayLike], *, longest: float) -> PairDensities:
    """Densities of interatomic distances: histograms, smoothed by a Gaussian with a standard deviation of 0.05 Å.

    Parameters
    ----------
    positions : (n_starts, n_frames, n_atoms, 3), Å, or a Quantity
    kinds : mapping of str to (n_pairs, 2)
        Name of each kind of pairs → its pairs, which share a density.
    longest : float, Å
        End of the grid.

    Raises
    ------
    InputError
        There are no pairs, or a distance is not finite or beyond the grid.
    """
    runs = array(positions, "length")
    edges = np.arange(0.0, longest + _STEP, _STEP)
    pairs = [np.asarray(some, dtype=np.int64).reshape(-1, 2) for some in kinds.values()]
    if runs.ndim != 4 or not runs.size or not pairs or not all(map(len, pairs)):
        raise InputError(f"{len(pairs)} kinds of pairs in frames of shape {runs.shape}", expected="frames and pairs")
    found = np.zeros((len(runs), len(pairs), len(edges) - 1))
    for number, run in enumerate(runs):
        for kind, some in enumerate(pairs):
            distances = geometry.distance(run, some)
            if not (distances < edges[-1]).all():
                raise InputError(f"a distance of {distances.max():.4g} Å", expected=f"less than {edges[-1]:.4g} Å")
            counts = np.histogram(distances, edges)[0].astype(np.float64)
            smooth = gaussian_filter1d(counts, _WIDTH, mode="constant")
            found[number, kind] = smooth / (smooth.sum() * _STEP)
    return PairDensities(tuple(kinds), 0.5 * (edges[1:] + edges[:-1]), found)


@final
@dataclass(frozen=True, eq=False)
class PairOverlap:
    """Overlap of the densities of one kind of pairs in two ensembles. Computed by `pair_overlaps`.

    Parameters
    ----------
    name : str
        Name of the kind.
    missing : Excess
        One minus the overlap, and its part beyond sampling noise.
    """

    name: str
    missing: Excess

    @property
    def overlap(self) -> float:
        """∫ min(p, q) dr: 1 for equal densities, 0 for densities without overlap."""
        return 1.0 - self.missing.distance

    @property
    def floor(self) -> float:
        """Overlap of two halves of the reference's starts."""
        return 1.0 - self.missing.floor


def pair_overlaps(ensemble: PairDensities, reference: PairDensities, *, seed: int = 0) -> tuple[PairOverlap, ...]:
    """Overlap of an ensemble with a reference in every kind of pairs, the smallest first.

    Raises
    ------
    InputError
        Fewer than 4 starts.
    MismatchError
        The kinds or the grids differ.
    """
    same_grid = len(ensemble.grid) == len(reference.grid)
    if ensemble.names != reference.names or not same_grid:
        raise MismatchError("the ensembles have densities of different pairs or grids", expected="the same of both")

    def missing(first: Array, second: Array) -> Array:
        return np.asarray(1.0 - np.minimum(first, second).sum(axis=-1) * _STEP)

    found = excesses(ensemble.starts, reference.starts, missing, n_splits=_SPLITS, n_bootstrap=_BOOTSTRAP, seed=seed)
    pairs = zip(ensemble.names, found, strict=True)
    return tuple(sorted((PairOverlap(name, one) for name, one in pairs), key=lambda pair: pair.overlap))
