"""Penalties that keep fitted functions of few coordinates smooth, and flat where nothing was sampled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag
from torch import Tensor

from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forms.form import FunctionalForm

Floats = NDArray[np.float64]

STRENGTHS = tuple(10.0**power for power in range(-8, 3))
"""Strengths of the penalty on curvature, for cross-validation."""

_FLAT = 1e-2  # strength of the penalty on slopes outside the range, relative to the normal matrix


def penalties(start: ForceField, matrix: Floats) -> list[Floats]:
    """Penalty matrices (n_fitted, n_fitted), one for each of `STRENGTHS`.

    Parameters
    ----------
    start : ForceField
        Force field of fitted functions only, where the terms of each group share their parameters.
    matrix : (n_fitted, n_fitted)
        Normal matrix, or Hessian, of the fit, which sets the scale.
    """
    bent, flat = (_penalty(start, matrix, of) for of in (_roughness, _slopes_outside))
    return [strength * bent + _FLAT * flat for strength in STRENGTHS]


def _penalty(start: ForceField, matrix: Floats, of: Callable[[FunctionalForm, Tensor], Floats]) -> Floats:
    """Block-diagonal penalty, each function's block on the scale of its block of the normal matrix."""
    parts, first = [], 0
    for terms in start.terms:
        part = of(terms.form, torch.tensor(start.parameters.values[terms.assignment[:1]]))
        size = matrix[first : first + len(part), first : first + len(part)].trace()
        parts.append(part * (size / max(float(part.trace()), 1e-300)))
        first += len(part)
    return np.asarray(block_diag(*parts))


def _roughness(form: FunctionalForm, row: Tensor) -> Floats:
    return np.asarray(form.roughness(row))


def _slopes_outside(form: FunctionalForm, row: Tensor) -> Floats:
    """Penalty on slopes outside the sampled range of distances and angles.

    Without it a function continues with the slope of its end: a well opens where nothing was sampled, and a simulation
    falls into it.
    """
    ranges = {number: (lower, upper) for lower, upper, number in form.ranges}
    spans, outside = [], []
    for number in range(len(form.coordinates)):
        if number not in ranges:
            values = np.linspace(-np.pi, np.pi, 25)[:-1]
            beyond = np.zeros(len(values), dtype=bool)
        else:
            lower, upper = row[0, list(ranges[number])].tolist()
            values = np.linspace(lower - (upper - lower) / 2.0, upper + (upper - lower) / 2.0, 33)
            beyond = (values < lower) | (values > upper)
        spans.append(values)
        outside.append(beyond)
    q = torch.tensor(np.stack([axis.ravel() for axis in np.meshgrid(*spans, indexing="ij")], axis=-1))[:, None]
    there = np.stack([axis.ravel() for axis in np.meshgrid(*outside, indexing="ij")], axis=-1)
    _, slopes = form.design(q, row)
    rows = slopes[:, 0].numpy()[there]  # slope along each coordinate, where it is beyond its range
    return np.asarray(rows.T @ rows)
