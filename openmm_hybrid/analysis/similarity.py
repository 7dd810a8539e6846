"""How far two sampled ensembles differ beyond what their sampling leaves open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.analysis.distributions import Density
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import BOLTZMANN, strip

Array = NDArray[np.float64]
Measure = Callable[[Density, Density], float]
"""Of an ensemble's density and the reference's, such as `jensen_shannon`."""


@dataclass(frozen=True, eq=False)
class Excess:
    """A distance between two ensembles, and what of it sampling does not explain. Made by `excess`.

    Parameters
    ----------
    distance : float
        Between the densities of all starts; noise is in it.
    floor : float
        Between two halves of the reference's starts, mean over random splits.
    value : float
        Distance of half of the ensemble's starts to half of the reference's, less `floor`, mean over the same splits:
        both have the noise of as many starts, so that two samples of one ensemble give zero on average. It may be
        below zero.
    error : float
        Standard deviation of `value` under resampling of the starts.
    samples : (n_bootstrap,)
        These values; those of ensembles compared with one reference under one seed belong together.
    """

    distance: float
    floor: float
    value: float
    error: float
    samples: Array = field(repr=False)

    def over(self, other: Excess) -> tuple[float, float]:
        """The ratio of two excesses over one reference, and its bootstrap error."""
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
    """Distance of an ensemble from a reference, less the reference's distance from itself.

    Parameters
    ----------
    ensemble, reference : sequence of Density
        One for each independent start, all of one length; 4 starts at least.
    measure : function
        Of an ensemble's and the reference's density, in this order.
    n_splits : int
        Random halvings of the starts.
    n_bootstrap : int
        Resamplings (Efron, *The Jackknife, the Bootstrap and Other Resampling Plans*, SIAM, 1982) of the starts, each
        with an eighth of the halvings. A start that is drawn twice stays in one half.

    Raises
    ------
    InputError
        Fewer than 4 starts.
    MismatchError
        The grids differ.
    """
    shapes = {density.values.shape for density in (*ensemble, *reference)}
    if min(len(ensemble), len(reference)) < 4:
        raise InputError(f"{len(ensemble)} and {len(reference)} starts", expected="4 or more of each")
    if len(shapes) > 1:
        raise MismatchError(f"the densities have shapes {', '.join(map(str, sorted(shapes)))}")
    grid = reference[0].grid
    own, other = (np.array([density.values for density in each]) for each in (ensemble, reference))
    full = measure(Density(grid, own.mean(axis=0)), Density(grid, other.mean(axis=0)))

    def compared(own_times: Array, other_times: Array, splits: int, draws: _Draws) -> tuple[float, float]:
        """Mean excess and floor when the starts count so many times."""
        floors, distances = [], []
        for _ in range(splits):
            first, second = draws.halves(draws.reference, other_times)
            half, _ = draws.halves(draws.own, own_times)
            a, b, c = (
                Density(grid, np.tensordot(weights / weights.sum(), values, 1))
                for weights, values in ((first, other), (second, other), (half, own))
            )
            floors.append(measure(b, a))
            distances.append(measure(c, a))
        floor = float(np.mean(floors))
        return float(np.mean(distances)) - floor, floor

    value, floor = compared(np.ones(len(own)), np.ones(len(other)), n_splits, _Draws(seed))
    draws = _Draws(seed + 1)
    samples = []
    for _ in range(n_bootstrap):
        times = draws.resampled(draws.own, len(own)), draws.resampled(draws.reference, len(other))
        samples.append(compared(*times, max(1, n_splits // 8), draws)[0])
    return Excess(full, floor, value, float(np.std(samples, ddof=1)), np.array(samples))


@dataclass(frozen=True, eq=False)
class StartDependence:
    """Whether an ensemble still knows where its starts began. Made by `start_dependence`.

    Parameters
    ----------
    distance : float
        Between the starts that began in one place and the others.
    expected : float
        Mean distance between random groups of the same sizes: what noise makes of it.
    p : float
        Share of random groups as far apart as these; small where the start is remembered.
    """

    distance: float
    expected: float
    p: float


def start_dependence(
    ensemble: Sequence[Density], began: ArrayLike, measure: Measure, *, n_permutations: int = 500, seed: int = 0
) -> StartDependence:
    """A permutation test (Fisher, *The Design of Experiments*, 1935, ch. 3) of populations against where starts began.

    Parameters
    ----------
    ensemble : sequence of Density
        One for each start, all of one length.
    began : (n_starts,), bool
        Whether the start began in the one place or in the other.
    measure : function
        Of two densities, such as `jensen_shannon`.
    n_permutations : int

    Raises
    ------
    InputError
        Fewer than two starts began in either place.
    MismatchError
        Not one place for each start.
    """
    groups = np.asarray(began, dtype=bool)
    if groups.shape != (len(ensemble),):
        raise MismatchError(f"began has shape {groups.shape}", expected=f"({len(ensemble)},), one for each start")
    if min(groups.sum(), (~groups).sum()) < 2:
        raise InputError(f"{groups.sum()} of {len(groups)} starts began there", expected="2 or more here and there")
    grid, values = ensemble[0].grid, np.array([density.values for density in ensemble])

    def apart(chosen: NDArray[np.bool_]) -> float:
        return measure(Density(grid, values[chosen].mean(axis=0)), Density(grid, values[~chosen].mean(axis=0)))

    distance, rng = apart(groups), np.random.default_rng(seed)
    random = np.array([apart(rng.permutation(groups)) for _ in range(n_permutations)])
    p = (1 + np.count_nonzero(random >= distance)) / (1 + n_permutations)
    return StartDependence(distance, float(random.mean()), float(p))


def free_energy_difference(temperature: float, below: float = 3.0) -> Measure:
    """RMS difference of free-energy surfaces −kT ln p, kcal/mol, where the reference's is below a bound.

    The surfaces are put on each other by their mean over these bins.

    Parameters
    ----------
    temperature : float, K
    below : float, kcal/mol
        Above the reference's minimum.
    """
    thermal = BOLTZMANN * float(strip(temperature, "temperature"))

    def measure(ensemble: Density, reference: Density) -> float:
        inside = reference.free_energy(temperature) < below
        tiny = reference.values[inside].min() * 1e-3
        difference = -thermal * np.log(np.maximum(ensemble.values[inside], tiny) / reference.values[inside])
        return float(difference.std())

    return measure


class _Draws:
    """Random numbers for both ensembles, apart, so that one reference is treated alike beside any ensemble."""

    def __init__(self, seed: int) -> None:
        self.own = np.random.default_rng([seed, 0])
        self.reference = np.random.default_rng([seed, 1])

    @staticmethod
    def halves(rng: np.random.Generator, times: Array) -> tuple[Array, Array]:
        """How often each start counts in either half; starts that count at all are shared out evenly."""
        present = rng.permutation(np.flatnonzero(times))
        first = np.zeros_like(times)
        chosen = present[: len(present) // 2]
        first[chosen] = times[chosen]
        return first, times - first

    @staticmethod
    def resampled(rng: np.random.Generator, n: int) -> Array:
        """How often each of n starts is drawn with replacement; two different ones at least."""
        while True:
            times = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
            if np.count_nonzero(times) >= 2:
                return times
