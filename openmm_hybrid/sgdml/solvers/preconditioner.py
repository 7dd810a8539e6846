"""A preconditioner for K_Hess + λ1: a partial Cholesky factorisation with random pivots, and a block diagonal.

The internal directions of each geometry are first scaled so that its own block of K becomes the unit matrix (nearly:
`_SOFTEST` limits soft directions). Stiff and soft directions then count alike. This matters where the kernel is short
compared with the distances between geometries, so that a low rank cannot hold all stiff directions. With C the chosen
columns of this K, B the rows of C that belong to them and B = L Lᵀ, the factor is F = C L⁻ᵀ and the preconditioner

    P = F Fᵀ + E,   P⁻¹ = T (1 − H (Hᵀ H + 1)⁻¹ Hᵀ) Tᵀ,   T Tᵀ = E⁻¹,   H = Tᵀ F.

E is block diagonal, one block per geometry: the block of K − F Fᵀ, λ, and a share of the median eigenvalue of all these
blocks, since directions that the columns have covered would otherwise count too much.

F is needed to choose the columns and to make E and Hᵀ H, and is then discarded: C and Cᵀ are applied as products with
the descriptors, like K, so that an application reads rank² numbers and not n_rows · rank. The scalings are part of the
kernels of these products. B gets a ridge, so that L⁻¹ does not amplify the rounding errors of Cᵀ r.

Columns are chosen in parts: geometries at random, with probabilities proportional to their diagonal of K − F Fᵀ, and
half of the internal directions of each geometry by the same rule. The rule is due to Chen, Epperly, Tropp, Webber,
Commun. Pure Appl. Math. 78, 995 (2025). Scaled directions, half geometries and the block diagonal are our choice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.sgdml.kernel import HessianKernel
from openmm_hybrid.sgdml.product import KernelProduct, weights_memory
from openmm_hybrid.sgdml.threads import MeasuredThreads

_BLOCK = 256  # approximate number of columns per part
_JITTER = 1e-13  # added to the pivots, relative to the largest diagonal element
_SOFTEST = 1e-6  # softest direction that is scaled in full, relative to the mean of the diagonal of K_Hess
_SHARE = 0.3  # share of the median strength of the blocks of K − F Fᵀ that E adds to them
_FLOOR, _RIDGE = 3e-11, 3e-10  # least E and ridge above the rounding of the products, relative to the trace of K_Hess
_MAKING = 500  # time to make a column of K, in times to subtract one column of F
_ENOUGH = 1e-11  # diagonal of K − F Fᵀ at which no columns are added, relative to the diagonal of K


@final
class Preconditioner:
    """r ↦ P⁻¹ r, up to a factor.

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
        inner, scaling = _scaled(kernel)
        factor, self.pivots = _factorise(inner, rank, seed, progress)
        self._lower = factor[self.pivots]
        trace = float(inner.diagonal().sum())
        inverse, least = _block_root(inner, factor, lam * scaling.transpose(1, 2) @ scaling, _FLOOR * trace)
        blocks = factor.view(inner.n_points, inner.block_size, -1)
        torch.bmm(inverse.transpose(1, 2), blocks.clone(), out=blocks)
        self._gram = _gram(factor)
        del factor, blocks
        self._mu, self._ridge = 1.0, max(least, _RIDGE * trace)
        self._root = self._inverse_root()
        points, point_indices = torch.unique(self.pivots // kernel.block_size, return_inverse=True)
        self._rows = point_indices * kernel.block_size + self.pivots % kernel.block_size
        chosen = inner.at(points)
        self._scaling = scaling @ inverse
        whole = _in_basis(kernel, self._scaling)
        self._spread = KernelProduct(whole, chosen, keep=keep)
        self._gather = KernelProduct(chosen, whole, keep=keep)
        self._n_chosen = chosen.n_rows

    def soften(self) -> None:
        """Raise E and the ridge of B tenfold: a weaker preconditioner, less sensitive to rounding errors."""
        self._mu *= 10.0
        self._ridge *= 10.0
        self._root = self._inverse_root()

    def _inverse_root(self) -> Tensor:
        """A with H (Hᵀ H + μ1)⁻¹ Hᵀ = Tᵀ C Aᵀ A Cᵀ T: the inverse roots of B with its ridge and of Hᵀ H + μ1."""
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
        blocks = self._scaling
        scaled = (residual.view(len(blocks), 1, -1) @ blocks).view(-1)
        inner = self._root.t() @ (self._root @ self._gather(scaled)[self._rows])
        spread = residual.new_zeros(self._n_chosen).index_copy_(0, self._rows, inner)
        scaled -= self._spread(spread)
        return (blocks @ scaled.view(len(blocks), -1, 1)).view(-1)


def _in_basis(kernel: HessianKernel, blocks: Tensor) -> HessianKernel:
    """The kernel in other directions: the basis of each point times its block (n_points, block_size, block_size)."""
    return replace(kernel, basis=kernel.basis @ blocks, jacobians=kernel.jacobians @ blocks)


def _scaled(kernel: HessianKernel) -> tuple[HessianKernel, Tensor]:
    """The kernel in directions that make its diagonal blocks nearly 1, and these directions, one block per point."""
    strength, directions = torch.linalg.eigh(kernel.diagonal_blocks())
    scaling = directions * (strength + _SOFTEST * strength.mean()).rsqrt().unsqueeze(1)
    return _in_basis(kernel, scaling), scaling


def _block_root(kernel: HessianKernel, factor: Tensor, noise: Tensor, floor: float) -> tuple[Tensor, float]:
    """T with T Tᵀ = E⁻¹, one block per point, and the number that E adds to the blocks of K − F Fᵀ and the noise λ."""
    left = kernel.diagonal_blocks()
    left.baddbmm_(blocks := factor.view(len(left), left.shape[1], -1), blocks.transpose(1, 2), alpha=-1.0)
    least = max(_SHARE * float(torch.linalg.eigvalsh(left).median()), floor)
    strength, directions = torch.linalg.eigh(left.add_(noise))
    return directions * (strength.clamp_min_(0.0) + least).rsqrt().unsqueeze(1), least


def preconditioner_memory(n_points: int, block_size: int, n_perms: int, rank: int) -> int:
    """Approximate peak memory in bytes, reached while the columns are chosen."""
    n_rows, chosen = n_points * block_size, 2 * rank // block_size + 1
    weights = 2 * weights_memory(n_points, min(chosen, n_points), n_perms)
    return 8 * (n_rows * (rank + 2 * min(_BLOCK, rank)) + 6 * rank**2) + weights


def _factorise(kernel: HessianKernel, rank: int, seed: int, progress: bool) -> tuple[Tensor, Tensor]:
    """F (n_rows, rank) and the indices of the chosen columns (rank,)."""
    generator = torch.Generator().manual_seed(seed)
    left = kernel.diagonal()
    jitter, enough = _JITTER * float(left.max()), _ENOUGH * float(left.sum())
    factor = torch.empty(kernel.n_rows, rank, dtype=torch.float64, device=left.device)
    pivots: list[Tensor] = []
    done = 0
    bar = progress_bar(rank, "choosing the preconditioner", "columns", enabled=progress)
    with bar as advance, MeasuredThreads() as threads:
        while done < rank and float(left.sum()) > enough:
            chosen = _choose(left.view(kernel.n_points, -1), min(_BLOCK, rank - done), generator)
            rows = torch.cat([j * kernel.block_size + k for j, k in chosen.items()])
            with threads.step(len(rows) * (_MAKING + done)):
                added = _columns(kernel, chosen, rows, factor[:, :done], jitter)
                if added is None:  # the rest is rounding errors
                    break
                factor[:, done : done + len(rows)] = added
                left = left.sub_(added.square().sum(1)).clamp_min_(0.0)
            left[rows] = 0.0
            pivots.append(rows)
            done += len(rows)
            advance(len(rows))
    return factor[:, :done], torch.cat(pivots)


def _columns(
    kernel: HessianKernel, chosen: dict[int, Tensor], rows: Tensor, factor: Tensor, jitter: float
) -> Tensor | None:
    """The next columns of F; None if K − F Fᵀ is not positive in them."""
    columns = kernel.some_columns(chosen)
    columns.addmm_(factor, factor[rows].t(), alpha=-1.0)
    square = columns[rows]
    square.diagonal().add_(jitter)
    lower, failed = torch.linalg.cholesky_ex(square)
    return None if int(failed) else torch.linalg.solve_triangular(lower.t(), columns, upper=True, left=False)


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
