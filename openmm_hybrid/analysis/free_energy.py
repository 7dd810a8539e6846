"""Free-energy differences between states from their samples, by MBAR."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from openmm_hybrid.analysis.blocks import statistical_inefficiency
from openmm_hybrid.core.errors import InputError, MissingDependencyError, NumericalError
from openmm_hybrid.core.units import BOLTZMANN


@dataclass(frozen=True, eq=False)
class FreeEnergies:
    """Free energies of states.

    Parameters
    ----------
    values : (n_states,), kcal/mol
        Relative to the first state.
    errors : (n_states,), kcal/mol
        One standard deviation of each difference to the first state.
    overlap : float
        Smallest overlap of two neighbouring states, 0 to 1; below 0.03 the errors cannot be relied on (Klimovich,
        Shirts and Mobley, J. Comput.-Aided Mol. Des. 29, 397 (2015)).
    n_independent : (n_states,)
        Frames of each state that were used: about one for each correlation time.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    overlap: float
    n_independent: NDArray[np.int64]

    @property
    def difference(self) -> float:
        """Last state less the first, kcal/mol."""
        return float(self.values[-1])

    @property
    def error(self) -> float:
        """One standard deviation of `difference`, kcal/mol."""
        return float(self.errors[-1])


def mbar(energies: Sequence[ArrayLike], temperature: float) -> FreeEnergies:
    """Free energies by the multistate Bennett acceptance ratio (Shirts and Chodera, J. Chem. Phys. 129, 124105 (2008)).

    Correlated frames are thinned out first, by the statistical inefficiency of the energy difference between
    neighbouring states, so that the errors are those of independent samples. Needs pymbar, the extra `free-energy`.

    Parameters
    ----------
    energies : for each sampled state k, (n_states, n_frames_k), kcal/mol
        Energy in every state of the frames, in time order, that state k gave. What depends on the frame alone, such as
        a force field that all states share, may be left out.
    temperature : float, K
        The same in all states.

    Raises
    ------
    InputError
        Fewer than two states or 8 frames, shapes that contradict each other, or numbers that are not finite.
    MissingDependencyError
        pymbar is not installed.
    NumericalError
        The equations were not solved, or the states do not overlap at all.
    """
    samples = [np.asarray(each, dtype=np.float64) for each in energies]
    _check(samples, temperature)
    thinned = [_independent(own) for own in samples]
    reduced = np.concatenate(thinned, axis=1) / (BOLTZMANN * temperature)
    counts = np.array([own.shape[1] for own in thinned])
    with _quiet():
        try:
            from pymbar import MBAR
            from pymbar.utils import ParameterError
        except ImportError as error:
            raise MissingDependencyError(
                "free energies need pymbar, which is not installed", hint="pip install 'openmm-hybrid[free-energy]'"
            ) from error
        try:
            # Of pymbar's solvers the one that does not hand scipy options which it warns of.
            solution = MBAR(reduced, counts, solver_protocol=({"method": "adaptive"},))
            found = solution.compute_free_energy_differences()
            overlap = solution.compute_overlap()["matrix"]
        except (ParameterError, np.linalg.LinAlgError, FloatingPointError) as error:
            raise NumericalError(f"MBAR was not solved: {error}", hint=_MEND) from error
    values, errors = np.asarray(found["Delta_f"])[0], np.asarray(found["dDelta_f"])[0]
    if not (np.isfinite(values).all() and np.isfinite(errors).all()) or _residual(reduced, counts, values) > 1e-6:
        raise NumericalError("MBAR was not solved: its equations do not hold", hint=_MEND)
    unit = BOLTZMANN * temperature
    nearest = min(float(overlap[k, k + 1]) for k in range(len(samples) - 1))
    return FreeEnergies(unit * values, unit * errors, nearest, counts)


_MEND = "take more states in between, or sample longer"


def _check(samples: list[NDArray[np.float64]], temperature: float) -> None:
    n_states = len(samples)
    if n_states < 2:
        raise InputError(f"{n_states} states were given", expected="at least two")
    for number, own in enumerate(samples):
        if own.ndim != 2 or len(own) != n_states or own.shape[1] < 8:
            raise InputError(
                f"the energies of state {number}'s frames have shape {own.shape}",
                expected=f"({n_states}, n_frames): every state's energy of at least 8 frames",
            )
        if not np.isfinite(own).all():
            raise InputError(f"state {number}'s frames have an energy that is not finite")
    if not (np.isfinite(temperature) and temperature > 0):
        raise InputError(f"temperature is {temperature!r}", expected="a number greater than 0")


def _independent(own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every g-th frame, g the largest inefficiency of the differences between neighbouring states."""
    step = max(statistical_inefficiency(second - first) for first, second in pairwise(own))
    return own[:, :: max(1, min(round(step), own.shape[1] // 8))]


def _residual(reduced: NDArray[np.float64], counts: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """Largest error, in kT, of f_k = −ln Σ_n exp(−u_kn) / Σ_l N_l exp(f_l − u_ln) (eq. 11 of Shirts and Chodera)."""
    mixture = logsumexp(values[:, None] - reduced, b=counts[:, None], axis=0)
    again = -logsumexp(-reduced - mixture, axis=1)
    return float(np.abs(again - again[0] - values).max())


@contextmanager
def _quiet() -> Iterator[None]:
    """pymbar logs, as it is imported, that it would be faster with another package."""
    logger = logging.getLogger("pymbar")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
