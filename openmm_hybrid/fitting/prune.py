"""Which cross terms of chains and stars do not pay: what a fit can leave out at little loss, for faster simulations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.fitting.normal_equations import NormalEquations, accumulate
from openmm_hybrid.fitting.residuals import LabelledMolecule
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forcefield import ForceField

_FRAMES = 600  # that the loss is taken over at most
_RIDGE = 1e-4  # of the scaled matrix
_GROUPS = ("cross.torsion", "cross.angle-angle", "cross.torsion-torsion")
"""Bonds and angles keep theirs: they are cheap, and the classical terms alone would have other minima."""


def prunable_terms(
    forcefield: ForceField, frames: Frames, *, rise: float = 0.1, energy_weight: float = 0.3
) -> tuple[str, ...]:
    """Types of cross terms of torsions and of common centres that a fitted force field loses little without::

        small = edited.without(*oh.fitting.prunable_terms(result.model, training_frames))
        result = oh.fit(small, frames, n_train=1100)

    Types are left out one after another, the one first whose loss costs least for each of its terms; the others are
    refitted meanwhile. In the linear approximation about the fitted parameters θ, with the loss's matrix A, leaving out
    the parameters g raises the loss by θ_gᵀ [(A⁻¹)_gg]⁻¹ θ_g (backward elimination by Wald's statistic).

    Parameters
    ----------
    forcefield : ForceField
        Fitted.
    frames : Frames
        That it was fitted to, or some of them.
    rise : float
        By how much the root of the loss may rise, relatively.
    energy_weight : float, 1/Å²
        As in `fit`.

    Returns
    -------
    tuple of str
        Names such as "cross.torsion/C0-C1-C2-H5", in the order in which they were left out.

    Raises
    ------
    InputError
        There are no such terms, or `rise` is negative.
    """
    if not 0.0 <= rise < np.inf:
        raise InputError(f"rise = {rise!r}", expected="a number from 0 on, such as 0.1")
    joint = SharedParameters.of([forcefield])
    free = torch.tensor(np.flatnonzero(forcefield.parameters.fitted))
    places = _types(forcefield, free)
    if not places:
        raise InputError(
            f"{forcefield.name!r} has no cross terms that can be left out",
            hint="fit one with ForceField.edit(cross=True)",
        )
    counts = _counts(forcefield)
    theta = torch.tensor(forcefield.parameters.values)
    part = frames[: min(len(frames), _FRAMES)]
    folds = [[torch.arange(len(part))]]
    moments = accumulate([LabelledMolecule(joint, 0, part)], folds, theta, free, energy_weight)
    matrix, _, square = NormalEquations.total(moments).normal()
    diagonal = matrix.diagonal()
    scale = torch.where(diagonal > 0, diagonal.clamp(min=1e-300).rsqrt(), torch.zeros_like(diagonal))
    stiff = scale[:, None] * matrix * scale + _RIDGE * torch.eye(len(scale), dtype=scale.dtype)
    values = torch.where(scale > 0, theta[free] / scale, torch.zeros_like(scale))
    return _eliminated(torch.linalg.inv(stiff), values, places, counts, float(square) * ((1.0 + rise) ** 2 - 1.0))


def _eliminated(
    inverse: Tensor, values: Tensor, places: dict[str, Tensor], counts: dict[str, int], budget: float
) -> tuple[str, ...]:
    """Types in the order of elimination, as long as the budget lasts."""
    left, found = dict(places), []
    while left:
        costs = {name: _cost(inverse, values, own) for name, own in left.items()}
        name = min(costs, key=lambda each: costs[each] / counts[each])
        budget -= costs[name]
        if budget < 0.0:
            break
        own = left.pop(name)
        found.append(name)
        pull = torch.linalg.solve(inverse[own][:, own], torch.column_stack([inverse[own], values[own]]))
        values = values - inverse[:, own] @ pull[:, -1]
        inverse = inverse - inverse[:, own] @ pull[:, :-1]
    return tuple(found)


def _cost(inverse: Tensor, values: Tensor, own: Tensor) -> float:
    """θ_gᵀ [(A⁻¹)_gg]⁻¹ θ_g."""
    return float(values[own] @ torch.linalg.solve(inverse[own][:, own], values[own]))


def _types(forcefield: ForceField, free: Tensor) -> dict[str, Tensor]:
    """Numbers among the free parameters of each type of cross terms."""
    found: dict[str, list[int]] = {}
    for number, place in enumerate(free.tolist()):
        name = forcefield.parameters.names[place]
        if name.startswith(_GROUPS):
            found.setdefault(name.rpartition("/")[0], []).append(number)
    return {name: torch.tensor(numbers) for name, numbers in found.items()}


def _counts(forcefield: ForceField) -> dict[str, int]:
    """Terms of each type."""
    counts: dict[str, int] = {}
    for terms in forcefield.terms:
        for places in terms.assignment.tolist():
            name = forcefield.parameters.names[places[-1]].rpartition("/")[0]
            counts[name] = counts.get(name, 0) + 1
    return counts
