"""The kernel matrix of forces: its blocks between internal directions of geometries, made by matrix products.

κ(d) = (1 + d + d²/3) e^(−d), d = √5 |x − x′|/σ, is the Matérn kernel with ν = 5/2. Its Hessian in the descriptors,

    ∂²κ/∂x∂x′ᵀ = 5/(3σ²) e^(−d) [(1 + d) 1 − (5/σ²) δ δᵀ],   δ = x − x′,

between the Jacobians J = ∂x/∂r of two geometries, summed over the permutations of the second, is a block
K_ij = Σ_s J_iᵀ (∂²κ/∂x∂x′ᵀ) J_j^s (Chmiela et al., Nat. Commun. 9, 3887 (2018), equation 4).

A translation or rotation of a geometry changes no descriptor, so that K maps it to zero. The blocks are therefore made
between internal directions only, the columns of an orthonormal Q_i that span the rows of J_i: 3N − 6 rows instead of
3N, for the same forces. This is our addition.

For training on energies too, every block has one more row and column, the last: the covariances of energies with
derivatives and with each other. For a function with covariance κ they are the derivatives of κ,

    Σ_s (∂κ/∂x′)ᵀ J_j^s,   J_iᵀ Σ_s ∂κ/∂x   and   Σ_s κ,   ∂κ/∂x′ = −∂κ/∂x = 5/(3σ²) (1 + d) e^(−d) δ

(Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), section 9.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.sgdml.descriptor import descriptor, jacobian, jacobian_times, pair_permutations
from openmm_hybrid.sgdml.module import KernelModule

_TILE = 2_000_000  # numbers in the largest temporary array of an assembly step, about the size of a processor's cache
_BATCH = 32  # frames per evaluation in `HessianKernel.times`
_NULL = 1e-12  # largest eigenvalue of JᵀJ of directions that change no distance, relative to the largest of all


@final
@dataclass(frozen=True, eq=False)
class _Images:
    """The permuted images of one point: x (S, D), J (S, D, k), J of the fixed and of the moved pairs."""

    x: Tensor
    full: Tensor
    fixed: Tensor
    moved: Tensor


@final
@dataclass(frozen=True, eq=False)
class _Rows:
    """Some points: x (n, D), Jᵀ (n, block_size, D), Jᵀ of the fixed and of the moved pairs."""

    x: Tensor
    full: Tensor
    fixed: Tensor
    moved: Tensor

    @classmethod
    def of(cls, x: Tensor, full: Tensor, fixed: Tensor) -> _Rows:
        return cls(x, full, full[:, :, fixed], full[:, :, ~fixed])

    def below(self, first: int) -> _Rows:
        """The points with index `first` and above."""
        return _Rows(self.x[first:], self.full[first:], self.fixed[first:], self.moved[first:])


@final
@dataclass(frozen=True, eq=False)
class HessianKernel:
    """K_Hess of training geometries, never stored as a whole; symmetric, positive semi-definite.

    The vectors of its products are flat, (n_points · block_size,): see `reduce` and `expand`.

    Parameters
    ----------
    positions : Tensor (n_points, n_atoms, 3), Å
    perms : (n_perms, n_atoms)
        A group of permutations.
    sigma : float, 1/Å
    x, slopes : Tensor (n_points, n_pairs) and (n_points, n_pairs, 3)
        Descriptors of the positions and their slopes (see `descriptor`).
    basis : Tensor (n_points, 3 n_atoms, block_size)
        Q, the internal directions; with energies, a last column of zeros.
    jacobians : Tensor (n_points, n_pairs, block_size)
        J Q.
    with_energies : bool
        Whether the last row and column of every block belong to the energy.
    """

    positions: Tensor
    perms: NDArray[np.int64]
    sigma: float
    x: Tensor
    slopes: Tensor
    basis: Tensor
    jacobians: Tensor
    with_energies: bool = False

    @classmethod
    def of(
        cls,
        positions: NDArray[np.float64],
        perms: NDArray[np.int64],
        sigma: float,
        *,
        with_energies: bool = False,
        device: str = "cpu",
    ) -> HessianKernel:
        """The kernel of positions (n_points, n_atoms, 3), Å; its tensors and products live on the device."""
        points = torch.tensor(positions, device=device)
        x, slopes = descriptor(points)
        full = jacobian(slopes)
        strength, directions = torch.linalg.eigh(full.transpose(1, 2) @ full)
        rank = int((strength > _NULL * strength[:, -1:]).sum(1).max())
        basis = torch.nn.functional.pad(directions[:, :, -rank:], (0, int(with_energies))).contiguous()
        return cls(points, perms, sigma, x, slopes, basis, jacobians=full @ basis, with_energies=with_energies)

    @property
    def n_points(self) -> int:
        """Number of training geometries."""
        return len(self.x)

    @property
    def block_size(self) -> int:
        """Rows of a block: the internal directions (usually 3 n_atoms − 6), and the energy with energies."""
        return self.basis.shape[2]

    @property
    def n_rows(self) -> int:
        """Rows of the matrix, n_points · block_size."""
        return self.n_points * self.block_size

    def at(self, points: Tensor) -> HessianKernel:
        """The kernel of some of the points, (n,), in that order."""
        parts = (self.positions, self.x, self.slopes, self.basis, self.jacobians)
        positions, x, slopes, basis, jacobians = (part[points] for part in parts)
        return HessianKernel(positions, self.perms, self.sigma, x, slopes, basis, jacobians, self.with_energies)

    def reduce(self, vectors: Tensor, energies: Tensor | None = None) -> Tensor:
        """Components (n_rows,) of Cartesian vectors (n_points, n_atoms, 3) and of energies (n_points,), if given."""
        flat = vectors.reshape(self.n_points, 1, -1) @ self.basis
        if energies is not None:
            flat[:, 0, -1] = energies
        return flat.reshape(-1)

    def expand(self, flat: Tensor) -> Tensor:
        """Cartesian vectors (n_points, n_atoms, 3) from components (n_rows,)."""
        return (self.basis @ flat.view(self.n_points, -1, 1)).view(self.positions.shape)

    def energies(self, flat: Tensor) -> Tensor | None:
        """Energy components (n_points,) of components (n_rows,); None for a kernel without energies."""
        return flat.view(self.n_points, -1)[:, -1] if self.with_energies else None

    def columns(self, first: int, last: int) -> Tensor:
        """The columns of points first … last − 1, starting at the rows of `first` (the rest follows by symmetry).

        Returns
        -------
        Tensor ((n_points − first) · block_size, (last − first) · block_size)
            Blocks above the diagonal are zero.
        """
        size = self.block_size
        rows = self.n_points - first
        panel = torch.zeros(rows * size, (last - first) * size, dtype=torch.float64, device=self.x.device)
        blocks = panel.view(rows, size, last - first, size)
        moves, fixed = self._moves()
        images = [_image(self.x[j], self.jacobians[j], moves, fixed) for j in range(first, last)]
        for start, stop, left in self._row_tiles(first):
            tile = _Rows.of(self.x[start:stop], left, fixed)
            for j in range(first, min(last, stop)):
                top = max(start, j) - start
                blocks[start + top - first : stop - first, :, j - first] = self._blocks(
                    tile.below(top), images[j - first]
                )
        return panel

    def some_columns(self, chosen: dict[int, Tensor]) -> Tensor:
        """Whole columns of some internal directions; for a kernel without energies.

        Parameters
        ----------
        chosen : dict of int to Tensor (k,)
            Point → indices of its directions.

        Returns
        -------
        Tensor (n_rows, Σk)
        """
        moves, fixed = self._moves()
        images = [_image(self.x[j], self.jacobians[j][:, k], moves, fixed) for j, k in chosen.items()]
        counts = [len(k) for k in chosen.values()]
        columns = torch.empty(self.n_rows, sum(counts), dtype=torch.float64, device=self.x.device)
        for start, stop, left in self._row_tiles(0):
            tile = _Rows.of(self.x[start:stop], left, fixed)
            rows = columns[start * self.block_size : stop * self.block_size].split(counts, dim=1)
            for target, image in zip(rows, images, strict=True):
                target.copy_(self._blocks(tile, image).flatten(0, 1))
        return columns

    def diagonal_blocks(self) -> Tensor:
        """The block of each point with itself, (n_points, block_size, block_size)."""
        moves, fixed = self._moves()
        parts = []
        for x, full in zip(self.x, self.jacobians, strict=True):
            row = _Rows.of(x.unsqueeze(0), full.t().unsqueeze(0), fixed)
            parts.append(self._blocks(row, _image(x, full, moves, fixed)))
        return torch.cat(parts)

    def diagonal(self) -> Tensor:
        """Diagonal of the matrix, (n_rows,)."""
        return self.diagonal_blocks().diagonal(dim1=1, dim2=2).flatten()

    def _moves(self) -> tuple[Tensor, Tensor]:
        """The permutations of the descriptor, (S, D), and whether they all fix a pair, (D,)."""
        moves = torch.tensor(pair_permutations(self.perms), device=self.x.device)
        return moves, (moves == torch.arange(moves.shape[1], device=moves.device)).all(0)

    def _row_tiles(self, first: int) -> Iterator[tuple[int, int, Tensor]]:
        """The points from `first` to the last in parts: start, stop and their Jᵀ (stop − start, block_size, D)."""
        step = max(1, _TILE // (self.x.shape[1] * self.block_size))
        for start in range(first, self.n_points, step):
            stop = min(start + step, self.n_points)
            yield start, stop, self.jacobians[start:stop].transpose(1, 2).contiguous()

    def _blocks(self, rows: _Rows, images: _Images) -> Tensor:
        """Blocks (n, block_size, k) between n points and the images of one point.

        The rows of J that no permutation moves are multiplied once for all images.
        """
        size, width = rows.full.shape[1], images.full.shape[2]
        delta = rows.x.unsqueeze(1) - images.x
        d = (5.0**0.5 / self.sigma) * torch.linalg.vector_norm(delta, dim=2)
        decay = (5.0 / (3.0 * self.sigma**2)) * torch.exp(-d)
        weight = (1.0 + d) * decay
        blocks = (rows.fixed.flatten(0, 1) @ images.fixed).view(-1, size, width)
        blocks *= weight.sum(1).view(-1, 1, 1)
        moved = (weight @ images.moved.flatten(1)).view(len(rows.x), rows.moved.shape[2], width)
        blocks.baddbmm_(rows.moved, moved)
        along = torch.bmm(delta.transpose(0, 1), images.full).transpose(0, 1)
        if self.with_energies:
            blocks[:, -1] = (weight.unsqueeze(2) * along).sum(1)
            blocks[:, :, -1] = -torch.bmm(rows.full, torch.bmm(weight.unsqueeze(1), delta).transpose(1, 2)).squeeze(2)
            blocks[:, -1, -1] = ((1.0 + d + d * d / 3.0) * torch.exp(-d)).sum(1)
        along = along * (decay * (-5.0 / self.sigma**2)).unsqueeze(2)
        return blocks.baddbmm_(torch.bmm(rows.full, delta.transpose(1, 2)), along)

    def times(self, flat: Tensor) -> Tensor:
        """K_Hess v without the matrix, (n_rows,): the forces, and minus the energies, of coefficients −v at the points.

        The module that evaluates the model is used, so that a residual checks both the solver and that module.
        """
        energy_part = self.energies(flat)
        module = KernelModule(
            descriptors=self.x.cpu().numpy(),
            weights=jacobian_times(self.slopes, -self.expand(flat)).cpu().numpy(),
            perms=self.perms,
            sigma=self.sigma,
            constant=0.0,
            energy_weights=None if energy_part is None else -energy_part.cpu().numpy(),
        ).to(self.x.device)
        energies, forces = map(torch.cat, zip(*map(module, self.positions.split(_BATCH)), strict=True))
        return self.reduce(forces, None if energy_part is None else -energies)


def _image(x: Tensor, columns: Tensor, moves: Tensor, fixed: Tensor) -> _Images:
    """Images of a point x (D,) and some columns (D, k) of its Jacobian."""
    return _Images(x[moves], columns[moves], columns[fixed], columns[moves[:, ~fixed]])
