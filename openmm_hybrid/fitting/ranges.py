"""Sampled ranges of saturated coordinates, from the training frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid.data.frames import Frames
from openmm_hybrid.fitting.residuals import blocks_of
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forcefield.straight_angles import straight_minima
from openmm_hybrid.forcefield.terms import Terms

QUANTILES = (0.001, 0.999)
"""Quantiles of a coordinate in the training frames that end its range; our choice."""
_LEAST = {"distance": 0.02, "angle": 0.04}  # Å, rad; smallest width of a range


def set_ranges(shared: SharedParameters, frames: Sequence[Frames], fixed: Sequence[str] = ()) -> SharedParameters:
    """Set the ranges of new terms to quantiles of their coordinates, over all terms and molecules that share them.

    A range stays if `fixed` names one of its ends, or if one of the terms that share it has a coefficient other than
    zero: its function would change.

    Parameters
    ----------
    shared : SharedParameters
    frames : sequence of Frames
        Training frames of each force field.
    fixed : sequence of str
        Patterns of parameters that keep their values.

    Raises
    ------
    InputError
        `fixed` is a single string, or a pattern matches nothing.
    """
    stays = shared.parameters.matching_any(fixed)
    for forcefield, indices in zip(shared.forcefields, shared.indices, strict=True):
        for terms in forcefield.terms:
            columns = [number for lower, upper, _ in terms.form.ranges for number in (lower, upper)]
            if columns:
                stays[indices[terms.assignment[~_new(terms, forcefield.parameters.values)][:, columns]]] = True
    samples: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
    kinds: dict[tuple[int, int], str] = {}
    for forcefield, indices, part in zip(shared.forcefields, shared.indices, frames, strict=True):
        module = forcefield.module()
        with torch.inference_mode():
            q = torch.cat([module.internal(chunk)[0] for chunk in torch.tensor(part.positions).split(500)])
        for terms, block in zip(forcefield.terms, blocks_of(module), strict=True):
            for lower, upper, number in terms.form.ranges:
                values = q[:, block.coordinates[:, number]].numpy()
                for term, ends in enumerate(zip(terms.assignment[:, lower], terms.assignment[:, upper], strict=True)):
                    key = int(indices[ends[0]]), int(indices[ends[1]])
                    samples.setdefault(key, []).append(values[:, term])
                    kinds[key] = terms.form.coordinates[number].kind
    changed = shared.parameters.values.copy()
    for key, parts in samples.items():
        if stays[list(key)].any():
            continue
        low, high = np.quantile(np.concatenate(parts), QUANTILES)
        missing = max(_LEAST[kinds[key]] - (high - low), 0.0)
        changed[list(key)] = low - 0.5 * missing, high + 0.5 * missing
    return shared.with_values(changed)


def _new(terms: Terms, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each term (n_terms,) is zero for any range, since the coefficients that start at zero still are zero."""
    (start,) = terms.form.start(1).tolist()
    coefficients = [
        number
        for number, (column, first) in enumerate(zip(terms.form.columns, start, strict=True))
        if column.fitted and not column.hidden and first == 0.0
    ]
    return (values[terms.assignment[:, coefficients]] == 0.0).all(axis=1) & bool(coefficients)


def set_straight_angles(shared: SharedParameters, fixed: Sequence[str]) -> SharedParameters:
    """Set the equilibrium of straight angles to π, where a harmonic angle has no kink, unless the user fixed it.

    Parameters
    ----------
    shared : SharedParameters
    fixed : sequence of str
        Patterns of parameters that keep their values.

    Raises
    ------
    InputError
        `fixed` is a single string, or a pattern matches nothing.
    """
    changed = shared.parameters.values.copy()
    stays = shared.parameters.matching_any(fixed)
    for forcefield, indices in zip(shared.forcefields, shared.indices, strict=True):
        minima = indices[straight_minima(forcefield.tables)]
        changed[minima[~stays[minima]]] = np.pi
    return shared.with_values(changed)
