"""Minima of an energy model: geometries relaxed from many starts, without repetitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.models.energy_model import EnergyModel

Floats = NDArray[np.float64]

_MAX_ITERATIONS = 5000
_STEP = 0.1  # Å: the search's unit of length, and thus its first step, so that it does not cross barriers
_ABSURD = 0.5  # kcal/mol/Å: largest force at which a search that stopped early counts as converged


@final
@dataclass(frozen=True, eq=False)
class Minimum:
    """A minimum of the potential energy.

    Parameters
    ----------
    positions : (n_atoms, 3), Å
    energy : float, kcal/mol
    features : (n_features,)
        Values that distinguish it from others, such as dihedrals.
    found : int
        Number of starts that led to it.
    """

    positions: Floats = field(repr=False)
    energy: float
    features: Floats
    found: int = 1


def relax(model: EnergyModel, positions: ArrayLike, *, max_force: float = 0.005) -> tuple[Floats, float]:
    """The nearest minimum, by L-BFGS in Cartesian coordinates (Liu and Nocedal, Math. Program. 45, 503 (1989)).

    Parameters
    ----------
    model : EnergyModel
    positions : (n_atoms, 3), Å
    max_force : float, kcal/mol/Å
        Largest force component of a converged geometry. The search also ends if the energy falls no further.

    Returns
    -------
    positions : (n_atoms, 3), Å
    energy : float, kcal/mol

    Raises
    ------
    InputError
        The positions are not one geometry of the model.
    NumericalError
        Forces of 0.5 kcal/mol/Å or more are left, or are not finite.
    """
    start = np.asarray(positions, dtype=np.float64)
    shape = (len(model.atomic_numbers), 3)
    if start.shape != shape:
        raise InputError(f"positions have shape {start.shape}", expected=f"{shape}")

    return relax_by(model.predict, start, max_force=max_force)


def relax_by(
    predict: Callable[[Floats], tuple[Floats, Floats]], start: Floats, *, max_force: float
) -> tuple[Floats, float]:
    """As `relax`, with a function from positions (1, n_atoms, 3) to energies (1,) and forces (1, n_atoms, 3)."""

    def energy_and_slope(x: Floats) -> tuple[float, Floats]:
        energies, forces = predict(_STEP * x.reshape(1, *start.shape))
        return float(energies[0]), -_STEP * forces[0].ravel()

    options = {"maxiter": _MAX_ITERATIONS, "maxfun": 2 * _MAX_ITERATIONS, "maxcor": 30, "ftol": 1e-14}
    options |= {"gtol": _STEP * max_force}
    found = minimize(energy_and_slope, start.ravel() / _STEP, jac=True, method="L-BFGS-B", options=options)
    left = np.abs(found.jac).max() / _STEP
    if not left < _ABSURD:
        raise NumericalError(
            f"the search for a minimum stopped at a force of {left:.3g} kcal/mol/Å",
            hint="start closer to a minimum, within the range of the model",
        )
    return _STEP * found.x.reshape(start.shape), float(found.fun)


def minima(
    model: EnergyModel,
    starts: Sequence[ArrayLike],
    features: Callable[[Floats], Floats],
    *,
    same_energy: float = 0.02,
    same_features: float = 0.1,
) -> list[Minimum]:
    """Distinct minima to which a set of geometries relaxes; the lowest comes first.

    Parameters
    ----------
    model : EnergyModel
    starts : sequence of (n_atoms, 3), Å
        Start geometries. A start that leads to no minimum is ignored.
    features : function
        Positions (n_atoms, 3) → values (n_features,) that distinguish conformations and are equal for symmetry images.
    same_energy : float, kcal/mol
    same_features : float
        Two minima are the same if both their energies and all their features differ by less than these.
    """
    relaxed = []
    for start in starts:
        try:
            relaxed.append(relax(model, start))
        except NumericalError:
            continue
    return distinct(relaxed, features, same_energy=same_energy, same_features=same_features)


def distinct(
    relaxed: Iterable[tuple[Floats, float]],
    features: Callable[[Floats], Floats],
    *,
    same_energy: float = 0.02,
    same_features: float = 0.1,
) -> list[Minimum]:
    """The distinct ones of relaxed geometries, the lowest first; the first one of equal ones is kept.

    Parameters
    ----------
    relaxed : iterable of (positions (n_atoms, 3), energy)
        Å and kcal/mol.
    features, same_energy, same_features
        See `minima`.
    """
    found: list[Minimum] = []
    for positions, energy in relaxed:
        values = features(positions)
        for number, known in enumerate(found):
            if (
                abs(energy - known.energy) < same_energy
                and np.abs(values - known.features).max(initial=0.0) < same_features
            ):
                found[number] = Minimum(known.positions, known.energy, known.features, known.found + 1)
                break
        else:
            found.append(Minimum(positions, energy, values))
    return sorted(found, key=lambda minimum: minimum.energy)
