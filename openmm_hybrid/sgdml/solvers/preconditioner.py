"""A preconditioner for K_Hess + λ1: its partial Cholesky factorisation with random pivots, and a diagonal rest.

With C the chosen columns of K, B the rows of C that belong to them and B = L Lᵀ, the factor is F = C L⁻ᵀ and the
preconditioner

    P = F Fᵀ + μ1,   μ P⁻¹ = 1 − F (Fᵀ F + μ1)⁻¹ Fᵀ,

μ = λ + the mean of the diagonal that F leaves. F is needed to choose the columns and is then forgotten: C and Cᵀ are
applied as products with the descriptors, as K is, so that an application reads rank² numbers and not n_rows · rank.
B gets a ridge of the size of μ: nothing that matters is lost, and L⁻¹ does not blow up the rounding errors of Cᵀ r.

Columns are taken in blocks: geometries drawn in proportion to what F has not yet caught of their diagonal, and of each
half of its internal directions, drawn likewise, so that a geometry serves many columns. The drawing is that of Chen,
Epperly, Tropp, Webber, Commun. Pure Appl. Math. 78, 995 (2025); half geometries are our choice: on aspirin they leave
13 % more of the diagonal than single columns do, and take a quarter of the time.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.product import KernelProduct, weights_memory

_BLOCK = 256  # columns in a block, about
_JITTER = 1e-13  # of the largest diagonal element, added to the pivots
_FLOOR, _RIDGE = 3e-11, 3e-10  # of the trace of K_Hess: smaller μ and ridges drown in the rounding of the products
_ENOUGH = 1e-11  # of the diagonal: no columns are added when less is left


@final
class Preconditioner:
    """r ↦ μ (F Fᵀ + μ1)⁻¹ r.

    Parameters
    ----------
    kernel : HessianKernel
    lam : float
        λ
    rank : int
        Columns at most; less are taken where K_Hess itself has no more.
    keep : bool
        Keep the weights of the products (see `KernelProduct`).
    seed : int
        Of the drawing.
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
        points, numbers = torch.unique(self.pivots // kernel.block_size, return_inverse=True)
        self._rows = numbers * kernel.block_size + self.pivots % kernel.block_size
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
    """Bytes at the peak, about: the factor, while columns are chosen."""
    n_rows, chosen = n_points * block_size, 2 * rank // block_size + 1
    weights = 2 * weights_memory(n_points, min(chosen, n_points), n_perms)
    return 8 * (n_rows * (rank + 2 * min(_BLOCK, rank)) + 6 * rank**2) + weights


def _factorise(kernel: HessianKernel, rank: int, seed: int, progress: bool) -> tuple[Tensor, Tensor, Tensor]:
    """F (n_rows, rank), the diagonal of K − F Fᵀ (n_rows,) and the numbers of the chosen columns (rank,)."""
    generator = torch.Generator().manual_seed(seed)
    left = kernel.diagonal()
    jitter, enough = _JITTER * float(left.max()), _ENOUGH * float(left.sum())
    factor = torch.empty(kernel.n_rows, rank, dtype=torch.float64, device=left.device)
    pivots: list[Tensor] = []
    done = 0
    with progress_bar(rank, "choosing the preconditioner", "columns", enabled=progress) as advance:
        while done < rank and float(left.sum()) > enough:
            chosen = _draw(left.view(kernel.n_points, -1), min(_BLOCK, rank - done), generator)
            numbers = torch.cat([j * kernel.block_size + k for j, k in chosen.items()])
            columns = kernel.some_columns(chosen)
            columns.addmm_(factor[:, :done], factor[numbers, :done].t(), alpha=-1.0)
            square = columns[numbers]
            square.diagonal().add_(jitter)
            lower, failed = torch.linalg.cholesky_ex(square)
            if int(failed):  # what is left is rounding
                break
            added = torch.linalg.solve_triangular(lower.t(), columns, upper=True, left=False)
            factor[:, done : done + len(numbers)] = added
            left = left.sub_(added.square().sum(1)).clamp_min_(0.0)
            left[numbers] = 0.0
            pivots.append(numbers)
            done += len(numbers)
            advance(len(numbers))
    return factor[:, :done], left, torch.cat(pivots)


def _draw(left: Tensor, count: int, generator: torch.Generator) -> dict[int, Tensor]:
    """Points and directions of `count` columns at most, in proportion to the diagonal that is left (M, block_size)."""
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
    """Fᵀ F, of which only the lower half is computed."""
    rank = factor.shape[1]
    gram = torch.zeros(rank, rank, dtype=factor.dtype, device=factor.device)
    for start in range(0, rank, _BLOCK):
        stop = min(start + _BLOCK, rank)
        block = factor[:, start:].t() @ factor[:, start:stop]
        gram[start:, start:stop] = block
        gram[start:stop, start:] = block.t()
    return gram
