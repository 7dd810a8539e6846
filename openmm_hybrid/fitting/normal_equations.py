"""Sums over frames that a least-squares fit needs: of each fold of a cross-validation apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import final

import torch
from torch import Tensor

from openmm_hybrid.fitting.residuals import LabelledMolecule


@final
@dataclass(frozen=True, eq=False)
class NormalEquations:
    """The quadratic loss L(δ) = c − 2 b·δ + δᵀAδ of a step δ from where the model was linearised, over some frames.

    Energies have a free origin for each molecule, so that their means are taken off: the sums that this needs are kept,
    and moments of disjoint sets of frames can be added.

    Parameters
    ----------
    gram, rhs, square : (n, n), (n,), ()
        Weighted sums XᵀX, Xᵀr and r·r over forces and energies.
    sums, residuals, counts : (n_molecules, n), (n_molecules,), (n_molecules,)
        Sums over frames of ∂E/∂θ and of the energies' residuals, and the number of frames.
    energy_weight : float
        Of the squared error of one energy in these sums.
    """

    gram: Tensor
    rhs: Tensor
    square: Tensor
    sums: Tensor
    residuals: Tensor
    counts: Tensor
    energy_weight: float

    @classmethod
    def total(cls, parts: Sequence[NormalEquations]) -> NormalEquations:
        """Of all frames of the parts."""
        return reduce(lambda one, other: one._combined(other, 1.0), parts)

    def without(self, part: NormalEquations) -> NormalEquations:
        """Of the frames that are not in `part`."""
        return self._combined(part, -1.0)

    def _combined(self, other: NormalEquations, sign: float) -> NormalEquations:
        return NormalEquations(
            gram=self.gram + sign * other.gram,
            rhs=self.rhs + sign * other.rhs,
            square=self.square + sign * other.square,
            sums=self.sums + sign * other.sums,
            residuals=self.residuals + sign * other.residuals,
            counts=self.counts + sign * other.counts,
            energy_weight=self.energy_weight,
        )

    def normal(self) -> tuple[Tensor, Tensor, Tensor]:
        """A, b and c, with the energies' means taken off."""
        per = self.energy_weight / self.counts.clamp(min=1)
        scaled = self.sums * per[:, None]
        return (
            self.gram - self.sums.t() @ scaled,
            self.rhs - scaled.t() @ self.residuals,
            self.square - (per * self.residuals**2).sum(),
        )


def accumulate(
    molecules: Sequence[LabelledMolecule],
    folds: Sequence[Sequence[Tensor]],
    theta: Tensor,
    free: Tensor,
    energy_weight: float,
) -> list[NormalEquations]:
    """Moments of each fold, at parameters theta; `folds[k][m]` are the frames (indices) of molecule m in fold k.

    The loss is the mean over all force components of the squared force error plus `energy_weight` times the mean over
    all frames of the squared energy error.
    """
    of_force, of_energy = weights(molecules, folds, energy_weight)
    n, n_molecules = len(free), len(molecules)
    found = []
    levels: list[Tensor] = []  # taken off ∂E/∂θ of each molecule, so that the means to come off later are small
    for fold in folds:
        gram, rhs, square = torch.zeros(n, n, dtype=theta.dtype), theta.new_zeros(n), theta.new_zeros(())
        sums, residuals, counts = theta.new_zeros(n_molecules, n), theta.new_zeros(n_molecules), []
        for number, (molecule, frames) in enumerate(zip(molecules, fold, strict=True)):
            counts.append(len(frames))
            for chunk in molecule.linearised(theta, free, frames):
                x, r = chunk.force_design, chunk.forces
                if len(levels) == number:
                    levels.append(chunk.energy_design.mean(0))
                phi, e = chunk.energy_design - levels[number], chunk.energies
                gram.addmm_(x.t(), x, alpha=of_force).addmm_(phi.t(), phi, alpha=of_energy)
                rhs.add_(x.t() @ r, alpha=of_force).add_(phi.t() @ e, alpha=of_energy)
                square += of_force * (r @ r) + of_energy * (e @ e)
                sums[number] += phi.sum(0)
                residuals[number] += e.sum()
        found.append(NormalEquations(gram, rhs, square, sums, residuals, theta.new_tensor(counts), of_energy))
    return found


def loss(
    molecules: Sequence[LabelledMolecule], folds: Sequence[Sequence[Tensor]], theta: Tensor, energy_weight: float
) -> float:
    """The same loss without derivatives."""
    of_force, of_energy = weights(molecules, folds, energy_weight)
    value = 0.0
    with torch.inference_mode():
        for number, molecule in enumerate(molecules):
            frames = torch.cat([fold[number] for fold in folds])
            energies, forces = zip(*molecule.residuals(theta, frames), strict=True)
            error = torch.cat(energies)
            value += of_force * float(sum((part**2).sum() for part in forces))
            value += of_energy * float(((error - error.mean()) ** 2).sum())
    return value


def weights(
    molecules: Sequence[LabelledMolecule], folds: Sequence[Sequence[Tensor]], energy_weight: float
) -> tuple[float, float]:
    """Weights of one squared force component and of one squared energy."""
    sizes = [sum(len(fold[number]) for fold in folds) for number in range(len(molecules))]
    components = sum(size * molecule.forces.shape[1] for size, molecule in zip(sizes, molecules, strict=True))
    return 1.0 / components, energy_weight / sum(sizes)
