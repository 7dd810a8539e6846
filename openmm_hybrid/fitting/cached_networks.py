"""Networks of one coordinate at few knots, interpolated at the coordinates of training frames.

A fit changes neither the coordinates nor the weights of the interpolation. Energies and forces of all frames are sparse
products with the networks' values at the knots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from openmm_hybrid.fitting.residuals import blocks_of
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.terms import Block
from openmm_hybrid.forms.form import FunctionalForm
from openmm_hybrid.forms.saturate import standardise

_POINTS = 6  # knots of one interpolation, by a polynomial of degree 5
_KNOTS = 80  # knots of a bond or angle, over the values in its frames
_ON_CIRCLE = 160  # knots of a dihedral; an even network needs those of half a circle
_NARROW = 1e-3  # smallest width of the knots, on a scale where the range of all training frames is 2
_CHUNK = 1000  # frames per evaluation of coordinates


class Products(NamedTuple):
    """Sparse matrices of some frames, which map values at knots to energies and slopes of terms; and Jacobians.

    Parameters
    ----------
    energies : (n_frames, n_knots)
    slopes : (n_frames · n_terms, n_knots)
    jacobian : (n_frames · n_terms, n_frames · 3 n_atoms)
    """

    energies: csr_array
    slopes: csr_array
    jacobian: csr_array


@final
class Tabulated:
    """Groups of terms of costly forms, such as networks, at fixed geometries, in float32.

    Energies E and slopes dE/dx are both interpolated, by polynomials of degree 5 through the six knots around x (the
    standardised coordinate, or the dihedral); dE/dq = dE/dx dx/dq.

    Parameters
    ----------
    forcefield : ForceField
        Force field with only the costly terms.
    positions : (n_frames, n_atoms, 3), Å
    """

    def __init__(self, forcefield: ForceField, positions: NDArray[np.float64]) -> None:
        module = forcefield.module()
        parts = [module.internal(part) for part in torch.tensor(positions).split(_CHUNK)]
        q, rows = torch.cat([q for q, _ in parts]), torch.cat([rows.float() for _, rows in parts])
        self.size = 3 * len(forcefield.atomic_numbers)
        self.curves: list[_Curve] = []
        interpolations: list[_Interpolation] = []
        pulls, atoms, ends = [], [], [torch.zeros(1, dtype=torch.int64)]
        for terms, block in zip(forcefield.terms, blocks_of(module), strict=True):
            curve, interpolation = _tabulate(terms.form, block, q[:, block.coordinates[:, 0]], module.theta)
            first = sum(known.n_knots for known in self.curves)
            interpolations.append(interpolation._replace(knots=interpolation.knots + first))
            self.curves.append(curve)
            for coordinate in block.coordinates[:, 0].tolist():
                chosen = module.internal.coordinate_of == coordinate
                pulls.append(rows[:, chosen].flatten(1))
                atoms.append((3 * module.internal.atom_of[chosen, None] + torch.arange(3)).flatten())
                ends.append(ends[-1] + len(atoms[-1]))
        self.n_terms = len(pulls)
        self.n_knots = sum(curve.n_knots for curve in self.curves)
        self.pulls = torch.cat(pulls, 1).numpy()
        index = np.int32 if self.pulls.size < 2**31 else np.int64
        self.knots, self.by_energy, self.by_slope = (
            torch.cat([part.flatten(1) for part in column], 1).numpy() for column in zip(*interpolations, strict=True)
        )
        self.knots = self.knots.astype(index)
        shifts = np.arange(len(q))[:, None]
        self.columns = (torch.cat(atoms).numpy() + self.size * shifts).astype(index).ravel()
        starts = torch.cat(ends[:-1]).numpy() + self.pulls.shape[1] * shifts
        self.starts = np.append(starts.ravel(), self.pulls.size).astype(index)

    def __call__(self, theta: Tensor, frames: Tensor | None) -> tuple[Tensor, Tensor]:
        """Energies (n_frames,) and forces (n_frames, 3 n_atoms) at parameters theta (n_parameters,).

        Parameters
        ----------
        theta : (n_parameters,)
            Parameters of the force field.
        frames : (n_frames,), optional
            Indices of the frames; None for all.
        """
        energies, slopes = (torch.cat(part) for part in zip(*(curve(theta) for curve in self.curves), strict=True))
        return _Multiply.apply(energies, slopes, self.products(frames), self.size)  # type: ignore[no-any-return]

    def products(self, frames: Tensor | None) -> Products:
        """Matrices of the frames with these indices; None for all frames."""
        chosen = slice(None) if frames is None else frames.numpy()
        knots, pulls = self.knots[chosen], self.pulls[chosen]
        n, n_rows = len(knots), len(knots) * self.n_terms
        width, index = knots.shape[1], self.knots.dtype
        by_frame, by_term = np.arange(n + 1, dtype=index) * width, np.arange(n_rows + 1, dtype=index) * _POINTS
        return Products(
            csr_array((self.by_energy[chosen].ravel(), knots.ravel(), by_frame), shape=(n, self.n_knots)),
            csr_array((self.by_slope[chosen].ravel(), knots.ravel(), by_term), shape=(n_rows, self.n_knots)),
            csr_array(
                (pulls.ravel(), self.columns[: pulls.size], self.starts[: n_rows + 1]), shape=(n_rows, n * self.size)
            ),
        )


@final
@dataclass(frozen=True, eq=False)
class _Curve:
    """Networks of one group at their knots.

    Parameters
    ----------
    form : FunctionalForm
    rows : (n_rows, n_columns)
        Indices of each network's parameters.
    grid : (n, n_rows, 1)
        Knots of each network: standardised coordinates, or dihedrals.
    """

    form: FunctionalForm
    rows: Tensor
    grid: Tensor

    @property
    def n_knots(self) -> int:
        """Number of knots of all networks."""
        return self.grid.numel()

    def __call__(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """E and dE/dx (n_knots,) of one network after another."""
        values, slopes = self.form.curve(self.grid, theta[self.rows])
        return values.t().flatten(), slopes.t().flatten()


class _Interpolation(NamedTuple):
    """Knots around each term and frame, with their weights in its energy and its slope; all (n_frames, n_terms, 6)."""

    knots: Tensor
    by_energy: Tensor
    by_slope: Tensor


def _tabulate(form: FunctionalForm, block: Block, q: Tensor, theta: Tensor) -> tuple[_Curve, _Interpolation]:
    """Knots of a group's networks, and the interpolation at coordinates q (n_frames, n_terms)."""
    rows, row = torch.unique(block.assignment, dim=0, return_inverse=True)
    if form.coordinates[0].kind == "dihedral":
        circle, interpolation = _around(q, form.even)
        grid = circle.unsqueeze(1).expand(len(circle), len(rows))
    else:
        grid, interpolation = _along(*standardise(q, *theta[block.assignment[:, form.ranges[0][:2]]].t()), row)
    knots = interpolation.knots + len(grid) * row.unsqueeze(-1)
    return _Curve(form, rows, grid.unsqueeze(-1).float().contiguous()), interpolation._replace(knots=knots)


def _around(q: Tensor, even: bool) -> tuple[Tensor, _Interpolation]:
    """Knots (n,) on the circle, or on half of it for even functions, and the interpolation at dihedrals q."""
    n = _ON_CIRCLE // 2 + 1 if even else _ON_CIRCLE
    step = 2.0 * math.pi / _ON_CIRCLE
    first = torch.floor(q / step) - (_POINTS // 2 - 1)
    weights = lagrange(q / step - first)
    knots = torch.remainder(first.long().unsqueeze(-1) + torch.arange(_POINTS), _ON_CIRCLE)
    mirrored = knots >= n
    knots = torch.where(mirrored, _ON_CIRCLE - knots, knots)
    by_slope = torch.where(mirrored, -weights, weights)  # the slope of an even function is odd
    return step * torch.arange(n), _Interpolation(knots, weights.float(), by_slope.float())


def _along(x: Tensor, dx: Tensor, row: Tensor) -> tuple[Tensor, _Interpolation]:
    """Knots (n, n_rows) over the values of x in all terms of a row, and the interpolation at x.

    Parameters
    ----------
    x, dx : (n_frames, n_terms)
        Standardised coordinates and dx/dq.
    row : (n_terms,)
        Index of each term's row.
    """
    ends = torch.zeros(int(row.max()) + 1, dtype=x.dtype)
    low = ends.scatter_reduce(0, row, x.amin(0), "amin", include_self=False)
    high = ends.scatter_reduce(0, row, x.amax(0), "amax", include_self=False)
    step = (high - low).clamp(min=_NARROW) / (_KNOTS - 1)
    u = (x - low[row]) / step[row]
    first = (torch.floor(u) - (_POINTS // 2 - 1)).clamp(0, _KNOTS - _POINTS)
    weights = lagrange(u - first)
    knots = first.long().unsqueeze(-1) + torch.arange(_POINTS)
    grid = low + step * torch.arange(_KNOTS)[:, None]
    return grid, _Interpolation(knots, weights.float(), (weights * dx.unsqueeze(-1)).float())


def lagrange(t: Tensor) -> Tensor:
    """Weights (…, 6) of values at 0, 1, …, 5 in the value at t (…) of the polynomial through them."""
    away = t.unsqueeze(-1) - torch.arange(_POINTS)
    weights = []
    for knot in range(_POINTS):
        others = [other for other in range(_POINTS) if other != knot]
        weights.append(away[..., others].prod(-1) / math.prod(knot - other for other in others))
    return torch.stack(weights, -1)


class _Multiply(torch.autograd.Function):
    """Energies and forces −Jᵀ g of frames, which are linear in the values at the knots."""

    @staticmethod
    def forward(ctx: Any, energies: Tensor, slopes: Tensor, products: Products, size: int) -> tuple[Tensor, Tensor]:
        """Energies and forces from E and dE/dx (n_knots,)."""
        ctx.products = products
        forces = products.jacobian.T @ (products.slopes @ slopes.numpy())
        return torch.from_numpy(products.energies @ energies.numpy()), torch.from_numpy(-forces).reshape(-1, size)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by the transposed products."""
        energies, forces = (output.contiguous().numpy() for output in outputs)
        products: Products = ctx.products
        slopes = -(products.slopes.T @ (products.jacobian @ forces.ravel()))
        return torch.from_numpy(products.energies.T @ energies), torch.from_numpy(slopes), None, None
