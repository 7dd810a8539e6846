"""Plausibility of labels: reference forces and energies beside those of a force field.

A force field has about the forces of every reference: labels in other units, of the wrong sign or of other frames
differ from it far more than two methods do. Where a force field fits badly, its forces also correlate less with the
reference's, so that small factors are judged only where the correlation is high. The limits are our choice; the tests
compare them with published data and with GFN2-xTB.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.unit_ratios import ENERGIES, FORCES, OFF, explained, is_impossible, is_off
from openmm_hybrid.data.frame_checks import length_fault, refuse_impossible_labels, unbalanced_frames
from openmm_hybrid.data.frames import Frames

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_COMPONENTS = 30  # smallest number of force components that are judged
_RELATED, _UNRELATED, _OPPOSITE = 0.6, 0.3, -0.5  # correlations: judged further, of other frames, of gradients
_EVEN = 1.6  # largest ratio of the quartiles of a factor that is the same in all frames
_FAR = 3.0  # factor that is told although no unit explains it
_MANY, _FEW, _FEWEST = 30, 20, 8  # frames for the two limits of `_LOOSE`, and for outliers
_SURE = 6.0  # factor from which on a low correlation does not matter
_CLOSE, _RANKED = 0.85, 0.75  # least correlation of forces, and of energies by rank, for smaller factors
_LOOSE = (0.3, 0.15)  # smallest rank correlation of energies in many and in few frames
_ERROR, _FORCE = 18.0, 5.0  # force error of an outlier, relative to the median error and to the typical largest force
_AGREED, _LOWEST = 0.8, 0.25  # median correlation of frames that agree, and correlation of an outlier among them
_ENERGY_ERROR, _SPREAD = 10.0, 6.0  # energy error of an outlier, relative to the usual error and to the spread
_REACH = 1.0  # Å; largest energy error that a force error explains, relative to it
_SMALL = 0.5  # kcal/mol; spread of energies below which they are not judged
_APART, _MARGIN = 6.0, 60.0  # distance of two groups in standard deviations, in many frames, and its growth in few
_SIDE, _LEAST = 0.05, 3  # least part and number of frames in the smaller of two groups
_LEVELS = 10.0  # kcal/mol; distance of the energies of two groups that no force field explains
_SCALED, _TAIL = 2.2, 6.0  # factor between the forces of a frame and those of others, also in usual deviations
_SHOWN = 8  # outliers that a message lists
_UNKNOWN = "no unit explains the factor, so check how they were computed and converted"


@final
@dataclass(frozen=True)
class Fault:
    """A fault of labels, what to do about it, and whether it excludes that the labels are right."""

    problem: str
    remedy: str
    impossible: bool = False

    def __str__(self) -> str:
        return f"{self.problem}: {self.remedy}"


@final
@dataclass(frozen=True)
class LabelComparison:
    """Labels beside the energies and forces of a force field.

    Parameters
    ----------
    n_frames : int
    force_ratio, force_correlation : float
        Size of the reference forces relative to the force field's, and correlation of the two: medians over the frames.
        NaN, like the next two, where there are too few numbers, or the force field leaves out atoms.
    energy_ratio, energy_correlation : float
        Spread of the reference energies relative to the force field's, and rank correlation of the two.
    outliers : tuple of int
        Indices of frames whose labels do not fit, although those of the other frames do.
    faults : tuple of Fault
    """

    n_frames: int
    force_ratio: float = math.nan
    force_correlation: float = math.nan
    energy_ratio: float = math.nan
    energy_correlation: float = math.nan
    outliers: tuple[int, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def summary(self) -> str:
        """The faults, or the comparison of the forces, in one line."""
        if self.faults:
            return "; ".join(fault.problem for fault in self.faults)
        if math.isnan(self.force_ratio):
            return "too few to compare"
        return f"forces {self.force_ratio:.2f} times the force field's, correlation {self.force_correlation:.2f}"


def check_labels(
    frames: Frames, predicted: tuple[Floats, Floats], *, indices: Ints | None = None, stacklevel: int = 3
) -> LabelComparison:
    """Compare labels with the energies and forces of a force field; refuse or warn of what is not plausible.

    Parameters
    ----------
    frames : Frames
        Frames with forces; energies are compared too if there are any.
    predicted : (n_frames,), (n_frames, n_atoms, 3)
        Energies and forces of the force field, kcal/mol and kcal/mol/Å.
    indices : (n_frames,), optional
        Indices of the frames in the data set that the user knows; 0, 1, 2, … by default.
    stacklevel : int
        Of the warnings.

    Raises
    ------
    InputError
        The frames have no forces; forces or energies have the wrong sign, or are in other units by a factor of 8 or
        more in all frames; the positions are in bohr or nm; labels never change; or the forces have a net force or
        torque.

    Warns
    -----
    UserWarning
        Labels in other units by a smaller factor or in some frames, energies or forces of other frames, energies of
        two levels of theory, and outliers.
    """
    if text := length_fault(frames):
        problem, _, remedy = text.partition(": ")
        raise InputError(problem, hint=remedy)
    found = compare_labels(frames, predicted, indices=indices)
    for fault in found.faults:
        if fault.impossible:
            raise InputError(f"{fault.problem} in {frames.name!r}", hint=fault.remedy)
    refuse_impossible_labels(frames)
    for fault in found.faults:
        warnings.warn(f"labels of {frames.name!r}: {fault}.", stacklevel=stacklevel)
    names = np.arange(len(frames)) if indices is None else np.asarray(indices)
    others = ~np.isin(names, found.outliers)
    if text := unbalanced_frames(frames[others], names[others]):
        warnings.warn(text, stacklevel=stacklevel)
    return found


def compare_labels(frames: Frames, predicted: tuple[Floats, Floats], *, indices: Ints | None = None) -> LabelComparison:
    """The comparison that `check_labels` judges; arguments as there.

    Raises
    ------
    InputError
        The frames have no forces.
    """
    if frames.forces is None:
        raise InputError(f"the frames of {frames.name!r} have no forces", hint="label them with a reference engine")
    energies, forces = predicted
    ratios, correlations = _per_frame(frames.forces, forces)
    judged = np.isfinite(ratios)
    whole = bool((forces != 0.0).any(axis=(0, 2)).all())  # without forces on some atoms it is no force field of all
    if not whole or judged.sum() * 3 * frames.n_atoms < _COMPONENTS:
        return LabelComparison(len(frames))
    ratio, correlation = float(np.median(ratios[judged])), float(np.median(correlations[judged]))
    outliers, spread, rank = np.zeros(0, dtype=np.int64), math.nan, math.nan
    names = np.arange(len(frames)) if indices is None else np.asarray(indices)
    mixed: list[Fault] = []
    if abs(correlation) > _RELATED:
        sign = float(np.sign(correlation))
        scaled = frames.forces * (sign / ratio)
        outliers = _outliers(scaled, forces, correlations * sign)
        strong = np.setdiff1d(_strong(scaled, forces), outliers)
        mixed += _scaled_fault(ratios[strong], correlations[strong] * sign, names[strong])
        if frames.energies is not None and (levels := _level_fault(frames.energies - energies, names)):
            mixed.append(levels)
        elif frames.energies is not None:
            more = _energy_outliers(frames.energies, energies, _REACH * _largest(scaled - forces))
            outliers = np.union1d(outliers, more)
            kept = np.setdiff1d(np.arange(len(frames)), outliers)
            spread, rank = _energy_agreement(frames.energies[kept], energies[kept])
    even = bool(np.quantile(ratios[judged], 0.75) < _EVEN * np.quantile(ratios[judged], 0.25))
    faults = [*_faults(ratio, correlation, spread, rank, even, len(frames)), *mixed]
    if outliers.size:
        outliers = np.sort(names[outliers])
        faults.append(_outlier_fault(outliers.tolist()))
    return LabelComparison(len(frames), ratio, correlation, spread, rank, tuple(outliers.tolist()), tuple(faults))


def _per_frame(reference: Floats, model: Floats) -> tuple[Floats, Floats]:
    """Ratio of the sizes and correlation of the forces in each frame (n_frames,); NaN where one of them is zero."""
    squares, others = (reference**2).sum(axis=(1, 2)), (model**2).sum(axis=(1, 2))
    both = (squares > 0.0) & (others > 0.0)
    ratios, correlations = np.full(len(both), np.nan), np.full(len(both), np.nan)
    ratios[both] = np.sqrt(squares[both] / others[both])
    correlations[both] = (reference * model).sum(axis=(1, 2))[both] / np.sqrt(squares[both] * others[both])
    return ratios, correlations


def _outliers(reference: Floats, model: Floats, correlations: Floats) -> Ints:
    if len(reference) < _FEWEST:
        return np.zeros(0, dtype=np.int64)
    errors, typical = _largest(reference - model), np.median(_largest(reference))
    far = (errors > _ERROR * np.median(errors)) & (errors > _FORCE * typical)
    if np.nanmedian(correlations) > _AGREED:
        far |= (correlations < _LOWEST) & (errors > typical)
    return np.flatnonzero(far)


def _groups(values: Floats) -> tuple[NDArray[np.bool_], float] | None:
    """Mask of the smaller of two groups of values far apart, and the distance of its mean from that of the others.

    The two groups are those with the smallest sum of squared deviations from their means. Two groups are far apart if
    normally or evenly distributed values hardly ever give this distance; the limit is our choice.
    """
    n = len(values)
    side = max(_LEAST, math.ceil(_SIDE * n))
    if n < max(_FEWEST, 2 * side):
        return None
    order = np.argsort(values)
    ordered = values[order] - np.median(values)
    low = np.arange(1, n)
    sums, squares = np.cumsum(ordered), np.cumsum(ordered**2)
    means, others = sums[:-1] / low, (sums[-1] - sums[:-1]) / (n - low)
    within = np.sqrt(np.maximum(squares[-1] - low * means**2 - (n - low) * others**2, 1e-12 * squares[-1]) / (n - 2))
    inside = slice(side - 1, n - side)
    at = side - 1 + int(np.argmin(within[inside]))
    distance = float(others[at] - means[at])
    if distance <= (_APART + _MARGIN / (n - 4)) * within[at]:
        return None
    mask = np.zeros(n, dtype=bool)
    few = 2 * low[at] <= n
    mask[order[: low[at]] if few else order[low[at] :]] = True
    return mask, -distance if few else distance


def _level_fault(differences: Floats, names: Ints) -> Fault | None:
    """Two groups of reference energies less those of the force field (n_frames,), as of two levels of theory."""
    found = _groups(differences)
    if found is None or abs(found[1]) < _LEVELS:
        return None
    few = np.sort(names[found[0]]).tolist()
    return Fault(
        f"the energies less the force field's form two groups of {len(differences) - len(few)} and {len(few)} frames, "
        f"{abs(found[1]):.3g} kcal/mol apart (one of them: frames {_listed(few)})",
        "check that all come from one level of theory and one program",
    )


def _strong(reference: Floats, model: Floats) -> Ints:
    """Frames in which the force field's forces are larger than its usual error.

    Near its minima they are smaller, and their ratio to the reference's tells nothing.
    """
    sizes, errors = (np.sqrt((part**2).sum(axis=(1, 2))) for part in (model, reference - model))
    return np.flatnonzero(sizes > np.median(errors))


def _scaled_fault(ratios: Floats, correlations: Floats, names: Ints) -> Iterator[Fault]:
    """Frames whose forces have the direction of the force field's, but are larger or smaller than in the others."""
    if len(ratios) < _FEWEST or not (ratios > 0.0).all():
        return
    logarithms = np.log(ratios)
    found = _groups(logarithms)
    off = np.abs(logarithms - np.median(logarithms))
    far = off > max(math.log(_SCALED), _TAIL * _spread(logarithms))
    if found is not None and abs(found[1]) > math.log(_SCALED):
        far = found[0]
    far &= correlations > _RELATED
    if not far.any():
        return
    factor = math.exp(float(np.median(logarithms[far]) - np.median(logarithms[~far])))
    few = np.sort(names[far]).tolist()
    which = f"frame{'s' if len(few) > 1 else ''} {_listed(few)}"
    problem = f"beside the force field's, the forces of {which} are {factor:.3g} times those of the other frames"
    yield Fault(problem, explained(factor, FORCES) or _UNKNOWN)


def _listed(indices: list[int]) -> str:
    more = f" and {len(indices) - _SHOWN} more" if len(indices) > _SHOWN else ""
    return f"{', '.join(map(str, indices[:_SHOWN]))}{more}"


def _largest(forces: Floats) -> Floats:
    """The largest force (n_frames,) on an atom of each frame."""
    found: Floats = np.linalg.norm(forces, axis=2).max(axis=1)
    return found


def _energy_outliers(reference: Floats, model: Floats, least: Floats) -> Ints:
    """Frames with an energy far from the line through the others, beyond `least` (n_frames,), kcal/mol."""
    spread, other = _spread(reference), _spread(model)
    if len(reference) < _FEWEST or spread == 0.0 or other < _SMALL:
        return np.zeros(0, dtype=np.int64)
    errors = reference * (other / spread) - model
    errors = np.abs(errors - np.median(errors))
    usual = 1.4826 * float(np.median(errors))
    return np.flatnonzero(errors > np.maximum(least, max(_ENERGY_ERROR * usual, _SPREAD * other)))


def _energy_agreement(reference: Floats, model: Floats) -> tuple[float, float]:
    """Ratio of the spreads, and rank correlation; NaN for few frames, or energies that hardly differ."""
    spread, other = _spread(reference), _spread(model)
    if len(reference) < _FEW or other < _SMALL or spread == 0.0:
        return math.nan, math.nan
    ranks, others = (np.argsort(np.argsort(values)).astype(float) for values in (reference, model))
    return spread / other, float(np.corrcoef(ranks, others)[0, 1])


def _spread(values: Floats) -> float:
    """Standard deviation of a normal distribution with the median absolute deviation of these values."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _faults(ratio: float, correlation: float, spread: float, rank: float, even: bool, n_frames: int) -> Iterator[Fault]:
    if correlation < _OPPOSITE:
        size = f" and are {ratio:.3g} times as large" if is_off(ratio) else ""
        yield Fault(
            f"the forces point against the force field's (correlation {correlation:.2f}){size}",
            "they are gradients, so multiply them by −1: dataclasses.replace(frames, forces=-frames.forces)",
            impossible=True,
        )
    elif correlation < _UNRELATED and 1.0 / _FAR < ratio < _FAR:
        yield Fault(
            f"the forces hardly correlate with the force field's ({correlation:.2f})",
            "check that they belong to these frames, in the same order of frames and atoms",
        )
    if correlation < _RELATED:
        return
    if rank < _OPPOSITE:
        yield Fault(
            f"the energies have the opposite sign of the force field's (rank correlation {rank:.2f})",
            "multiply them by −1: dataclasses.replace(frames, energies=-frames.energies)",
            impossible=True,
        )
        return
    forces_off, energies_off = _is_sure(ratio, correlation, _CLOSE), _is_sure(spread, rank, _RANKED)
    both = forces_off and energies_off and max(spread / ratio, ratio / spread) < OFF
    if both and (causes := explained(ratio, ENERGIES)):
        problem = f"energies and forces are {ratio:.3g} times the force field's"
        yield Fault(problem, causes, impossible=even and is_impossible(ratio))
        return
    if forces_off and (fault := _factor_fault("forces", ratio, explained(ratio, FORCES))):
        yield Fault(*fault, impossible=even and is_impossible(ratio) and fault[1] != _UNKNOWN)
    if rank < _LOOSE[n_frames < _MANY]:
        yield Fault(
            f"the energies hardly correlate with the force field's ({rank:.2f}), although the forces do "
            f"({correlation:.2f})",
            "check that they belong to these frames, in the same order, and to one level of theory",
        )
    elif energies_off and (fault := _factor_fault("energies", spread, explained(spread, ENERGIES))):
        yield Fault(*fault, impossible=is_impossible(spread) and fault[1] != _UNKNOWN)


def _is_sure(ratio: float, correlation: float, close: float) -> bool:
    """Whether a factor cannot come from a force field that fits badly."""
    return is_off(ratio) and (correlation > close or not 1.0 / _SURE < ratio < _SURE)


def _factor_fault(what: str, ratio: float, causes: str) -> tuple[str, str] | None:
    if not causes and 1.0 / _FAR < ratio < _FAR:
        return None
    spread = "" if what == "forces" else "the spread of "
    return f"{spread}the {what} {'is' if spread else 'are'} {ratio:.3g} times the force field's", causes or _UNKNOWN


def _outlier_fault(outliers: list[int]) -> Fault:
    if len(outliers) == 1:
        return Fault(f"frame {outliers[0]} does not fit the others", "check its geometry and labels, or leave it out")
    return Fault(
        f"frames {_listed(outliers)} do not fit the others", "check their geometries and labels, or leave them out"
    )
