"""Least-squares projection of forces on a small number of kernel functions.

The energy of a kernel model is a sum of functions centred at its points. With δ = x − x_m,s and d = √5 |δ|/σ

    φ_mk(x) = Σ_s (5/(3σ²)) (1 + d) e^(−d)  q_mk·δ

is a function for every direction q_mk of descriptor space, even one that no displacement of the atoms reaches. A point
can therefore carry up to n_pairs functions, and the time of an evaluation depends on the number of points alone.
Training uses the 3 n_atoms − 6 directions of atomic displacements (the columns of J_m).

The coefficients c minimise |A c − y|² + λ cᵀ P c, where y are forces and energies at the geometries, A the forces and
energies of the functions, and P their inner products in the kernel's space (the projected process or subset of
regressors; Quiñonero-Candela, Rasmussen, J. Mach. Learn. Res. 6, 1939 (2005)). P = L Lᵀ is factorised first, and the
rows A L⁻ᵀ of the geometries are made batch by batch: otherwise the normal equations would lose all accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.sgdml.descriptor import pair_permutations
from openmm_hybrid.sgdml.kernel import HessianKernel

_BATCH_ROWS = 2000  # rows of A per batch
_PANEL = 2048  # columns of the normal matrix per update
_JITTER = (1e-14, 1e-13, 1e-12, 1e-11, 1e-10)  # relative increases of P's diagonal, tried until P is positive definite


@final
@dataclass(frozen=True, eq=False)
class Functions:
    """Kernel functions at points in descriptor space.

    Parameters
    ----------
    x : Tensor (n_points, n_pairs), 1/Å
    directions : Tensor (n_points, n_pairs, n_directions)
        q of each point, orthonormal columns.
    perms : (n_perms, n_atoms)
    sigma : float, 1/Å
    """

    x: Tensor
    directions: Tensor
    perms: NDArray[np.int64]
    sigma: float

    @property
    def number(self) -> int:
        """Number of functions."""
        return self.directions.shape[0] * self.directions.shape[2]

    def rows(self, x: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
        """Values at points x (n, n_pairs), and derivatives along directions (n, n_pairs, k) of descriptor space.

        Returns
        -------
        values : Tensor (n, number)
        slopes : Tensor (n · k, number)
        """
        moves = torch.tensor(pair_permutations(self.perms))
        left = along.transpose(1, 2).contiguous()
        n_points, _, width = self.directions.shape
        values = torch.empty(len(x), n_points, width, dtype=torch.float64)
        slopes = torch.empty(len(x), left.shape[1], n_points, width, dtype=torch.float64)
        for m, (point, directions) in enumerate(zip(self.x, self.directions, strict=True)):
            delta, images = x.unsqueeze(1) - point[moves], directions[moves]
            d = (5.0**0.5 / self.sigma) * torch.linalg.vector_norm(delta, dim=2)
            decay = (5.0 / (3.0 * self.sigma**2)) * torch.exp(-d)
            weight = (1.0 + d) * decay
            along_delta = torch.bmm(delta.transpose(0, 1), images).transpose(0, 1)
            values[:, m] = (weight.unsqueeze(2) * along_delta).sum(1)
            gradient = (weight @ images.flatten(1)).view(len(x), *directions.shape)
            gradient.baddbmm_(delta.transpose(1, 2), along_delta * (decay * (-5.0 / self.sigma**2)).unsqueeze(2))
            slopes[:, :, m] = torch.bmm(left, gradient)
        return values.flatten(1), slopes.flatten(2).flatten(0, 1)

    def weights(self, coefficients: Tensor) -> Tensor:
        """Coefficients (number,) as weights in descriptor space (n_points, n_pairs), which `KernelModule` takes."""
        return (self.directions @ coefficients.view(len(self.x), -1, 1))[:, :, 0]


@final
@dataclass(frozen=True, eq=False)
class Targets:
    """The fitted labels: energies, up to a constant, and forces at geometries.

    Parameters
    ----------
    kernel : HessianKernel
        Kernel of the geometries.
    energies : Tensor (n_geometries,)
    slopes : Tensor (kernel.n_rows,)
        Internal components of the gradients ∂E/∂r.
    energy_weight : float, 1/Å
        Weight of energy errors relative to force errors.
    """

    kernel: HessianKernel
    energies: Tensor
    slopes: Tensor
    energy_weight: float = 5.0

    def part(self, first: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        """Descriptors, Jacobians and labels (energies first) of some of the geometries."""
        size = self.kernel.block_size
        labels = torch.cat([self.energy_weight * self.energies[first:last], self.slopes[first * size : last * size]])
        return self.kernel.x[first:last], self.kernel.jacobians[first:last], labels


@final
@dataclass(frozen=True, eq=False)
class Projection:
    """Normal equations of the functions, in the basis L⁻ᵀ in which P is the identity, and of an energy constant."""

    functions: Functions
    factor: Tensor  # L
    matrix: Tensor  # Σ L⁻¹ Aᵀ A L⁻ᵀ, lower triangle; the energy constant is the last row
    right: Tensor  # Σ L⁻¹ Aᵀ y

    @classmethod
    def of(cls, functions: Functions, targets: Targets, *, progress: bool) -> Projection:
        """Project energies and forces on the functions.

        Raises
        ------
        NumericalError
            The functions are linearly dependent.
        """
        factor, n = _root(functions), functions.number
        matrix, right = torch.zeros(n + 1, n + 1, dtype=torch.float64), torch.zeros(n + 1, dtype=torch.float64)
        n_geometries = targets.kernel.n_points
        step = max(1, _BATCH_ROWS // targets.kernel.block_size)
        with progress_bar(n_geometries, f"projecting on {n} functions", "geometries", enabled=progress) as advance:
            for first in range(0, n_geometries, step):
                x, jacobians, labels = targets.part(first, min(first + step, n_geometries))
                values, slopes = functions.rows(x, jacobians)
                columns = torch.zeros(n + 1, len(labels), dtype=torch.float64)
                rows = torch.cat([targets.energy_weight * values, slopes])
                columns[:n] = torch.linalg.solve_triangular(factor, rows.t(), upper=False)
                columns[n, : len(x)] = targets.energy_weight
                for start in range(0, n + 1, _PANEL):  # the lower triangle alone
                    target = matrix[start:, start : start + _PANEL]
                    target.addmm_(columns[start:], columns[start : start + _PANEL].t())
                right.addmv_(columns, labels)
                advance(len(x))
        return cls(functions, factor, matrix, right)

    def solve(self, lam: float) -> tuple[Tensor, float] | None:
        """Weights in descriptor space (n_points, n_pairs) and the energy's constant; None if λ is too small."""
        matrix = self.matrix.clone()
        matrix.diagonal().add_(lam)
        if not _factorise(matrix):
            return None
        solution = torch.linalg.solve_triangular(matrix, self.right.unsqueeze(1), upper=False)
        solution = torch.linalg.solve_triangular(matrix.t(), solution, upper=True)
        coefficients = torch.linalg.solve_triangular(self.factor.t(), solution[:-1], upper=True)
        return self.functions.weights(coefficients[:, 0]), float(solution[-1])


def functions_that_fit(memory: float) -> int:
    """Number of functions whose projection fits into memory (bytes): three matrices, and batches of rows."""
    half = (_BATCH_ROWS + _PANEL) / 3.0
    return max(1, int((half**2 + max(memory - 2**28, 0.0) / 24.0) ** 0.5 - half))


def _root(functions: Functions) -> Tensor:
    """L of P = L Lᵀ."""
    for jitter in _JITTER:
        products = functions.rows(functions.x, functions.directions)[1]
        products.diagonal().mul_(1.0 + jitter)
        if _factorise(products):
            return products
    raise NumericalError(
        f"the {functions.number} functions of {len(functions.x)} points are linearly dependent in float64",
        hint="use fewer functions (n_functions=) or points",
    )


def _factorise(matrix: Tensor) -> bool:
    """Replace a matrix by its Cholesky factor, from its lower triangle; False if it is not positive definite."""
    failed = torch.zeros((), dtype=torch.int32)
    columns = matrix.t()  # stored column by column, so that the library works in place
    torch.linalg.cholesky_ex(columns, upper=True, out=(columns, failed))
    return not int(failed)
