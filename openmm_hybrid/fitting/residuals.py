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
from openmm_hybrid.forms.form import LinearForm

_BYTES = 2e8  # largest size of an array of a chunk
_MOST_FRAMES = 256  # most frames of a chunk


@final
@dataclass(frozen=True, eq=False)
class Chunk:
    """Some frames of one molecule, linearised at given parameters.

    Parameters
    ----------
    frames : (n_frames,)
        Indices of the frames.
    energies, forces : (n_frames,), (n_frames · 3 n_atoms,)
        Reference minus model.
    energy_derivatives : (n_frames, n_free)
        ∂E/∂θ.
    force_derivatives : (n_frames · 3 n_atoms, n_free)
        ∂F/∂θ.
    """

    frames: Tensor
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
        column = self._columns(free, len(theta))
        width = 8 * len(free) * max(self.module.internal.n_coordinates, self.forces.shape[1])
        for part in frames.split(max(1, min(_MOST_FRAMES, int(_BYTES / width)))):
            q, jacobian = self.module.internal.jacobian(self.positions[part])
            energies, slopes = self.module.slopes(q, values)
            forces = -torch.bmm(slopes.unsqueeze(1), jacobian).squeeze(1)
            by_energy, by_slope = self._derivatives(q, values, column, len(free))
            by_force = torch.bmm(jacobian.transpose(1, 2), by_slope).neg_()
            yield Chunk(
                part,
                self.energies[part] - energies,
                (self.forces[part] - forces).reshape(-1),
                by_energy,
                by_force.flatten(0, 1),
            )

    def products(self, theta: Tensor, free: Tensor, frames: Tensor, rows: Tensor, energies: Tensor) -> Tensor:
        """Sums (n_free, n) over frames of ∂F/∂θ · rows + ∂E/∂θ · energies, block by block.

        Parameters
        ----------
        theta : (n_parameters,)
        free : (n_free,)
        frames : (n_frames,)
        rows : (n_frames · 3 n_atoms, n)
        energies : (n_frames, n)
        """
        values = theta[self.indices]
        column = self._columns(free, len(theta))
        q, jacobian = self.module.internal.jacobian(self.positions[frames])
        along = torch.bmm(jacobian, rows.unflatten(0, (len(frames), -1))).neg_()  # (n_frames, n_coordinates, n)
        found = rows.new_zeros(len(free), rows.shape[1])
        for block in blocks_of(self.module):
            wanted, targets = _wanted(column[block.assignment])
            if not wanted:
                continue
            energy, slope = block.form.design(q[:, block.coordinates], values[block.assignment], wanted)
            n_terms, n_columns = targets.shape
            slope = slope.permute(1, 3, 0, 2).reshape(n_terms, n_columns, -1)
            part = torch.bmm(slope, along[:, block.coordinates].transpose(0, 1).reshape(n_terms, slope.shape[2], -1))
            part += torch.einsum("ftc,fn->tcn", energy, energies)
            used = (targets >= 0).flatten()
            found.index_add_(0, targets.flatten()[used], part.flatten(0, 1)[used])
        return found

    def nonlinear(self, free: Tensor, n_parameters: int) -> Tensor:
        """Mask (n_free,) of the parameters in which a term is not linear."""
        column = self._columns(free, n_parameters)
        found = torch.zeros(len(free), dtype=torch.bool)
        for block in blocks_of(self.module):
            if not isinstance(block.form, LinearForm):
                targets = column[block.assignment].flatten()
                found[targets[targets >= 0]] = True
        return found

    def _columns(self, free: Tensor, n_parameters: int) -> Tensor:
        """Position in `free` (n_free,) of each parameter of this molecule; −1 for those that are not free."""
        column = torch.full((n_parameters,), -1, dtype=torch.int64)
        column[free] = torch.arange(len(free))
        return column[self.indices]

    def _derivatives(self, q: Tensor, theta: Tensor, column: Tensor, n_free: int) -> tuple[Tensor, Tensor]:
        """∂E/∂θ (n_frames, n_free) and ∂g/∂θ (n_frames, n_coordinates, n_free)."""
        n_frames, n_coordinates = q.shape
        by_energy = q.new_zeros(n_frames, n_free)
        by_slope = q.new_zeros(n_frames, n_coordinates * n_free)
        for block in blocks_of(self.module):
            wanted, targets = _wanted(column[block.assignment])
            if not wanted:
                continue
            energy, slope = block.form.design(q[:, block.coordinates], theta[block.assignment], wanted)
            used = (targets >= 0).flatten()
            by_energy.index_add_(1, targets.flatten()[used], energy.flatten(1)[:, used])
            target = block.coordinates.unsqueeze(-1) * n_free + targets.unsqueeze(1)  # (n_terms, n_q, n_columns)
            used = (targets >= 0).unsqueeze(1).expand_as(target).flatten()
            by_slope.index_add_(1, target.flatten()[used], slope.flatten(1)[:, used])
        return by_energy, by_slope.reshape(n_frames, n_coordinates, n_free)


def _wanted(targets: Tensor) -> tuple[list[int], Tensor]:
    """Columns with a free parameter, and the positions (n_terms, n_wanted) of these, −1 for others."""
    wanted = torch.nonzero((targets >= 0).any(0)).flatten().tolist()
    return wanted, targets[:, wanted]


def blocks_of(module: ForceFieldModule) -> list[Block]:
    """Blocks of a module, in the order of the force field's groups."""
    return [block for block in module.blocks if isinstance(block, Block)]
