"""Distances between sampled ensembles, corrected for sampling noise, and a test of their dependence on the starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.analysis.distributions import Density
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import BOLTZMANN, kelvin, strip

Array = NDArray[np.float64]

_FEWEST = 4  # starts, whose halves are compared

Measure = Callable[[Density, Density], float]
"""Function of two densities, the ensemble's and the reference's, such as `jensen_shannon`."""

Measures = Callable[[Array, Array], Array]
"""Several distances (n_distances,) of two distributions of any shape, the ensemble's and the reference's."""


@dataclass(frozen=True, eq=False)
class Excess:
    """A distance between two ensembles, and its part beyond sampling noise. Computed by `excess`.

    Parameters
    ----------
    distance : float
        Distance between the densities of all starts, including sampling noise.
    floor : float
        Distance between two halves of the starts of the reference, mean over random splits.
    value : float
        Distance between half of the ensemble's starts and half of the reference's, minus `floor`, mean over the same
        splits. All halves have as many starts as half of the smaller ensemble. Both distances have the noise of equally
        many starts, so that two samples of one ensemble have a mean `value` of zero. It may be negative.
    error : float
        Standard deviation of `value` under resampling of the starts.
    samples : (n_bootstrap,)
        Bootstrap samples of `value`. With the same reference and seed, samples of several ensembles are paired.
    """

    distance: float
    floor: float
    value: float
    error: float
    samples: Array = field(repr=False)

    def over(self, other: Excess) -> tuple[float, float]:
        """Ratio of two excesses over the same reference, and its bootstrap error."""
        return self.value / other.value, float(np.std(self.samples / other.samples, ddof=1))


def excess(
    ensemble: Sequence[Density],
    reference: Sequence[Density],
    measure: Measure,
    *,
    n_splits: int = 200,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> Excess:
    """Distance of an ensemble from a reference, minus the distance of the reference from itself.

    Parameters
    ----------
    ensemble, reference : sequence of Density
        One density per independent start, all from runs of one length; at least 4 starts.
    measure : function
        Distance as a function of the densities of ensemble and reference, in this order.
    n_splits : int
        Number of random splits of the starts into halves.
    n_bootstrap : int
        Number of resamplings (Efron, *The Jackknife, the Bootstrap and Other Resampling Plans*, SIAM, 1982) of the
        starts, each with an eighth of the splits. A start that is drawn twice stays in one half.

    Raises
    ------
    InputError
        Fewer than 4 starts.
    MismatchError
        The grids differ.
    """
    shapes = {density.values.shape for density in (*ensemble, *reference)}
    if min(len(ensemble), len(reference)) < _FEWEST:
        raise InputError(f"{len(ensemble)} and {len(reference)} starts", expected=f"{_FEWEST} or more of each")
    if len(shapes) > 1:
        raise MismatchError(f"the densities have shapes {', '.join(map(str, sorted(shapes)))}")
    grid = reference[0].grid
    tested, other = (np.array([density.values for density in starts]) for starts in (ensemble, reference))
    (found,) = excesses(
        tested,
        other,
        lambda first, second: np.array([measure(Density(grid, first), Density(grid, second))]),
        n_splits=n_splits,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
    return found


def excesses(
    ensemble: Array,
    reference: Array,
    measures: Measures,
    *,
    n_splits: int = 200,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> tuple[Excess, ...]:
    """Several distances of an ensemble from a reference, each as in `excess`.

    Parameters
    ----------
    ensemble, reference : (n_starts, …)
        One distribution, or set of distributions, per independent start; at least 4 starts.
    measures : function
        Distances as a function of two of them.
    n_splits, n_bootstrap, seed
        See `excess`.

    Raises
    ------
    InputError
        Fewer than 4 starts.
    MismatchError
        The distributions have different shapes.
    """
    if min(len(ensemble), len(reference)) < _FEWEST:
        raise InputError(f"{len(ensemble)} and {len(reference)} starts", expected=f"{_FEWEST} or more of each")
    if ensemble.shape[1:] != reference.shape[1:]:
        raise MismatchError(f"the distributions have shapes {ensemble.shape[1:]} and {reference.shape[1:]}")
    most = 2 * (min(len(ensemble), len(reference)) // 2)
    full = measures(ensemble.mean(axis=0), reference.mean(axis=0))

    def compared(tested_times: Array, other_times: Array, splits: int, draws: _Draws) -> tuple[Array, Array]:
        """Mean excesses and floors if the starts are counted this many times."""
        floors, distances = [], []
        for _ in range(splits):
            first, second = draws.halves(draws.reference, other_times, most)
            half, _ = draws.halves(draws.tested, tested_times, most)
            a, b, c = (
                np.tensordot(weights / weights.sum(), values, 1)
                for weights, values in ((first, reference), (second, reference), (half, ensemble))
            )
            floors.append(measures(b, a))
            distances.append(measures(c, a))
        floor = np.mean(floors, axis=0)
        return np.mean(distances, axis=0) - floor, floor

    value, floor = compared(np.ones(len(ensemble)), np.ones(len(reference)), n_splits, _Draws(seed))
    draws = _Draws(seed + 1)
    samples = []
    for _ in range(n_bootstrap):
        times = draws.resampled(draws.tested, len(ensemble)), draws.resampled(draws.reference, len(reference))
        samples.append(compared(*times, max(1, n_splits // 8), draws)[0])
    columns = np.array(samples).T
    errors = np.std(columns, axis=1, ddof=1)
    numbers = zip(full, floor, value, errors, columns, strict=True)
    return tuple(Excess(float(d), float(f), float(v), float(e), column) for d, f, v, e, column in numbers)


@dataclass(frozen=True, eq=False)
class StartDependence:
    """Dependence of an ensemble on the conformations of its starts. Computed by `start_dependence`.

    Parameters
    ----------
    distance : float
        Distance between the starts that began in one conformation and the others.
    expected : float
        Mean distance between random groups of the same sizes, the effect of noise.
    p : float
        Fraction of random groups that are at least as far apart; a small value means that the starts still matter.
    """

    distance: float
    expected: float
    p: float


def start_dependence(
    ensemble: Sequence[Density], began: ArrayLike, measure: Measure, *, n_permutations: int = 500, seed: int = 0
) -> StartDependence:
    """Permutation test (Fisher, *The Design of Experiments*, 1935, ch. 3) of the dependence of densities on the starts.

    Parameters
    ----------
    ensemble : sequence of Density
        One density per start, all from runs of one length.
    began : (n_starts,), bool
        Whether each start began in the first of two conformations.
    measure : function
        Distance as a function of two densities, such as `jensen_shannon`.
    n_permutations : int
        Number of random groupings.

    Raises
    ------
    InputError
        Fewer than two starts began in one of the conformations.
    MismatchError
        `began` does not have one value per start.
    """
    groups = np.asarray(began, dtype=bool)
    if groups.shape != (len(ensemble),):
        raise MismatchError(f"began has shape {groups.shape}", expected=f"({len(ensemble)},), one per start")
    if min(groups.sum(), (~groups).sum()) < 2:
        raise InputError(
            f"{groups.sum()} of {len(groups)} starts began in the first conformation", expected="2 or more in each"
        )
    grid, values = ensemble[0].grid, np.array([density.values for density in ensemble])

    def apart(chosen: NDArray[np.bool_]) -> float:
        return measure(Density(grid, values[chosen].mean(axis=0)), Density(grid, values[~chosen].mean(axis=0)))

    distance, rng = apart(groups), np.random.default_rng(seed)
    random = np.array([apart(rng.permutation(groups)) for _ in range(n_permutations)])
    p = (1 + np.count_nonzero(random >= distance)) / (1 + n_permutations)
    return StartDependence(distance, float(random.mean()), float(p))


def free_energy_difference(temperature: float, below: float = 3.0) -> Measure:
    """RMS difference of free-energy surfaces −kT ln p, kcal/mol, over bins in which the reference is below a bound.

    The surfaces are aligned by their mean over these bins.

    Parameters
    ----------
    temperature : float, K
    below : float, kcal/mol
        Bound above the minimum of the reference.
    """
    thermal = BOLTZMANN * kelvin(temperature)
    bound = float(strip(below, "energy"))

    def measure(ensemble: Density, reference: Density) -> float:
        inside = reference.free_energy(temperature) < bound
        tiny = reference.values[inside].min() * 1e-3
        difference = -thermal * np.log(np.maximum(ensemble.values[inside], tiny) / reference.values[inside])
        return float(difference.std())

    return measure


class _Draws:
    """Separate random numbers for both ensembles, so that the splits of a reference do not depend on the ensemble."""

    def __init__(self, seed: int) -> None:
        self.tested = np.random.default_rng([seed, 0])
        self.reference = np.random.default_rng([seed, 1])

    @staticmethod
    def halves(rng: np.random.Generator, times: Array, most: int) -> tuple[Array, Array]:
        """Counts of each start in two halves of `most` of the starts, or of that share of those that have a count."""
        present = rng.permutation(np.flatnonzero(times))
        size = max(1, len(present) * most // (2 * len(times)))
        end = len(present) if most == len(times) else 2 * size
        first, second = np.zeros_like(times), np.zeros_like(times)
        for half, chosen in ((first, present[:size]), (second, present[size:end])):
            half[chosen] = times[chosen]
        return first, second

    @staticmethod
    def resampled(rng: np.random.Generator, n: int) -> Array:
        """Counts of n starts drawn with replacement, with at least two different starts."""
        while True:
            times = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
            if np.count_nonzero(times) >= 2:
                return times
