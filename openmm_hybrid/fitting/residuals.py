"""Residuals of a force field on labelled frames and their derivatives by its parameters.

With coordinates q, the Jacobian J = ∂q/∂R and slopes g = ∂E/∂q, the forces are F = −Jᵀ g(q; θ). Their derivatives by
parameters are −Jᵀ ∂g/∂θ, since q and J do not depend on the parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from openmm_hybrid.data.frames import Frames
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forcefield.model import ForceFieldModule
from openmm_hybrid.forcefield.terms import Block

_BYTES = 2e8  # largest size of an array of a chunk
_MOST_FRAMES = 256  # most frames of a chunk


@final
@dataclass(frozen=True, eq=False)
class Chunk:
    """Some frames of one molecule, linearised at given parameters.

    Parameters
    ----------
    energies, forces : (n_frames,), (n_frames · 3 n_atoms,)
        Reference minus model.
    energy_derivatives : (n_frames, n_free)
        ∂E/∂θ.
    force_derivatives : (n_frames · 3 n_atoms, n_free)
        ∂F/∂θ.
    """

    energies: Tensor
    forces: Tensor
    energy_derivatives: Tensor
    force_derivatives: Tensor


@final
class LabelledMolecule:
    """Labelled frames of one molecule with the module of its force field.

    Parameters
    ----------
    shared : SharedParameters
    index : int
        Index of the force field in `shared`.
    frames : Frames
        Frames with energies and forces. The mean of reference minus model becomes the origin of the energies.
    """

    def __init__(self, shared: SharedParameters, index: int, frames: Frames) -> None:
        energies, forces = frames.labels()
        forcefield = shared.forcefields[index]
        self.module: ForceFieldModule = forcefield.module()
        self.indices = torch.tensor(shared.indices[index])
        self.positions, self.forces = torch.tensor(frames.positions), torch.tensor(forces).flatten(1)
        self.offset = float((energies - forcefield.predict(frames.positions)[0]).mean())
        self.energies = torch.tensor(energies - self.offset)

    def __len__(self) -> int:
        return len(self.positions)

    def residuals(self, theta: Tensor, frames: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Reference minus model of energies and forces, by chunks of `frames` (indices), at theta (n_parameters,)."""
        values = theta[self.indices]
        for part in frames.split(_MOST_FRAMES):
            q, rows = self.module.internal(self.positions[part])
            energies, slopes = self.module.slopes(q, values)
            forces = self.module.internal.forces(slopes, rows).flatten(1)
            yield self.energies[part] - energies, self.forces[part] - forces

    def linearised(self, theta: Tensor, free: Tensor, frames: Tensor) -> Iterator[Chunk]:
        """Chunks of `frames` (indices) at theta (n_parameters,), with derivatives by parameters `free` (n_free,)."""
        values = theta[self.indices]
        column = torch.full((len(theta),), -1, dtype=torch.int64)
        column[free] = torch.arange(len(free))
        column = column[self.indices]
        width = 8 * len(free) * max(self.module.internal.n_coordinates, self.forces.shape[1])
        for part in frames.split(max(1, min(_MOST_FRAMES, int(_BYTES / width)))):
            q, jacobian = self.module.internal.jacobian(self.positions[part])
            energies, slopes = self.module.slopes(q, values)
            forces = -torch.bmm(slopes.unsqueeze(1), jacobian).squeeze(1)
            by_energy, by_slope = self._derivatives(q, values, column, len(free))
            by_force = torch.bmm(jacobian.transpose(1, 2), by_slope).neg_()
            yield Chunk(
                self.energies[part] - energies,
                (self.forces[part] - forces).reshape(-1),
                by_energy,
                by_force.flatten(0, 1),
            )

    def _derivatives(self, q: Tensor, theta: Tensor, column: Tensor, n_free: int) -> tuple[Tensor, Tensor]:
        """∂E/∂θ (n_frames, n_free) and ∂g/∂θ (n_frames, n_coordinates, n_free)."""
        n_frames, n_coordinates = q.shape
        by_energy = q.new_zeros(n_frames, n_free)
        by_slope = q.new_zeros(n_frames, n_coordinates * n_free)
        for block in blocks_of(self.module):
            targets = column[block.assignment]  # (n_terms, n_columns), −1 for parameters that are not free
            wanted = torch.nonzero((targets >= 0).any(0)).flatten().tolist()
            if not wanted:
                continue
            targets = targets[:, wanted]
            energy, slope = block.form.design(q[:, block.coordinates], theta[block.assignment], wanted)
            used = (targets >= 0).flatten()
            by_energy.index_add_(1, targets.flatten()[used], energy.flatten(1)[:, used])
            target = block.coordinates.unsqueeze(-1) * n_free + targets.unsqueeze(1)  # (n_terms, n_q, n_columns)
            used = (targets >= 0).unsqueeze(1).expand_as(target).flatten()
            by_slope.index_add_(1, target.flatten()[used], slope.flatten(1)[:, used])
        return by_energy, by_slope.reshape(n_frames, n_coordinates, n_free)


def blocks_of(module: ForceFieldModule) -> list[Block]:
    """Blocks of a module, in the order of the force field's groups."""
    return [block for block in module.blocks if isinstance(block, Block)]
