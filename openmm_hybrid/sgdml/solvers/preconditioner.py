"""A preconditioner for K_Hess + λ1: a partial Cholesky factorisation with random pivots, and a constant diagonal.

With C the chosen columns of K, B the rows of C that belong to them and B = L Lᵀ, the factor is F = C L⁻ᵀ and the
preconditioner

    P = F Fᵀ + μ1,   μ P⁻¹ = 1 − F (Fᵀ F + μ1)⁻¹ Fᵀ,

μ = λ + the mean of the diagonal of K − F Fᵀ. F is needed to choose the columns and is then discarded: C and Cᵀ are
applied as products with the descriptors, like K, so that an application reads rank² numbers and not n_rows · rank.
B gets a ridge of the size of μ, so that L⁻¹ does not amplify the rounding errors of Cᵀ r.

Columns are chosen in blocks: geometries at random, with probabilities proportional to their diagonal of K − F Fᵀ, and
half of the internal directions of each geometry by the same rule. The rule is due to Chen, Epperly, Tropp, Webber,
Commun. Pure Appl. Math. 78, 995 (2025). Half geometries instead of single columns are our choice: the columns are
somewhat less effective and much faster to compute.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.product import KernelProduct, weights_memory

_BLOCK = 256  # approximate number of columns per block
_JITTER = 1e-13  # added to the pivots, relative to the largest diagonal element
_FLOOR, _RIDGE = (
    3e-11,
    3e-10,
)  # smallest μ and ridge above the rounding of the products, relative to the trace of K_Hess
_ENOUGH = 1e-11  # diagonal of K − F Fᵀ at which no columns are added, relative to the diagonal of K


@final
class Preconditioner:
    """r ↦ μ (F Fᵀ + μ1)⁻¹ r.

    Parameters
    ----------
    kernel : HessianKernel
    lam : float
        λ.
    rank : int
        Largest number of columns; fewer if the numerical rank of K_Hess is lower.
    keep : bool
        Keep the weights of the products (see `KernelProduct`).
    seed : int
        Seed of the choice of columns.
    progress : bool
        Show the progress.
    """

    def __init__(
        self, kernel: HessianKernel, *, lam: float, rank: int, keep: bool = True, seed: int = 0, progress: bool = True
    ) -> None:
        factor, left, self.pivots = _factorise(kernel, rank, seed, progress)
        self._lower, self._gram = factor[self.pivots], _gram(factor)
        del factor
        trace = float(kernel.diagonal().sum())
        self._mu = max(lam + float(left.mean()), _FLOOR * trace)
        self._ridge = max(self._mu, _RIDGE * trace)
        self._root = self._inverse_root()
        points, point_indices = torch.unique(self.pivots // kernel.block_size, return_inverse=True)
        self._rows = point_indices * kernel.block_size + self.pivots % kernel.block_size
        chosen = kernel.at(points)
        self._spread = KernelProduct(kernel, chosen, keep=keep)
        self._gather = KernelProduct(chosen, kernel, keep=keep)
        self._n_chosen = chosen.n_rows

    def soften(self) -> None:
        """Raise μ and the ridge of B tenfold: a weaker preconditioner, less sensitive to rounding errors."""
        self._mu *= 10.0
        self._ridge *= 10.0
        self._root = self._inverse_root()

    def _inverse_root(self) -> Tensor:
        """A with μ P⁻¹ = 1 − C Aᵀ A Cᵀ: the inverse of L, of B with its ridge, and of the root of Fᵀ F + μ1."""
        square = self._lower @ self._lower.t()
        square.diagonal().add_(self._ridge)
        outer = torch.linalg.cholesky(square)
        change = torch.linalg.solve_triangular(outer, self._lower, upper=False)
        inner = change @ self._gram @ change.t()
        inner.diagonal().add_(self._mu)
        root = torch.linalg.solve_triangular(
            outer, torch.eye(len(outer), dtype=outer.dtype, device=outer.device), upper=False
        )
        return torch.linalg.solve_triangular(torch.linalg.cholesky(inner), root, upper=False)

    def __call__(self, residual: Tensor) -> Tensor:
        """μ P⁻¹ r of r (n_rows,)."""
        inner = self._root.t() @ (self._root @ self._gather(residual)[self._rows])
        spread = residual.new_zeros(self._n_chosen).index_copy_(0, self._rows, inner)
        return residual - self._spread(spread)


def preconditioner_memory(n_points: int, block_size: int, n_perms: int, rank: int) -> int:
    """Approximate peak memory in bytes, reached while the columns are chosen."""
    n_rows, chosen = n_points * block_size, 2 * rank // block_size + 1
    weights = 2 * weights_memory(n_points, min(chosen, n_points), n_perms)
    return 8 * (n_rows * (rank + 2 * min(_BLOCK, rank)) + 6 * rank**2) + weights


def _factorise(kernel: HessianKernel, rank: int, seed: int, progress: bool) -> tuple[Tensor, Tensor, Tensor]:
    """F (n_rows, rank), the diagonal of K − F Fᵀ (n_rows,) and the indices of the chosen columns (rank,)."""
    generator = torch.Generator().manual_seed(seed)
    left = kernel.diagonal()
    jitter, enough = _JITTER * float(left.max()), _ENOUGH * float(left.sum())
    factor = torch.empty(kernel.n_rows, rank, dtype=torch.float64, device=left.device)
    pivots: list[Tensor] = []
    done = 0
    with progress_bar(rank, "choosing the preconditioner", "columns", enabled=progress) as advance:
        while done < rank and float(left.sum()) > enough:
            chosen = _choose(left.view(kernel.n_points, -1), min(_BLOCK, rank - done), generator)
            added_rows = torch.cat([j * kernel.block_size + k for j, k in chosen.items()])
            columns = kernel.some_columns(chosen)
            columns.addmm_(factor[:, :done], factor[added_rows, :done].t(), alpha=-1.0)
            square = columns[added_rows]
            square.diagonal().add_(jitter)
            lower, failed = torch.linalg.cholesky_ex(square)
            if int(failed):  # the rest is rounding errors
                break
            added = torch.linalg.solve_triangular(lower.t(), columns, upper=True, left=False)
            factor[:, done : done + len(added_rows)] = added
            left = left.sub_(added.square().sum(1)).clamp_min_(0.0)
            left[added_rows] = 0.0
            pivots.append(added_rows)
            done += len(added_rows)
            advance(len(added_rows))
    return factor[:, :done], left, torch.cat(pivots)


def _choose(left: Tensor, count: int, generator: torch.Generator) -> dict[int, Tensor]:
    """Points and directions of at most `count` columns, at random with the weights `left` (n_points, block_size)."""
    half = (left.shape[1] + 1) // 2
    weights = left.sum(1).cpu()
    n_points = min(-(-count // half), int((weights > 0.0).sum()))
    points = torch.multinomial(weights, n_points, generator=generator).sort().values
    chosen = {}
    for point in points.tolist():
        row = left[point].cpu()
        some = min(half, count, int((row > 0.0).sum()))
        if some:
            chosen[point] = torch.multinomial(row, some, generator=generator).sort().values.to(left.device)
        count -= some
    return chosen


def _gram(factor: Tensor) -> Tensor:
    """Fᵀ F; only its lower half is computed."""
    rank = factor.shape[1]
    gram = torch.zeros(rank, rank, dtype=factor.dtype, device=factor.device)
    for start in range(0, rank, _BLOCK):
        stop = min(start + _BLOCK, rank)
        block = factor[:, start:].t() @ factor[:, start:stop]
        gram[start:, start:stop] = block
        gram[start:stop, start:] = block.t()
    return gram
