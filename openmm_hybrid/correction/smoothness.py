"""Penalties of curvature that keep fitted functions of few coordinates smooth, and flat where nothing was sampled."""

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
"""Of the penalty of curvature, as tried by cross-validation."""

_FLAT = 1e-2  # of slopes outside the range, beside what the frames say


def penalties(start: ForceField, matrix: Floats) -> list[Floats]:
    """A penalty matrix (n_fitted, n_fitted) for each of `STRENGTHS`.

    Parameters
    ----------
    start : ForceField
        Of `Spline` and `Fourier2D` terms; the terms of a group share their parameters.
    matrix : (n_fitted, n_fitted)
        Normal matrix (or Hessian) of the fit, which sets the scale.
    """
    bent, flat = (_penalty(start, matrix, of) for of in (_roughness, _slopes_outside))
    return [strength * bent + _FLAT * flat for strength in STRENGTHS]


def _penalty(start: ForceField, matrix: Floats, of: Callable[[FunctionalForm, Tensor], Floats]) -> Floats:
    """A penalty of each function, on the scale of its own part of the normal matrix."""
    parts, first = [], 0
    for terms in start.terms:
        own = of(terms.form, torch.tensor(start.parameters.values[terms.assignment[:1]]))
        size = matrix[first : first + len(own), first : first + len(own)].trace()
        parts.append(own * (size / max(float(own.trace()), 1e-300)))
        first += len(own)
    return np.asarray(block_diag(*parts))


def _roughness(form: FunctionalForm, row: Tensor) -> Floats:
    return np.asarray(form.roughness(row))


def _slopes_outside(form: FunctionalForm, row: Tensor) -> Floats:
    """The penalty of slopes outside the sampled range of a distance or angle.

    Without it a function goes on as steeply as it ends: a well opens where nothing was sampled, and a simulation falls
    into it.
    """
    spans, outside, place = [], [], 0
    for coordinate in form.coordinates:
        if coordinate.kind == "dihedral":
            values = np.linspace(-np.pi, np.pi, 25)[:-1]
            beyond = np.zeros(len(values), dtype=bool)
        else:
            lower, upper = row[0, place : place + 2].tolist()
            values = np.linspace(lower - (upper - lower) / 2.0, upper + (upper - lower) / 2.0, 33)
            beyond = (values < lower) | (values > upper)
            place += 2
        spans.append(values)
        outside.append(beyond)
    q = torch.tensor(np.stack([each.ravel() for each in np.meshgrid(*spans, indexing="ij")], axis=-1))[:, None]
    there = np.stack([each.ravel() for each in np.meshgrid(*outside, indexing="ij")], axis=-1)
    _, slopes = form.design(q, row)
    rows = slopes[:, 0].numpy()[there]  # along a coordinate, where this one is beyond its range
    return np.asarray(rows.T @ rows)
