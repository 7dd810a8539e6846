"""Densities of dihedrals, reweighting to another ensemble, and the divergence of two densities."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import jensenshannon
from scipy.special import i0e, logsumexp

from openmm_hybrid.analysis.arguments import array, radians
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import BOLTZMANN, kelvin, strip

Array = NDArray[np.float64]

_FEW = 30  # effective number of frames below which reweighting warns


@dataclass(frozen=True, eq=False)
class Density:
    """A probability density of one or two dihedrals on a periodic grid.

    Parameters
    ----------
    grid : (n,), rad
        Midpoints of n equal bins of [−π, π), the same for each dihedral.
    values : (n,) or (n, n), 1/rad or 1/rad²
        Density; its sum times the width or area of a bin is 1. Axis 0 is the first dihedral.
    """

    grid: Array
    values: Array

    @property
    def probabilities(self) -> Array:
        """Probability of each bin; same shape as `values`, with the sum 1."""
        return self.values * (2.0 * np.pi / len(self.grid)) ** self.values.ndim

    def marginal(self, axis: int) -> Density:
        """Density of one of the two dihedrals, integrated over the other."""
        if self.values.ndim != 2 or axis not in (0, 1):
            raise InputError(f"there is no marginal {axis} of a {self.values.ndim}-D density", expected="0 or 1 of 2-D")
        return Density(self.grid, self.values.sum(axis=1 - axis) * (2.0 * np.pi / len(self.grid)))

    def free_energy(self, temperature: float) -> Array:
        """Free energy −kT ln p, kcal/mol, with the minimum at zero; infinite where the density is zero."""
        with np.errstate(divide="ignore"):
            profile = -BOLTZMANN * kelvin(temperature) * np.log(self.values)
        return np.asarray(profile - profile.min())


@dataclass(frozen=True, eq=False)
class Weights:
    """Statistical weights of frames.

    Parameters
    ----------
    values : (n_frames,)
        Weights with the sum 1.
    """

    values: Array

    @property
    def effective_samples(self) -> float:
        """Effective number of frames (Σw)²/Σw² (Kish, *Survey Sampling*, 1965)."""
        return float(1.0 / np.sum(self.values**2))


def boltzmann_weights(sampled: ArrayLike, target: ArrayLike, temperature: float) -> Weights:
    """Weights that convert averages over one ensemble into averages over another.

    w ∝ exp(−(E_target − E_sampled)/kT) (Zwanzig, J. Chem. Phys. 22, 1420 (1954)). Warns if `effective_samples` is
    below 30: then averages depend on a few frames, or on one frame with a wrong energy.

    Parameters
    ----------
    sampled, target : (n_frames,), kcal/mol, or Quantities
        Energies of the same frames by the model that sampled them and by the target model; constants cancel.
    temperature : float, K

    Raises
    ------
    InputError
        An energy is not finite, or the temperature is not above zero.
    MismatchError
        The numbers of energies differ.
    """
    made, wanted = array(sampled, "energy"), array(target, "energy")
    thermal = BOLTZMANN * kelvin(temperature)
    if made.ndim != 1 or made.shape != wanted.shape or not made.size:
        raise MismatchError(f"energies have shapes {made.shape} and {wanted.shape}", expected="two of (n_frames,)")
    exponents = -(wanted - made) / thermal
    if not np.isfinite(exponents).all():
        raise InputError("an energy is not finite")
    weights = Weights(np.exp(exponents - logsumexp(exponents)))
    if weights.effective_samples < _FEW <= len(made):
        warnings.warn(
            f"averages over {len(made)} reweighted frames depend on {weights.effective_samples:.1f} of them: the"
            " ensembles hardly overlap or an energy is wrong; check the frames of largest weight or sample the target.",
            stacklevel=2,
        )
    return weights


def dihedral_density(
    dihedrals: ArrayLike,
    *,
    n_bins: int = 72,
    method: str = "kde",
    bandwidth: float = 0.12,
    weights: ArrayLike | None = None,
) -> Density:
    """Density of one dihedral, or joint density of two.

    "kde": p(φ) = Σ_i w_i exp(κ cos(φ − φ_i)) / (2π I₀(κ)), the von Mises kernel (Mardia and Jupp, *Directional
    Statistics*, 2000, ch. 12) with κ = 1/bandwidth²; a product of two of them in 2-D. "histogram": counts in bins.

    Parameters
    ----------
    dihedrals : (n_frames,) or (n_frames, 2), rad, or a Quantity
    n_bins : int
        Number of bins per dihedral.
    method : {"kde", "histogram"}
    bandwidth : float, rad
        Standard deviation of the kernel; the default of 0.12 (7°) is below the thermal width of a basin at 300 K.
    weights : (n_frames,), optional
        Weights of the frames, not negative, on any scale.

    Raises
    ------
    InputError
        Wrong shape, numbers that are not finite or beyond ±2π, negative weights, a bin or bandwidth out of range.
    """
    values = radians(dihedrals)
    bandwidth = float(strip(bandwidth, "angle"))
    columns = values[:, None] if values.ndim == 1 else values
    if columns.ndim != 2 or columns.shape[1] not in (1, 2) or not len(columns):
        raise InputError(f"dihedrals have shape {values.shape}", expected="(n_frames,) or (n_frames, 2)")
    weight = np.ones(len(columns)) if weights is None else np.array(weights, dtype=np.float64)
    if weight.shape != (len(columns),) or not (weight >= 0).all() or not 0 < weight.sum() < np.inf:
        raise InputError("the weights cannot be used", expected=f"{len(columns)} numbers, not negative, not all zero")
    if not np.isfinite(columns).all() or n_bins < 2 or not bandwidth > 0 or method not in ("kde", "histogram"):
        raise InputError(
            "no density can be computed with these arguments",
            expected='finite dihedrals, method "kde" or "histogram", n_bins of 2 or more, a positive bandwidth',
        )
    weight /= weight.sum()
    width = 2.0 * np.pi / n_bins
    grid: Array = np.asarray(-np.pi + width * (np.arange(n_bins) + 0.5), dtype=np.float64)
    kernels = [_kernel(column, grid, bandwidth if method == "kde" else None) for column in columns.T]
    joint = weight @ kernels[0] if len(kernels) == 1 else kernels[0].T @ (weight[:, None] * kernels[1])
    return Density(grid, np.asarray(joint / (joint.sum() * width ** len(kernels))))


def _kernel(values: Array, grid: Array, bandwidth: float | None) -> Array:
    """Contribution of each value to each bin of the grid (n_frames, n_bins), up to a constant."""
    if bandwidth is None:
        bins = np.floor((values + np.pi) / (2.0 * np.pi) * len(grid)).astype(np.int64) % len(grid)
        return np.eye(len(grid))[bins]
    kappa = bandwidth**-2
    return np.exp(kappa * (np.cos(values[:, None] - grid) - 1.0)) / (2.0 * np.pi * i0e(kappa))


def jensen_shannon(first: Density, second: Density) -> float:
    """Jensen-Shannon divergence in bits: 0 for equal densities, 1 for densities without overlap.

    ½ Σ p log₂(p/m) + ½ Σ q log₂(q/m), m = (p + q)/2, over the bins' probabilities (Lin, IEEE Trans. Inf. Theory 37, 145
    (1991)); the square of `scipy.spatial.distance.jensenshannon` with base 2.

    Raises
    ------
    MismatchError
        The grids differ.
    """
    if first.values.shape != second.values.shape:
        raise MismatchError(f"the densities have shapes {first.values.shape} and {second.values.shape}")
    distance = jensenshannon(first.probabilities.ravel(), second.probabilities.ravel(), base=2)
    return float(distance**2)
