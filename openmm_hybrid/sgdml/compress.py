"""Compression: a model with fewer points whose forces are close to those of the original model.

Fewer points make an evaluation faster, but training on fewer points would lose the labels of the others. The
coefficients of a compressed model are instead fitted, by regularised least squares, to the forces of the original model
at all its training geometries and at as many geometries from dynamics with the model. Each of its points carries more
functions than a training point does (see `projection`). It remains a sum of kernel functions: energies are the exact
integral of the forces, the symmetry is kept, and its file has the layout of any sGDML model.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch

from openmm_hybrid.analysis.error_table import ErrorTable
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.data.formats.npz import dataset_md5
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.sgdml.check import assess
from openmm_hybrid.sgdml.descriptor import pair_permutations
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.projection import Functions, Projection, Targets, functions_that_fit
from openmm_hybrid.sgdml.solve import MEMORY_SHARE, available_memory
from openmm_hybrid.sgdml.surrogate_geometries import similar_geometries, training_geometries

_LADDER = (2, 3, 5, 8)  # factors by which the number of points is reduced, tried one after another
_LAMS = (1e-7, 1e-8, 1e-9, 1e-10, 1e-11)  # values of λ that are tried
_ENOUGH = 0.6  # number of functions, relative to the coefficients of the original model
_MAX_FUNCTIONS = 12_000
_VALID = 0.2  # number of geometries on which λ is chosen, relative to the fitted geometries from dynamics
_FEWEST = 20  # smallest number of geometries on which λ is chosen


@final
@dataclass(frozen=True, eq=False)
class CompressionPoint:
    """A model with fewer points, its errors and its cost.

    Parameters
    ----------
    model : SGDMLModel
    errors : ErrorTable
        Errors on the frames held out.
    cost : float
        Operations per evaluation, relative to the original model.
    """

    model: SGDMLModel
    errors: ErrorTable
    cost: float

    @property
    def n_points(self) -> int:
        """Number of points."""
        return self.model.n_train


@final
@dataclass(frozen=True, eq=False)
class Compression:
    """The compressed models, and the chosen one.

    Parameters
    ----------
    model : SGDMLModel
        The model with the fewest points whose force MAE is within the limit; without a limit, with the fewest points.
    curve : tuple of CompressionPoint
        The original model, then the others in decreasing number of points.
    """

    model: SGDMLModel
    curve: tuple[CompressionPoint, ...]


def compress(
    model: SGDMLModel,
    frames: Frames,
    *,
    n_points: int | Sequence[int] | None = None,
    max_force_error: float | None = None,
    n_extra: int | None = None,
    n_functions: int | None = None,
    max_memory: float | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Compression:
    """Fit models with fewer points to a model's forces, and measure their errors on labelled frames.

    The points are selected at random from the model's points. λ is chosen by the force MAE against the original model,
    on geometries that are not fitted.

    Parameters
    ----------
    model : SGDMLModel
    frames : Frames
        Labelled frames on which errors are measured. If they are the model's own data set (by its fingerprint), the
        training frames are left out.
    n_points : int or several, optional
        Numbers of points. By default, a half, a third, a fifth and an eighth of the model's points, in this order until
        `max_force_error` is exceeded.
    max_force_error : float, kcal/mol/Å, optional
        Limit of the force MAE on the held-out frames.
    n_extra : int, optional
        Number of fitted geometries from dynamics; by default, the number of training geometries.
    n_functions : int, optional
        Upper limit of the number of functions of all points together; 12 000 by default. Time and memory grow with its
        square.
    max_memory : float, GB, optional
        Memory that may be used, which limits the number of functions; 80 % of the free memory by default.
    seed : int
    progress : bool
        Show the progress.

    Raises
    ------
    InputError
        A number out of range; frames without forces, or no frames that the model was not trained on.
    MismatchError
        The frames' atoms are not the model's.
    NumericalError
        The functions are linearly dependent in float64.
    """
    if any(number is not None and number < 1 for number in (n_extra, n_functions)):
        raise InputError(f"n_extra = {n_extra}, n_functions = {n_functions}", expected="one or more")
    held_out = _held_out(model, frames)
    sizes = _sizes(model, n_points, max_force_error)
    limit = functions_that_fit(MEMORY_SHARE * available_memory() if max_memory is None else 1e9 * max_memory)
    effort = _Effort(min(limit, _MAX_FUNCTIONS if n_functions is None else n_functions), seed, progress)
    targets, chosen_on = _targets(model, model.n_train if n_extra is None else n_extra, seed)
    curve = [CompressionPoint(model, assess(model, held_out), 1.0)]
    for size in sizes:
        smaller = _fit(model, targets, chosen_on, size, effort)
        curve.append(CompressionPoint(smaller, assess(smaller, held_out), _operations(smaller) / _operations(model)))
        if n_points is None and max_force_error is not None and curve[-1].errors.force_mae > max_force_error:
            break
    return Compression(_best(curve, max_force_error), tuple(curve))


def _targets(model: SGDMLModel, n_extra: int, seed: int) -> tuple[Targets, Frames]:
    """Energies and forces of a model, in units of the forces' standard deviation; and frames on which λ is chosen."""
    n_valid = max(_FEWEST, round(_VALID * n_extra))
    extra = similar_geometries(model, n_extra + n_valid, seed=seed)
    chosen_on = Frames(model.atomic_numbers, extra[:n_valid], *model.evaluate(extra[:n_valid]))
    positions = np.concatenate([training_geometries(model), extra[n_valid:]])
    energies, forces = model.evaluate(positions)
    kernel = HessianKernel.of(positions, model.perms, model.sigma)
    slopes = kernel.reduce(torch.tensor(-forces / model.std))
    return Targets(kernel, torch.tensor((energies - model.c) / model.std), slopes), chosen_on


@final
@dataclass(frozen=True)
class _Effort:
    """Settings of a fit: the largest number of functions, the seed and whether to show the progress."""

    n_functions: int
    seed: int
    progress: bool


def _fit(model: SGDMLModel, targets: Targets, chosen_on: Frames, n_points: int, effort: _Effort) -> SGDMLModel:
    """A model with some of the points, each with all directions of descriptor space or with random ones."""
    rng = np.random.default_rng(effort.seed)
    x = torch.tensor(model.descriptors[rng.permutation(model.n_train)[:n_points]])
    n_pairs = x.shape[1]
    wanted = min(round(_ENOUGH * model.n_train * targets.kernel.block_size), effort.n_functions)
    number = min(max(wanted // n_points, 2), n_pairs)
    if number == n_pairs:
        directions = torch.eye(n_pairs, dtype=torch.float64).expand(n_points, -1, -1)
    else:
        directions = torch.linalg.qr(torch.tensor(rng.normal(size=(n_points, n_pairs, number))))[0]
    functions = Functions(x, directions, model.perms, model.sigma)
    return _best_lam(model, Projection.of(functions, targets, progress=effort.progress), chosen_on)


def _best_lam(model: SGDMLModel, projection: Projection, chosen_on: Frames) -> SGDMLModel:
    """The model with the smallest force MAE on the frames of the choice, among all λ."""
    solved = (_solved(model, projection, lam) for lam in _LAMS)
    models = [candidate for candidate in solved if candidate is not None]
    if not models:
        raise NumericalError("no λ gives a positive definite matrix", hint="use fewer functions (n_functions=)")
    return min(models, key=lambda candidate: assess(candidate, chosen_on).force_mae)


def _solved(model: SGDMLModel, projection: Projection, lam: float) -> SGDMLModel | None:
    """The model with the points and coefficients of a projection; None if λ is too small."""
    solution = projection.solve(lam)
    if solution is None:
        return None
    weights, constant = solution
    return replace(
        model,
        descriptors=projection.functions.x.numpy(),
        descriptor_alphas=weights.numpy(),
        alphas=None,
        alphas_E=None,
        c=model.c + model.std * constant,
        lam=lam,
    )


def _held_out(model: SGDMLModel, frames: Frames) -> Frames:
    """The frames that the model was not trained on."""
    if not np.array_equal(frames.atomic_numbers, model.atomic_numbers):
        raise MismatchError(
            f"the atoms of {frames.name!r} are not the model's", hint="give frames of the model's molecule"
        )
    if frames.forces is None:
        raise InputError(f"the frames of {frames.name!r} have no forces", hint="label them with a reference engine")
    if dataset_md5(frames) == model.md5_train:
        frames = frames[np.setdiff1d(np.arange(len(frames)), model.idxs_train)]
    if not len(frames):
        raise InputError("there is no frame that the model was not trained on", hint="give frames to measure errors on")
    return frames


def _sizes(model: SGDMLModel, n_points: int | Sequence[int] | None, max_force_error: float | None) -> list[int]:
    """Numbers of points to try, in decreasing order."""
    if max_force_error is not None and max_force_error <= 0.0:
        raise InputError(f"max_force_error = {max_force_error}", expected="a positive number, kcal/mol/Å")
    if n_points is None:
        sizes = {model.n_train // factor for factor in _LADDER}
        return sorted(sizes - {0}, reverse=True)
    given = [n_points] if isinstance(n_points, int) else list(n_points)
    if not given or min(given) < 1 or max(given) > model.n_train:
        raise InputError(f"n_points = {n_points}", expected=f"numbers from 1 to {model.n_train}, the model's points")
    return sorted(set(given), reverse=True)


def _operations(model: SGDMLModel) -> int:
    """Approximate number of multiplications per evaluation (see `KernelModule`)."""
    moves = pair_permutations(model.perms)
    n_pairs = moves.shape[1]
    n_moved = int((moves != np.arange(n_pairs)).any(axis=0).sum())
    return 4 * model.n_train * (n_pairs - n_moved + len(moves) * n_moved) + n_pairs**2


def _best(curve: Sequence[CompressionPoint], max_force_error: float | None) -> SGDMLModel:
    if max_force_error is None:
        return curve[-1].model
    within = [point for point in curve if point.errors.force_mae <= max_force_error]
    if not within:
        warnings.warn(
            f"no model, not even the original one, has a force MAE of {max_force_error} kcal/mol/Å or less; the "
            "original model is returned.",
            stacklevel=3,
        )
        return curve[0].model
    return within[-1].model
