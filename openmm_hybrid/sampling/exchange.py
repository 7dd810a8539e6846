"""Parallel tempering (temperature replica exchange) between the replicas of one context.

Warm replicas cross barriers that cold ones do not; exchanges pass the new conformations down to the cold replicas.
"""

from __future__ import annotations

from typing import final

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_hybrid.core.units import BOLTZMANN


def neighbours(temperatures: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the replicas that may exchange with the next one: those with a warmer next one, on one ladder."""
    return np.flatnonzero(np.diff(temperatures) > 0.0)


@final
class Exchange:
    """Replica exchange of temperatures (parallel tempering) between the replicas of one context.

    Neighbours i and j on a ladder exchange their configurations with the probability min(1, exp[(βᵢ − βⱼ)(Uᵢ − Uⱼ)]),
    and velocities are scaled by √(T_new/T_old) (Sugita and Okamoto, Chem. Phys. Lett. 314, 141 (1999)). Each rung
    therefore keeps the canonical ensemble of its temperature. Attempts alternate between even and odd pairs.

    Parameters
    ----------
    temperatures : (n_replicas,), K
    seed : int
        Seed of the random numbers. Seed and number of an attempt fix its outcome, so that a resumed run makes the same
        exchanges.
    counts : sequence of (attempts, exchanges)
        Numbers so far for each replica and the next one; empty at the beginning.
    """

    def __init__(self, temperatures: NDArray[np.float64], seed: int, counts: tuple[tuple[int, int], ...] = ()) -> None:
        self._temperatures, self._seed = temperatures, seed
        self._pairs = neighbours(temperatures)
        self._counts = np.array(counts or np.zeros((len(temperatures), 2)), dtype=np.int64)

    @property
    def counts(self) -> tuple[tuple[int, int], ...]:
        """Numbers (attempts, exchanges) of each replica with the next one."""
        return tuple((int(tried), int(done)) for tried, done in self._counts)

    def attempt(self, context: openmm.Context, potential: NDArray[np.float64], number: int) -> None:
        """Attempt to exchange half of the pairs: the even or the odd ones.

        Parameters
        ----------
        context : openmm.Context
            Context of all replicas. Positions and velocities are exchanged, thermostats are not.
        potential : (n_replicas,), kcal/mol
        number : int
            Number of the attempt, from 0.
        """
        pairs = self._pairs[self._pairs % 2 == number % 2]
        inverse = 1.0 / (BOLTZMANN * self._temperatures)
        exponent = (inverse[pairs] - inverse[pairs + 1]) * (potential[pairs] - potential[pairs + 1])
        chance = np.random.default_rng((self._seed, number)).random(len(self._temperatures))
        chosen = pairs[np.log(chance[pairs]) < exponent]
        self._counts[pairs, 0] += 1
        self._counts[chosen, 1] += 1
        if len(chosen):
            self._swap(context, chosen)

    def _swap(self, context: openmm.Context, chosen: NDArray[np.intp]) -> None:
        order = np.arange(len(self._temperatures))
        order[chosen], order[chosen + 1] = chosen + 1, chosen
        faster = np.sqrt(self._temperatures / self._temperatures[order])[:, None, None]
        state = context.getState(positions=True, velocities=True)
        shape = (len(order), -1, 3)
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer).reshape(shape)
        velocities = state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond).reshape(shape)
        context.setPositions(positions[order].reshape(-1, 3))
        context.setVelocities((faster * velocities[order]).reshape(-1, 3))
