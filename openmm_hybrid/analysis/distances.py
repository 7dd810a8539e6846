"""Distributions of interatomic distances in two ensembles of one molecule, and their overlap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.distance import jensenshannon

from openmm_hybrid.analysis.arguments import array
from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import strip

Array = NDArray[np.float64]

_PER_WIDTH = 2  # bins of the grid per standard deviation of the kernel
_MARGIN = 4.0  # margin of the grid around all distances, in standard deviations of the kernel


@final
@dataclass(frozen=True, eq=False)
class PairDistances:
    """Densities of the distances of one type of atom pairs in two ensembles.

    Parameters
    ----------
    name : str
        Elements of the pairs, such as "C–H".
    n_pairs : int
    grid : (n_bins,), Å
        Midpoints of equal bins.
    first, second : (n_bins,), 1/Å
        Densities, averaged over the pairs.
    divergence : float
        Jensen-Shannon divergence of the two in bits: 0 for equal densities, 1 without overlap.
    floor : float
        Divergence between two halves of one ensemble, mean of both ensembles: the noise of half the frames.
    """

    name: str
    n_pairs: int
    grid: Array = field(repr=False)
    first: Array = field(repr=False)
    second: Array = field(repr=False)
    divergence: float
    floor: float


@final
@dataclass(frozen=True, eq=False)
class DistanceOverlap:
    """Overlap of two ensembles in all types of atom pairs. Computed by `distance_overlap`.

    Parameters
    ----------
    types : tuple of PairDistances
        In alphabetical order.
    """

    types: tuple[PairDistances, ...]

    @property
    def divergence(self) -> float:
        """Mean divergence over all pairs, in bits."""
        return float(np.average([part.divergence for part in self.types], weights=self._weights))

    @property
    def floor(self) -> float:
        """Mean over all pairs of the divergence between halves of one ensemble, in bits."""
        return float(np.average([part.floor for part in self.types], weights=self._weights))

    @property
    def _weights(self) -> list[int]:
        return [part.n_pairs for part in self.types]


def distance_overlap(
    first: ArrayLike,
    second: ArrayLike,
    atomic_numbers: ArrayLike,
    *,
    groups: tuple[ArrayLike, ArrayLike] | None = None,
    bandwidth: float = 0.02,
    seed: int = 0,
) -> DistanceOverlap:
    """Compare the densities of interatomic distances in two ensembles, by the elements of the pairs.

    A density is a histogram, smoothed by a Gaussian. The divergence of two densities is
    ½ Σ p log₂(p/m) + ½ Σ q log₂(q/m), m = (p + q)/2 (Lin, IEEE Trans. Inf. Theory 37, 145 (1991)).

    Parameters
    ----------
    first, second : (n_frames, n_atoms, 3), Å, or Quantities
        Frames of the two ensembles, in one order of atoms.
    atomic_numbers : (n_atoms,)
    groups : ((n_first,), (n_second,)), int, optional
        Group of each frame, such as the index of its run; no group is divided between two halves of an ensemble. By
        default each frame is a group.
    bandwidth : float, Å
        Standard deviation of the Gaussian. The default is half of the thermal width of a stiff bond at 300 K.
    seed : int
        Seed of the halves.

    Raises
    ------
    InputError
        Fewer than two groups in an ensemble, a number that is not finite, or a bandwidth that is not above zero.
    MismatchError
        The shapes do not match.
    """
    sets, numbers = [array(frames, "length") for frames in (first, second)], np.asarray(atomic_numbers, dtype=np.int64)
    width = float(strip(bandwidth, "length"))
    if any(frames.ndim != 3 or frames.shape[1:] != (len(numbers), 3) for frames in sets) or len(numbers) < 2:
        raise MismatchError(
            f"frames of shapes {sets[0].shape} and {sets[1].shape}",
            expected=f"(n_frames, {len(numbers)}, 3), two atoms",
        )
    if not all(np.isfinite(frames).all() for frames in sets) or not width > 0:
        raise InputError("distances cannot be compared", expected="finite positions and a bandwidth above zero")
    labels = [np.arange(len(frames)) for frames in sets] if groups is None else [np.asarray(part) for part in groups]
    halves = [_half(part, np.random.default_rng(seed)) for part in labels]
    if any(half.shape != (len(frames),) for half, frames in zip(halves, sets, strict=True)):
        raise MismatchError("the groups have other shapes than the frames", expected="one group for each frame")
    found = [_compared(name, pairs, sets, halves, width) for name, pairs in _pair_types(numbers).items()]
    return DistanceOverlap(tuple(found))


def _pair_types(atomic_numbers: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Name of each type of pairs → pairs (n_pairs, 2)."""
    from ase.data import chemical_symbols

    found: dict[str, list[tuple[int, int]]] = {}
    for i, j in zip(*np.triu_indices(len(atomic_numbers), k=1), strict=True):
        name = "–".join(sorted(chemical_symbols[atomic_numbers[atom]] for atom in (i, j)))
        found.setdefault(name, []).append((int(i), int(j)))
    return {name: np.array(found[name]) for name in sorted(found)}


def _half(groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mask of the frames in a random half of the groups."""
    present = rng.permutation(np.unique(groups))
    if len(present) < 2:
        raise InputError(f"an ensemble has {len(present)} groups of frames", expected="2 or more")
    return np.isin(groups, present[: len(present) // 2])


def _compared(
    name: str, pairs: NDArray[np.int64], sets: list[Array], halves: list[NDArray[np.bool_]], width: float
) -> PairDistances:
    distances = [geometry.distance(frames, pairs) for frames in sets]
    low = min(float(part.min()) for part in distances) - _MARGIN * width
    high = max(float(part.max()) for part in distances) + _MARGIN * width
    step = width / _PER_WIDTH
    edges = low + step * np.arange(int(np.ceil((high - low) / step)) + 1)

    def density(values: Array) -> Array:
        counts = np.histogram(values, edges)[0].astype(np.float64)
        smooth = gaussian_filter1d(counts, _PER_WIDTH, mode="constant")
        return np.asarray(smooth / (smooth.sum() * step))

    a, b = (density(part) for part in distances)
    floors = [
        _divergence(density(part[half]), density(part[~half])) for part, half in zip(distances, halves, strict=True)
    ]
    middle = 0.5 * (edges[1:] + edges[:-1])
    return PairDistances(name, len(pairs), middle, a, b, _divergence(a, b), float(np.mean(floors)))


def _divergence(first: Array, second: Array) -> float:
    return float(jensenshannon(first, second, base=2) ** 2)
