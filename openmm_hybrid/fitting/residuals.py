"""Residuals of a force field on labelled frames and their derivatives by its parameters.

With coordinates q, the Jacobian J = ∂q/∂R and slopes g = ∂E/∂q, the forces are F = −Jᵀ g(q; θ). Their derivatives by
parameters are −Jᵀ ∂g/∂θ, since q and J do not depend on the parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from openmm_hybrid.data.frames import Frames
from openmm_hybrid.fitting.shared_parameters import SharedParameters
from openmm_hybrid.forcefield.model import ForceFieldModule
from openmm_hybrid.forcefield.terms import Block
from openmm_hybrid.forms.form import LinearForm

_BYTES = 6e8  # largest size of the derivatives of a chunk
_MOST_FRAMES = 256  # most frames of a chunk of residuals


@final
@dataclass(frozen=True, eq=False)
class AtomRows:
    """Derivatives of the forces on one atom.

    Parameters
    ----------
    columns : (n_columns,)
        Positions, among the free parameters, of those that act on the atom, in rising order.
    rows : (n_frames, 3, n_columns)
        ∂F/∂θ.
    """

    columns: Tensor
    rows: Tensor


@final
@dataclass(frozen=True, eq=False)
class Chunk:
    """Some frames of one molecule, linearised at given parameters.

    Parameters
    ----------
    frames : (n_frames,)
        Indices of the frames.
    energies, forces : (n_frames,), (n_frames, n_atoms, 3)
        Reference minus model.
    energy_derivatives : (n_frames, n_free)
        ∂E/∂θ.
    force_derivatives : list of AtomRows
        ∂F/∂θ of each atom. Most parameters act on few atoms.
    """

    frames: Tensor
    energies: Tensor
    forces: Tensor
    energy_derivatives: Tensor
    force_derivatives: list[AtomRows]


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
        self.atoms = [torch.tensor(terms.atoms) for terms in forcefield.terms]
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
        parts = self._parts(self._columns(free, len(theta)))
        gathered = [_Gathered.of(parts, atom) for atom in range(self.positions.shape[1])]
        for part in frames.split(max(1, int(_BYTES / self._bytes(parts, gathered, len(free))))):
            q, jacobian = self.module.internal.jacobian(self.positions[part])
            energies, slopes = self.module.slopes(q, values)
            forces = -torch.bmm(slopes.unsqueeze(1), jacobian).unflatten(2, (-1, 3)).squeeze(1)
            by_energy, by_force = q.new_zeros(len(part), len(free)), []
            for piece in parts:
                energy, force = piece.derivatives(q, jacobian, values)
                used = (piece.targets >= 0).flatten()
                by_energy.index_add_(1, piece.targets.flatten()[used], energy.flatten(1)[:, used])
                by_force.append(force)
            yield Chunk(
                part,
                self.energies[part] - energies,
                self.forces[part].unflatten(1, (-1, 3)) - forces,
                by_energy,
                [atom.rows(by_force) for atom in gathered],
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
        for piece in self._parts(column):
            energy, slope = piece.design(q, values)
            n_terms, n_columns = piece.targets.shape
            slope = slope.permute(1, 3, 0, 2).reshape(n_terms, n_columns, -1)
            pulls = along[:, piece.block.coordinates].transpose(0, 1).reshape(n_terms, slope.shape[2], -1)
            part = torch.bmm(slope, pulls) + torch.einsum("ftc,fn->tcn", energy, energies)
            used = (piece.targets >= 0).flatten()
            found.index_add_(0, piece.targets.flatten()[used], part.flatten(0, 1)[used])
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

    def _parts(self, column: Tensor) -> list[_Part]:
        """The blocks with free parameters; `column` holds the position of each parameter among these, or −1."""
        parts = []
        for block, atoms in zip(blocks_of(self.module), self.atoms, strict=True):
            targets = column[block.assignment]
            wanted = torch.nonzero((targets >= 0).any(0)).flatten().tolist()
            if wanted:
                parts.append(_Part(block, atoms, wanted, targets[:, wanted]))
        return parts

    def _bytes(self, parts: Sequence[_Part], gathered: Sequence[_Gathered], n_free: int) -> int:
        """Size of the largest arrays of `linearised` for each frame."""
        n_coordinates = self.module.internal.n_coordinates
        of_terms = sum(3 * part.atoms.numel() * part.targets.shape[1] for part in parts)
        of_atoms = sum(3 * len(atom.columns) for atom in gathered)
        return 8 * (n_coordinates * self.forces.shape[1] + n_free + of_terms + of_atoms)


@final
@dataclass(frozen=True, eq=False)
class _Part:
    """The free parameters of one block.

    Parameters
    ----------
    block : Block
    atoms : (n_terms, n_atoms)
        Atoms of each term.
    wanted : list of int
        Columns of the form with a free parameter.
    targets : (n_terms, n_wanted)
        Positions of these parameters among all free ones; −1 for parameters that are not free.
    """

    block: Block
    atoms: Tensor
    wanted: list[int]
    targets: Tensor

    def design(self, q: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of energies and slopes of the terms. See `FunctionalForm.design`."""
        block = self.block
        energy, slope = block.form.design(q[:, block.coordinates], theta[block.assignment], self.wanted)
        return energy, slope

    def derivatives(self, q: Tensor, jacobian: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """∂E/∂θ (n_frames, n_terms, n_wanted) and ∂F/∂θ (n_frames, n_terms, n_atoms, 3, n_wanted) of each term."""
        energy, slope = self.design(q, theta)
        n_frames, n_terms, n_q, n_wanted = slope.shape
        by_atom = jacobian.unflatten(2, (-1, 3))
        local = by_atom[:, self.block.coordinates.unsqueeze(2), self.atoms.unsqueeze(1)]
        local = local.flatten(3).flatten(0, 1).transpose(1, 2)  # (n_frames · n_terms, 3 n_atoms, n_q)
        force = torch.bmm(local, slope.reshape(n_frames * n_terms, n_q, n_wanted)).neg_()
        return energy, force.view(n_frames, n_terms, -1, 3, n_wanted)


@final
@dataclass(frozen=True, eq=False)
class _Gathered:
    """Which derivatives of terms add up to those of the forces on one atom.

    Parameters
    ----------
    columns : (n_columns,)
        See `AtomRows`.
    terms, slots : list of (n,)
        Terms of each part with the atom, and its index in each.
    local : list of (n · n_wanted,)
        Positions in `columns` of the parameters of these terms; n_columns for those that are not free.
    """

    columns: Tensor
    terms: list[Tensor]
    slots: list[Tensor]
    local: list[Tensor]

    @classmethod
    def of(cls, parts: Sequence[_Part], atom: int) -> _Gathered:
        found = [torch.nonzero(part.atoms == atom, as_tuple=True) for part in parts]
        targets = [part.targets[terms].flatten() for part, (terms, _) in zip(parts, found, strict=True)]
        columns = torch.unique(torch.cat(targets))
        columns = columns[columns >= 0]
        local = [torch.where(part >= 0, torch.searchsorted(columns, part), len(columns)) for part in targets]
        return cls(columns, [terms for terms, _ in found], [slots for _, slots in found], local)

    def rows(self, by_force: Sequence[Tensor]) -> AtomRows:
        """Sums over terms of their derivatives (n_frames, n_terms, n_atoms, 3, n_wanted), by part."""
        shape = (by_force[0].shape[0], 3, len(self.columns) + 1)
        rows = by_force[0].new_zeros(shape)
        for force, terms, slots, local in zip(by_force, self.terms, self.slots, self.local, strict=True):
            rows.index_add_(2, local, force[:, terms, slots].transpose(1, 2).flatten(2))
        return AtomRows(self.columns, rows[:, :, :-1])


def blocks_of(module: ForceFieldModule) -> list[Block]:
    """Blocks of a module, in the order of the force field's groups."""
    return [block for block in module.blocks if isinstance(block, Block)]
