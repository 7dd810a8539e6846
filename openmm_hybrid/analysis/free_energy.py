"""Free-energy differences between states by MBAR."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from openmm_hybrid.analysis.arguments import array
from openmm_hybrid.analysis.blocks import statistical_inefficiency
from openmm_hybrid.core.errors import InputError, MissingDependencyError, NumericalError
from openmm_hybrid.core.units import BOLTZMANN, kelvin


@dataclass(frozen=True, eq=False)
class FreeEnergies:
    """Free energies of states, relative to the first one.

    Parameters
    ----------
    values : (n_states,), kcal/mol
        Free energies relative to the first state.
    errors : (n_states,), kcal/mol
        One standard deviation of each difference to the first state. Rough if a state has fewer than 8 independent
        frames.
    overlap : float
        Smallest overlap of two neighbouring states, 0 to 1; below 0.03 the errors cannot be relied on (Klimovich,
        Shirts and Mobley, J. Comput.-Aided Mol. Des. 29, 397 (2015)).
    n_independent : (n_states,)
        Number of independent frames per state, n_frames/g with the statistical inefficiency g.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    overlap: float
    n_independent: NDArray[np.int64]

    @property
    def difference(self) -> float:
        """Free energy of the last state minus that of the first, kcal/mol."""
        return float(self.values[-1])

    @property
    def error(self) -> float:
        """One standard deviation of `difference`, kcal/mol."""
        return float(self.errors[-1])


def mbar(energies: Sequence[Any], temperature: Any) -> FreeEnergies:
    """Free energies by the multistate Bennett acceptance ratio (Shirts and Chodera, J. Chem. Phys. 129, 124105 (2008)).

    Correlated frames are thinned out first, by the statistical inefficiency of the energy difference between
    neighbouring states, because the errors hold for independent samples. At least 8 frames per state are used. If a
    state has fewer independent ones, all errors grow by √(g/stride), with its inefficiency g and the stride that was
    used, the largest of all states, and a warning names the state. Needs pymbar, the extra `free-energy`.

    Parameters
    ----------
    energies : for each sampled state k, (n_states, n_frames_k), kcal/mol or a Quantity
        Energies, in every state, of the frames that were sampled in state k, in time order. Terms that all states share
        may be left out.
    temperature : float, K, or a Quantity
        Temperature of all states.

    Raises
    ------
    InputError
        Fewer than two states or 8 frames, shapes that contradict each other, numbers that are not finite, or a
        temperature that is not above zero.
    MissingDependencyError
        pymbar is not installed.
    NumericalError
        The equations were not solved, or the states do not overlap at all.
    """
    samples = [array(table, "energy") for table in energies]
    thermal = BOLTZMANN * kelvin(temperature)
    _check(samples)
    inefficiencies = [_inefficiency(sample) for sample in samples]
    strides = [
        max(1, min(round(g), sample.shape[1] // _FEWEST)) for g, sample in zip(inefficiencies, samples, strict=True)
    ]
    thinned = [sample[:, ::stride] for sample, stride in zip(samples, strides, strict=True)]
    reduced = np.concatenate(thinned, axis=1) / thermal
    counts = np.array([sample.shape[1] for sample in thinned])
    with quiet_pymbar():
        try:
            from pymbar import MBAR
            from pymbar.utils import ParameterError
        except ImportError as error:
            raise MissingDependencyError(
                "free energies need pymbar, which is not installed", hint="pip install 'openmm-hybrid[free-energy]'"
            ) from error
        try:
            # The other solvers of pymbar pass options to scipy that raise warnings.
            solution = MBAR(reduced, counts, solver_protocol=({"method": "adaptive"},))
            found = solution.compute_free_energy_differences()
            overlap = solution.compute_overlap()["matrix"]
        except (ParameterError, np.linalg.LinAlgError, FloatingPointError) as error:
            raise NumericalError(f"MBAR was not solved: {error}", hint=_HINT) from error
    values, errors = np.asarray(found["Delta_f"])[0], np.asarray(found["dDelta_f"])[0]
    if not (np.isfinite(values).all() and np.isfinite(errors).all()) or _residual(reduced, counts, values) > 1e-6:
        raise NumericalError("MBAR was not solved: its equations are not satisfied", hint=_HINT)
    nearest = min(float(overlap[k, k + 1]) for k in range(len(samples) - 1))
    independent, growth = _slow(samples, inefficiencies, strides, counts)
    return FreeEnergies(thermal * values, thermal * growth * errors, nearest, independent)


_FEWEST = 8  # frames per state

_HINT = "take more states in between, or sample longer"


def _check(samples: list[NDArray[np.float64]]) -> None:
    n_states = len(samples)
    if n_states < 2:
        raise InputError(f"{n_states} states were given", expected="at least two")
    for number, sample in enumerate(samples):
        if sample.ndim != 2 or len(sample) != n_states or sample.shape[1] < _FEWEST:
            raise InputError(
                f"the energies of state {number}'s frames have shape {sample.shape}",
                expected=f"({n_states}, n_frames): every state's energy of at least {_FEWEST} frames",
            )
        if not np.isfinite(sample).all():
            raise InputError(f"state {number}'s frames have an energy that is not finite")


def _inefficiency(sample: NDArray[np.float64]) -> float:
    """The largest statistical inefficiency of the energy differences between neighbouring states."""
    return max(statistical_inefficiency(second - first) for first, second in pairwise(sample))


def _slow(
    samples: list[NDArray[np.float64]], inefficiencies: list[float], strides: list[int], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float]:
    """Independent frames per state, and the factor of all errors; warns of states that are too short to be thinned."""
    independent, growth, slow = counts.copy(), 1.0, []
    for k, (sample, g, stride) in enumerate(zip(samples, inefficiencies, strides, strict=True)):
        if round(g) > stride:
            independent[k] = max(1, round(sample.shape[1] / g))
            growth = max(growth, float(np.sqrt(g / stride)))
            slow.append(f"{k} ({independent[k]})")
    if slow:
        warnings.warn(
            f"these states have fewer than {_FEWEST} independent frames: {', '.join(slow)}; all errors of the free"
            f" energies were multiplied by {growth:.2g} and remain rough; sample longer.",
            stacklevel=3,
        )
    return independent, growth


def _residual(reduced: NDArray[np.float64], counts: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """Largest error, in kT, of f_k = −ln Σ_n exp(−u_kn) / Σ_l N_l exp(f_l − u_ln) (eq. 11 of Shirts and Chodera)."""
    mixture = logsumexp(values[:, None] - reduced, b=counts[:, None], axis=0)
    again = -logsumexp(-reduced - mixture, axis=1)
    return float(np.abs(again - again[0] - values).max())


@contextmanager
def quiet_pymbar() -> Iterator[None]:
    """Silence pymbar, which recommends another package in its log when it is imported."""
    logger = logging.getLogger("pymbar")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
