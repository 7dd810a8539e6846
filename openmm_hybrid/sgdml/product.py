"""K_Hess v by matrix products with the descriptors, without a kernel matrix.

With a = J v the coefficients in descriptor space, the query permuted instead of the training points (the permutations
are a group), and the weights w₁ = 5/(3σ²) (1 + d) e^(−d) and w₂ = 25/(3σ⁴) e^(−d) of every pair of geometries,

    (K v)_i = J_iᵀ Σ_s P_sᵀ Σ_j [w₁ a_j − w₂ (a_j·δ) δ],   δ = P_s x_i − x_j,

which is three products of (S M × D) with (D × M) matrices (Chmiela et al., Nat. Commun. 9, 3887 (2018), equation 4).
The weights, 2 S M² numbers, are kept if memory allows, and otherwise computed in every product. Pairs of atoms that no
permutation moves are multiplied once for all permutations. The queries are processed in tiles that fit into the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from openmm_hybrid.sgdml.descriptor import pairs, sorted_pair_permutations
from openmm_hybrid.sgdml.kernel import HessianKernel

_TILE = 2**18  # number of weights per tile


@final
@dataclass(frozen=True, eq=False)
class _Points:
    """Geometries with the fixed pairs first: x (n, D), squares (n,), slopes (n, 3, D)."""

    kernel: HessianKernel
    x: Tensor
    squares: Tensor
    slopes: Tensor
    n_fixed: int

    @property
    def fixed(self) -> Tensor:
        """x of the pairs that no permutation moves."""
        return self.x[:, : self.n_fixed]

    @property
    def moved(self) -> Tensor:
        """x of the other pairs."""
        return self.x[:, self.n_fixed :]


@final
@dataclass(frozen=True, eq=False)
class _Tile:
    """Queries start … stop − 1, their weights (n, S, M), and w₁ summed over permutations (n, M)."""

    start: int
    stop: int
    w1: Tensor
    w2: Tensor
    w1_sum: Tensor


@final
class KernelProduct:
    """v ↦ K_Hess v, from coefficients at the sources to forces at the queries.

    Parameters
    ----------
    queries, sources : HessianKernel
        Rows and columns: the same kernel for the whole K_Hess, or parts of a kernel (`HessianKernel.at`) for a part of
        it. The product runs on their device.
    keep : bool
        Keep the weights, `weights_memory` bytes, instead of computing them in every product, which is slower.
    """

    def __init__(self, queries: HessianKernel, sources: HessianKernel, *, keep: bool = True) -> None:
        device = sources.x.device
        moves, order, n_fixed = sorted_pair_permutations(sources.perms)
        arranged = torch.tensor(order, device=device)
        # Only differences count; subtracting a centre with the symmetry of the group saves digits.
        centre = sources.x[:, arranged].mean(0)[torch.tensor(moves, device=device)].mean(0)
        self._queries, self._sources = (
            _Points(
                kernel,
                x := kernel.x[:, arranged] - centre,
                x.square().sum(1),
                kernel.slopes[:, arranged].transpose(1, 2).contiguous(),
                n_fixed,
            )
            for kernel in (queries, sources)
        )
        moved = torch.tensor(moves[:, n_fixed:], device=device)
        self._images = self._queries.x[:, moved]  # (n_queries, S, n_moved)
        self._undo = torch.argsort(moved, 1)
        self._differences = _differences(queries.positions.shape[1])[:, order].to(device)
        step = max(1, _TILE // (len(moves) * sources.n_points))
        self._edges = [(k, min(k + step, queries.n_points)) for k in range(0, queries.n_points, step)]
        self._kept = [self._tile(*edge) for edge in self._edges] if keep else []

    def __call__(self, flat: Tensor) -> Tensor:
        """K v, (queries.n_rows,), of v (sources.n_rows,)."""
        a = self._to_descriptors(self._sources, flat)
        tiles = self._kept or (self._tile(*edge) for edge in self._edges)
        return self._from_descriptors(self._queries, torch.cat([self._gradient(tile, a) for tile in tiles]))

    def _to_descriptors(self, points: _Points, flat: Tensor) -> Tensor:
        """J v, (n, n_pairs)."""
        vectors = points.kernel.expand(flat).transpose(1, 2)
        return (points.slopes * (vectors @ self._differences)).sum(1)

    def _from_descriptors(self, points: _Points, gradient: Tensor) -> Tensor:
        """Jᵀ g, flat."""
        vectors = (points.slopes * gradient.unsqueeze(1)) @ self._differences.t()
        return points.kernel.reduce(vectors.transpose(1, 2))

    def _tile(self, start: int, stop: int) -> _Tile:
        sources, sigma = self._sources, self._sources.kernel.sigma
        images = self._images[start:stop]
        overlap = (images.flatten(0, 1) @ sources.moved.t()).view(*images.shape[:2], -1)
        overlap += (self._queries.fixed[start:stop] @ sources.fixed.t()).unsqueeze(1)
        squares = self._queries.squares[start:stop, None, None] + sources.squares
        d = torch.sub(squares, overlap, alpha=2.0).clamp_min_(0.0).sqrt_().mul_(5.0**0.5 / sigma)
        decay = torch.exp(-d).mul_(5.0 / (3.0 * sigma**2))
        w1 = d.add_(1.0).mul_(decay)
        return _Tile(start, stop, w1, decay.mul_(5.0 / sigma**2), w1.sum(1))

    def _gradient(self, tile: _Tile, a: Tensor) -> Tensor:
        """Σ_s P_sᵀ Σ_j [w₁ a_j − w₂ (a_j·δ) δ] of the queries of a tile, (n, n_pairs)."""
        sources = self._sources
        n, n_perms, n_sources = tile.w1.shape
        fixed, images = self._queries.fixed[tile.start : tile.stop], self._images[tile.start : tile.stop].flatten(0, 1)
        a_fixed, a_moved = a[:, : sources.n_fixed], a[:, sources.n_fixed :]
        along = (images @ a_moved.t()).view(n, n_perms, n_sources)
        along += (fixed @ a_fixed.t() - (sources.x * a).sum(1)).unsqueeze(1)
        along *= tile.w2
        total = along.sum(1)
        g_fixed = tile.w1_sum @ a_fixed + total @ sources.fixed - total.sum(1, keepdim=True) * fixed
        g_moved = tile.w1.flatten(0, 1) @ a_moved + along.flatten(0, 1) @ sources.moved
        g_moved = torch.addcmul(g_moved, along.sum(2).view(-1, 1), images, value=-1.0).view(n, n_perms, -1)
        return torch.cat([g_fixed, g_moved.gather(2, self._undo.expand(n, -1, -1)).sum(1)], 1)


def weights_memory(n_queries: int, n_sources: int, n_perms: int) -> int:
    """Bytes of the weights that a `KernelProduct` keeps."""
    return 8 * (2 * n_perms + 1) * n_queries * n_sources


def _differences(n_atoms: int) -> Tensor:
    """Matrix (n_atoms, n_pairs) from coordinates to differences r_j − r_i."""
    i, j = pairs(n_atoms).T
    number = np.arange(len(i))
    matrix = torch.zeros(n_atoms, len(i), dtype=torch.float64)
    matrix[i, number] = -1.0
    matrix[j, number] = 1.0
    return matrix
