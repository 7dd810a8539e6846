"""The kernel matrix of forces, block column by block column, and its product with a vector.

κ(d) = (1 + d + d²/3) e^(−d), d = √5 |x − x′|/σ, is the Matérn kernel with ν = 5/2. Its Hessian in the descriptors,

    ∂²κ/∂x∂x′ᵀ = 5/(3σ²) e^(−d) [(1 + d) 1 − (5/σ²) δ δᵀ],   δ = x − x′,

between the Jacobians J = ∂x/∂r of two geometries, summed over the permutations of the second, is a block
K_ij = Σ_s J_iᵀ (∂²κ/∂x∂x′ᵀ) J_j^s of 3 n_atoms rows (Chmiela et al., Nat. Commun. 9, 3887 (2018), equation 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.sgdml.descriptor import descriptor, jacobian, jacobian_times, pair_permutations
from openmm_hybrid.sgdml.module import KernelModule

_TILE = 2_000_000  # numbers in the largest temporary of an assembly step: near the size of a processor's cache
_BATCH = 32  # frames evaluated at once by `HessianKernel.times`


@final
@dataclass(frozen=True, eq=False)
class _Images:
    """The permuted images of one point: x (S, D), J (S, D, 3N), J of the fixed pairs and of the moved ones."""

    x: Tensor
    full: Tensor
    fixed: Tensor
    moved: Tensor


@final
@dataclass(frozen=True, eq=False)
class HessianKernel:
    """K_Hess of training geometries, never stored as a whole; symmetric, positive semi-definite.

    Parameters
    ----------
    positions : Tensor (n_points, n_atoms, 3), Å
    perms : (n_perms, n_atoms)
        A group.
    sigma : float, 1/Å
    x, slopes : Tensor (n_points, n_pairs) and (n_points, n_pairs, 3)
        The descriptors of the positions and their slopes (see `descriptor`).
    """

    positions: Tensor
    perms: NDArray[np.int64]
    sigma: float
    x: Tensor
    slopes: Tensor

    @classmethod
    def of(cls, positions: NDArray[np.float64], perms: NDArray[np.int64], sigma: float) -> HessianKernel:
        """The kernel of positions (n_points, n_atoms, 3), Å."""
        points = torch.tensor(positions)
        x, slopes = descriptor(points)
        return cls(positions=points, perms=perms, sigma=sigma, x=x, slopes=slopes)

    @property
    def n_points(self) -> int:
        """Number of training geometries."""
        return len(self.x)

    @property
    def block_size(self) -> int:
        """Rows of a block, 3 n_atoms."""
        return 3 * self.positions.shape[1]

    def columns(self, first: int, last: int) -> Tensor:
        """The columns of points first … last − 1, from the row of `first` on (the rest follows by symmetry).

        Returns
        -------
        Tensor ((n_points − first) · block_size, (last − first) · block_size)
            Blocks above the diagonal are zero.
        """
        size = self.block_size
        rows = self.n_points - first
        panel = torch.zeros(rows * size, (last - first) * size, dtype=torch.float64)
        blocks = panel.view(rows, size, last - first, size)
        moves = torch.tensor(pair_permutations(self.perms))
        fixed = (moves == torch.arange(moves.shape[1])).all(0)
        images = [
            _Images(self.x[j][moves], full[moves], full[fixed], full[moves[:, ~fixed]])
            for j, full in enumerate(jacobian(self.slopes[first:last]), start=first)
        ]
        step = max(1, _TILE // (self.x.shape[1] * size))
        for start in range(first, self.n_points, step):
            stop = min(start + step, self.n_points)
            left = jacobian(self.slopes[start:stop]).transpose(1, 2).contiguous()
            left_fixed, left_moved = left[:, :, fixed], left[:, :, ~fixed]
            for j in range(first, min(last, stop)):
                top = max(start, j) - start
                blocks[start + top - first : stop - first, :, j - first] = self._blocks(
                    self.x[start + top : stop], left[top:], left_fixed[top:], left_moved[top:], images[j - first]
                )
        return panel

    def _blocks(self, x: Tensor, left: Tensor, left_fixed: Tensor, left_moved: Tensor, images: _Images) -> Tensor:
        """Blocks (n, 3N, 3N) of n points, x (n, D) and Jᵀ (n, 3N, D), and the images of one.

        The rows of J that no permutation moves are multiplied once, for all images together.
        """
        size = left.shape[1]
        delta = x.unsqueeze(1) - images.x
        d = (5.0**0.5 / self.sigma) * torch.linalg.vector_norm(delta, dim=2)
        decay = (5.0 / (3.0 * self.sigma**2)) * torch.exp(-d)
        weight = (1.0 + d) * decay
        blocks = (left_fixed.reshape(-1, left_fixed.shape[2]) @ images.fixed).view(-1, size, size)
        blocks *= weight.sum(1).view(-1, 1, 1)
        moved = (weight @ images.moved.flatten(1)).view(len(x), left_moved.shape[2], size)
        blocks.baddbmm_(left_moved, moved)
        along = torch.bmm(delta.transpose(0, 1), images.full).transpose(0, 1)
        along = along * (decay * (-5.0 / self.sigma**2)).unsqueeze(2)
        return blocks.baddbmm_(torch.bmm(left, delta.transpose(1, 2)), along)

    def times(self, vector: Tensor) -> Tensor:
        """K_Hess v without the matrix, (n_points · block_size,): the forces that coefficients −v give at the points."""
        module = KernelModule(
            descriptors=self.x.numpy(),
            weights=jacobian_times(self.slopes, -vector.view(self.positions.shape)).numpy(),
            perms=self.perms,
            sigma=self.sigma,
            constant=0.0,
        )
        return torch.cat([module(batch)[1] for batch in self.positions.split(_BATCH)]).reshape(-1)
