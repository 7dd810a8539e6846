"""Errors of a model by frame, and their means with standard errors over groups of correlated frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.analysis.arguments import array
from openmm_hybrid.core.errors import InputError, MismatchError

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class MeanError:
    """A mean and its standard error.

    Parameters
    ----------
    value : float
    error : float
        One standard deviation of `value`.
    """

    value: float
    error: float


def grouped_mean(values: ArrayLike, groups: ArrayLike) -> MeanError:
    """Mean over frames, with a standard error over groups of frames, such as independent runs.

    With the mean m of N frames, and the sum S_g and the number n_g of group g of G, the squared error is
    G/(G − 1) Σ_g (S_g − n_g m)²/N² (Cochran, *Sampling Techniques*, 3rd ed., Wiley, 1977, ch. 9A). Frames of one group
    may be correlated in any way.

    Parameters
    ----------
    values : (n_frames,)
    groups : (n_frames,), int
        Group of each frame.

    Raises
    ------
    InputError
        Fewer than two groups.
    MismatchError
        The numbers of values and groups differ.
    """
    x, labels = np.asarray(values, dtype=np.float64), np.asarray(groups)
    if x.ndim != 1 or x.shape != labels.shape:
        raise MismatchError(
            f"values and groups have shapes {x.shape} and {labels.shape}", expected="two of (n_frames,)"
        )
    _, index = np.unique(labels, return_inverse=True)
    n_groups = int(index.max(initial=-1)) + 1
    if n_groups < 2:
        raise InputError(f"{n_groups} groups of frames", expected="2 or more, such as the frames of two runs")
    mean = float(x.mean())
    deviations = np.bincount(index, weights=x - mean)
    return MeanError(mean, float(np.sqrt(n_groups / (n_groups - 1) * (deviations**2).sum()) / len(x)))


@final
@dataclass(frozen=True, eq=False)
class FrameErrors:
    """Errors of predicted energies and forces, frame by frame. Made by `frame_errors`.

    Parameters
    ----------
    energy : (n_frames,), kcal/mol
        Predicted minus reference energies.
    force : (n_frames,), kcal/mol/Å
        Mean absolute error of the Cartesian force components of each frame.
    force_square : (n_frames,), (kcal/mol/Å)²
        Mean squared error of these components.
    groups : (n_frames,), int
        Group of each frame; frames of different groups are independent.
    """

    energy: Array = field(repr=False)
    force: Array = field(repr=False)
    force_square: Array = field(repr=False)
    groups: NDArray[np.int64] = field(repr=False)

    @property
    def force_mae(self) -> MeanError:
        """Mean absolute error of force components, kcal/mol/Å."""
        return grouped_mean(self.force, self.groups)

    @property
    def force_rmse(self) -> MeanError:
        """Root mean square error of force components, kcal/mol/Å."""
        return _root(grouped_mean(self.force_square, self.groups))

    @property
    def energy_mae(self) -> MeanError:
        """Mean absolute error of energies, kcal/mol."""
        return grouped_mean(np.abs(self.energy), self.groups)

    @property
    def energy_rmse(self) -> MeanError:
        """Root mean square error of energies, kcal/mol."""
        return _root(grouped_mean(self.energy**2, self.groups))

    def force_mae_above(self, other: FrameErrors) -> MeanError:
        """Force MAE minus that of another model on the same frames, kcal/mol/Å.

        The error is the standard error of the difference by frame. It is smaller than the errors of both MAEs if both
        models err on the same frames.

        Raises
        ------
        MismatchError
            The numbers of frames differ.
        """
        if self.force.shape != other.force.shape:
            raise MismatchError(
                f"errors of {len(self.force)} and {len(other.force)} frames", expected="the same frames"
            )
        return grouped_mean(self.force - other.force, self.groups)


def frame_errors(
    reference: tuple[ArrayLike, ArrayLike], predicted: tuple[ArrayLike, ArrayLike], groups: ArrayLike
) -> FrameErrors:
    """Errors of each frame, without removal of an energy offset.

    Parameters
    ----------
    reference, predicted : (energies (n_frames,), forces (n_frames, n_atoms, 3)), kcal/mol and kcal/mol/Å
    groups : (n_frames,), int
        Group of each frame, such as the index of its run.

    Raises
    ------
    MismatchError
        Shapes differ.
    InputError
        An error is not finite.
    """
    energies, other_energies = (array(part[0], "energy") for part in (reference, predicted))
    forces, other_forces = (array(part[1], "force") for part in (reference, predicted))
    index = np.asarray(groups, dtype=np.int64)
    if energies.shape != other_energies.shape or forces.shape != other_forces.shape or index.shape != energies.shape:
        raise MismatchError(
            f"predicted energies and forces have shapes {other_energies.shape} and {other_forces.shape}, and the groups"
            f" {index.shape}",
            expected=f"{energies.shape}, {forces.shape} and {energies.shape}",
        )
    energy, force = other_energies - energies, (other_forces - forces).reshape(len(forces), -1)
    if not (np.isfinite(energy).all() and np.isfinite(force).all()):
        raise InputError("an energy or force is not finite", hint="remove the frame with it")
    return FrameErrors(energy, np.abs(force).mean(axis=1), (force**2).mean(axis=1), index)


def _root(square: MeanError) -> MeanError:
    """The root of a mean square, with its error to first order."""
    value = float(np.sqrt(square.value))
    return MeanError(value, square.error / (2.0 * value) if value else 0.0)
