"""Residuals of a force field on labelled frames and their derivatives by its parameters.

With coordinates q, the Jacobian J = ∂q/∂R and slopes g = ∂E/∂q the forces are F = −Jᵀ g(q; θ), and a force's derivative
by a parameter is −Jᵀ ∂g/∂θ: q and J do not depend on the parameters.
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

_BYTES = 2e8  # of the largest array of a chunk of frames
_MOST_FRAMES = 256  # in a chunk


@final
@dataclass(frozen=True, eq=False)
class Chunk:
    """Some frames of one molecule, linearised at the present parameters.

    Parameters
    ----------
    energies, forces : (n_frames,), (n_frames · 3 n_atoms,)
        Reference minus model.
    energy_design : (n_frames, n_free)
        ∂E/∂θ.
    force_design : (n_frames · 3 n_atoms, n_free)
        ∂F/∂θ.
    """

    energies: Tensor
    forces: Tensor
    energy_design: Tensor
    force_design: Tensor


@final
class LabelledMolecule:
    """Frames of one molecule with the module of its force field.

    Parameters
    ----------
    joint : Joint
    number : int
        Of the force field.
    frames : Frames
        With energies and forces. The energies' origin is moved to the mean of reference minus model.
    """

    def __init__(self, joint: SharedParameters, number: int, frames: Frames) -> None:
        energies, forces = frames.labels()
        forcefield = joint.forcefields[number]
        self.module: ForceFieldModule = forcefield.module()
        self.places = torch.tensor(joint.places[number])
        self.positions, self.forces = torch.tensor(frames.positions), torch.tensor(forces).flatten(1)
        self.offset = float((energies - forcefield.predict(frames.positions)[0]).mean())
        self.energies = torch.tensor(energies - self.offset)

    def __len__(self) -> int:
        return len(self.positions)

    def residuals(self, theta: Tensor, frames: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Reference minus model at parameters theta (n_parameters,) of chunks of `frames` (indices)."""
        own = theta[self.places]
        for part in frames.split(_MOST_FRAMES):
            q, rows = self.module.internal(self.positions[part])
            energies, slopes = self.module.slopes(q, own)
            forces = self.module.internal.forces(slopes, rows).flatten(1)
            yield self.energies[part] - energies, self.forces[part] - forces

    def linearised(self, theta: Tensor, free: Tensor, frames: Tensor) -> Iterator[Chunk]:
        """Chunks of `frames` (indices) at parameters theta (n_parameters,), differentiated by `free` (n_free,)."""
        own = theta[self.places]
        column = torch.full((len(theta),), -1, dtype=torch.int64)
        column[free] = torch.arange(len(free))
        column = column[self.places]
        width = 8 * len(free) * max(self.module.internal.n_coordinates, self.forces.shape[1])
        for part in frames.split(max(1, min(_MOST_FRAMES, int(_BYTES / width)))):
            q, jacobian = self.module.internal.jacobian(self.positions[part])
            energies, slopes = self.module.slopes(q, own)
            forces = -torch.bmm(slopes.unsqueeze(1), jacobian).squeeze(1)
            by_energy, by_slope = self._derivatives(q, own, column, len(free))
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
            places = column[block.assignment]  # (n_terms, n_columns), −1 where a parameter stays
            wanted = torch.nonzero((places >= 0).any(0)).flatten().tolist()
            if not wanted:
                continue
            places = places[:, wanted]
            energy, slope = block.form.design(q[:, block.coordinates], theta[block.assignment], wanted)
            used = (places >= 0).flatten()
            by_energy.index_add_(1, places.flatten()[used], energy.flatten(1)[:, used])
            target = block.coordinates.unsqueeze(-1) * n_free + places.unsqueeze(1)  # (n_terms, n_q, n_columns)
            used = (places >= 0).unsqueeze(1).expand_as(target).flatten()
            by_slope.index_add_(1, target.flatten()[used], slope.flatten(1)[:, used])
        return by_energy, by_slope.reshape(n_frames, n_coordinates, n_free)


def blocks_of(module: ForceFieldModule) -> list[Block]:
    """Its groups of terms."""
    return [block for block in module.blocks if isinstance(block, Block)]
