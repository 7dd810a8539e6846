"""Cross terms that a fit can leave out at little loss, for faster simulations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.fitting.input_checks import paired, with_energies
from openmm_hybrid.fitting.least_squares import NormalEquations, accumulate
from openmm_hybrid.fitting.residuals import LabelledMolecule
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forcefield import ForceField

_FRAMES = 600  # most frames of the loss
_RIDGE = 1e-4  # added to the diagonal of the scaled matrix
_N_ATOMS = 4  # least atoms of prunable terms; those of bonds and angles are cheap and move the minima


def prunable_terms(
    forcefield: ForceField, frames: Frames, *, rise: float = 0.1, energy_weight: float = 0.3
) -> tuple[str, ...]:
    """Types of cross terms of four or more atoms that a fitted force field hardly needs::

        small = edited.without(*oh.fitting.prunable_terms(result.model, training_frames))
        result = oh.fit(small, frames, n_train=1100)

    We leave out one type after another, first the type with the least cost per term, and refit the others meanwhile. In
    the linear approximation around the fitted parameters θ, with the matrix A of the loss, leaving out the parameters g
    raises the loss by θ_gᵀ [(A⁻¹)_gg]⁻¹ θ_g (backward elimination by Wald's statistic).

    Parameters
    ----------
    forcefield : ForceField
        A fitted force field.
    frames : Frames
        Its training frames, or some of them, with forces, and with energies unless energy_weight=0.
    rise : float
        Allowed relative rise of the root of the loss.
    energy_weight : float, 1/Å²
        As in `fit`.

    Returns
    -------
    tuple of str
        Names such as "cross.torsion/C0-C1-C2-H5", in the order of their elimination.

    Raises
    ------
    InputError
        There are no such terms, `rise` or `energy_weight` is negative, or the frames have no energies or no forces.
    MismatchError
        Frames and force field have different atoms or orders of atoms.
    """
    if not 0.0 <= rise < np.inf:
        raise InputError(f"rise = {rise!r}", expected="a number from 0 on, such as 0.1")
    if not 0.0 <= energy_weight < np.inf:
        raise InputError(f"energy_weight = {energy_weight!r}", expected="a number from 0 on, such as 0.3")
    fields, (given,) = paired(forcefield, frames)
    shared = SharedParameters.of(fields)
    free = torch.tensor(np.flatnonzero(forcefield.parameters.fitted))
    types = _types(forcefield, free)
    if not types:
        raise InputError(
            f"{forcefield.name!r} has no cross terms that can be left out",
            hint="fit one with ForceField.edit(cross=True)",
        )
    counts = _counts(forcefield)
    theta = torch.tensor(forcefield.parameters.values)
    (part,) = with_energies(fields, [given[: min(len(given), _FRAMES)]], energy_weight)
    folds = [[torch.arange(len(part))]]
    equations = accumulate([LabelledMolecule(shared, 0, part)], folds, theta, free, energy_weight)
    matrix, _, square = NormalEquations.total(equations).normal()
    diagonal = matrix.diagonal()
    scale = torch.where(diagonal > 0, diagonal.clamp(min=1e-300).rsqrt(), torch.zeros_like(diagonal))
    stiff = scale[:, None] * matrix * scale + _RIDGE * torch.eye(len(scale), dtype=scale.dtype)
    values = torch.where(scale > 0, theta[free] / scale, torch.zeros_like(scale))
    return _eliminated(torch.linalg.inv(stiff), values, types, counts, float(square) * ((1.0 + rise) ** 2 - 1.0))


def _eliminated(
    inverse: Tensor, values: Tensor, types: dict[str, Tensor], counts: dict[str, int], budget: float
) -> tuple[str, ...]:
    """Types in the order of their elimination, until the budget of additional loss is spent."""
    left, found = dict(types), []
    while left:
        costs = {name: _cost(inverse, values, indices) for name, indices in left.items()}
        name = min(costs, key=lambda name: costs[name] / counts[name])
        budget -= costs[name]
        if budget < 0.0:
            break
        gone = left.pop(name)
        found.append(name)
        pull = torch.linalg.solve(inverse[gone][:, gone], torch.column_stack([inverse[gone], values[gone]]))
        values = values - inverse[:, gone] @ pull[:, -1]
        inverse = inverse - inverse[:, gone] @ pull[:, :-1]
    return tuple(found)


def _cost(inverse: Tensor, values: Tensor, indices: Tensor) -> float:
    """θ_gᵀ [(A⁻¹)_gg]⁻¹ θ_g."""
    part = values[indices]
    return float(part @ torch.linalg.solve(inverse[indices][:, indices], part))


def _types(forcefield: ForceField, free: Tensor) -> dict[str, Tensor]:
    """Indices among the free parameters of each type of prunable terms."""
    prunable = np.zeros(len(forcefield.parameters), dtype=bool)
    for terms in forcefield.terms:
        if "cross" in terms.form.slots and terms.form.n_atoms >= _N_ATOMS:
            prunable[terms.assignment] = True
    found: dict[str, list[int]] = {}
    for number, index in enumerate(free.tolist()):
        if prunable[index]:
            found.setdefault(forcefield.parameters.names[index].rpartition("/")[0], []).append(number)
    return {name: torch.tensor(indices) for name, indices in found.items()}


def _counts(forcefield: ForceField) -> dict[str, int]:
    """Number of terms of each type."""
    counts: dict[str, int] = {}
    for terms in forcefield.terms:
        for indices in terms.assignment.tolist():
            name = forcefield.parameters.names[indices[-1]].rpartition("/")[0]
            counts[name] = counts.get(name, 0) + 1
    return counts
