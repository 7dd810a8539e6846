"""Errors of a model by frame, and their means with standard errors over groups of correlated frames."""

from __future__ import annotations

from collections.abc import Sequence
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
    """Errors of one or more models on the same frames, frame by frame. Made by `frame_errors`.

    The models stand for repetitions of one training, with independent training frames. The standard errors of this
    class add the variance over groups of test frames and, for two or more models, the variance over models.

    Parameters
    ----------
    energy : (n_models, n_frames), kcal/mol
        Predicted minus reference energies.
    force : (n_models, n_frames), kcal/mol/Å
        Mean absolute error of the Cartesian force components of each frame.
    force_square : (n_models, n_frames), (kcal/mol/Å)²
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
        return self._mean(self.force)

    @property
    def force_rmse(self) -> MeanError:
        """Root mean square error of force components, kcal/mol/Å."""
        return _root(self._mean(self.force_square))

    @property
    def energy_mae(self) -> MeanError:
        """Mean absolute error of energies, kcal/mol."""
        return self._mean(np.abs(self.energy))

    @property
    def energy_rmse(self) -> MeanError:
        """Root mean square error of energies, kcal/mol."""
        return _root(self._mean(self.energy**2))

    def force_mae_above(self, other: FrameErrors) -> MeanError:
        """Force MAE minus that of other models on the same frames, kcal/mol/Å.

        The standard error is that of the difference by frame, plus the variance over the models of each. It is smaller
        than the errors of both MAEs suggest if both err on the same frames.

        Raises
        ------
        MismatchError
            The numbers of frames differ.
        """
        if self.force.shape[1:] != other.force.shape[1:]:
            raise MismatchError(
                f"errors of {self.force.shape[1]} and {other.force.shape[1]} frames", expected="the same frames"
            )
        difference = grouped_mean(self.force.mean(axis=0) - other.force.mean(axis=0), self.groups)
        variance = difference.error**2 + _over_models(self.force) + _over_models(other.force)
        return MeanError(difference.value, float(np.sqrt(variance)))

    def _mean(self, values: Array) -> MeanError:
        found = grouped_mean(values.mean(axis=0), self.groups)
        return MeanError(found.value, float(np.sqrt(found.error**2 + _over_models(values))))


def frame_errors(
    reference: tuple[ArrayLike, ArrayLike], predicted: Sequence[tuple[ArrayLike, ArrayLike]], groups: ArrayLike
) -> FrameErrors:
    """Errors of each frame, without removal of an energy offset.

    Parameters
    ----------
    reference : (energies (n_frames,), forces (n_frames, n_atoms, 3)), kcal/mol and kcal/mol/Å
    predicted : sequence of such pairs
        Predictions of each model.
    groups : (n_frames,), int
        Group of each frame, such as the index of its run.

    Raises
    ------
    MismatchError
        Shapes differ.
    InputError
        There is no model, or an error is not finite.
    """
    energies, forces, index = array(reference[0], "energy"), array(reference[1], "force"), np.asarray(groups)
    if not predicted:
        raise InputError("there are no predictions", expected="energies and forces of one model or more")
    energy, force = [], []
    for pair in predicted:
        theirs, their_forces = array(pair[0], "energy"), array(pair[1], "force")
        if theirs.shape != energies.shape or their_forces.shape != forces.shape or index.shape != energies.shape:
            raise MismatchError(
                f"predicted energies and forces have shapes {theirs.shape} and {their_forces.shape}, and the groups"
                f" {index.shape}",
                expected=f"{energies.shape}, {forces.shape} and {energies.shape}",
            )
        energy.append(theirs - energies)
        force.append((their_forces - forces).reshape(len(forces), -1))
    errors, force_errors = np.array(energy), np.array(force)
    if not (np.isfinite(errors).all() and np.isfinite(force_errors).all()):
        raise InputError("an energy or force is not finite", hint="remove the frame with it")
    return FrameErrors(errors, np.abs(force_errors).mean(axis=2), (force_errors**2).mean(axis=2), index)


def _over_models(values: Array) -> float:
    """Squared standard error of the mean over models of values (n_models, n_frames); 0 for one model."""
    n_models = len(values)
    return float(values.mean(axis=1).var(ddof=1) / n_models) if n_models > 1 else 0.0


def _root(square: MeanError) -> MeanError:
    """The root of a mean square, with its error to first order."""
    value = float(np.sqrt(square.value))
    return MeanError(value, square.error / (2.0 * value) if value else 0.0)
