"""Energy drift of simulations at constant energy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import linregress

from openmm_hybrid.analysis.arguments import array
from openmm_hybrid.analysis.blocks import statistical_inefficiency
from openmm_hybrid.core.errors import InputError


@dataclass(frozen=True)
class Drift:
    """Drift of the total energy with time.

    Parameters
    ----------
    value : float
        Slope of the total energy, kcal/mol/ps/atom.
    error : float
        One standard deviation of `value`, kcal/mol/ps/atom.
    fluctuation : float
        Root mean square deviation of the total energy from the line, kcal/mol.
    """

    value: float
    error: float
    fluctuation: float


def energy_drift(time: ArrayLike, total_energy: ArrayLike, n_atoms: int) -> Drift:
    """Drift of the total energy per atom, by linear regression.

    The error is the standard error of the regression times √g, with g the statistical inefficiency of the residuals.

    Parameters
    ----------
    time : (n_frames,), ps, or a Quantity
    total_energy : (n_frames,), kcal/mol, or a Quantity
        Total energy, as in the log of an "nve" run.
    n_atoms : int

    Raises
    ------
    InputError
        Fewer than 8 frames, shapes that differ, or numbers that are not finite.
    """
    # Times are in ps here, and in fs in internal units.
    quantity = hasattr(time, "value_in_unit") or (
        isinstance(time, list) and hasattr(next(iter(time), 0), "value_in_unit")
    )
    t, energy = array(time, "time") * (1e-3 if quantity else 1.0), array(total_energy, "energy")
    if t.ndim != 1 or t.shape != energy.shape or len(t) < 8 or n_atoms < 1:
        raise InputError(
            f"time has shape {t.shape}, the energy {energy.shape}", expected="two series of the same 8 frames or more"
        )
    if not (np.isfinite(t).all() and np.isfinite(energy).all()):
        raise InputError("the energy or time series holds a number that is not finite")
    shifted = energy - energy[0]  # a large total energy would cost digits
    fit = linregress(t, shifted)
    residuals = shifted - (fit.intercept + fit.slope * t)
    error = fit.stderr * np.sqrt(statistical_inefficiency(residuals))
    return Drift(float(fit.slope / n_atoms), float(error / n_atoms), float(np.sqrt(np.mean(residuals**2))))
