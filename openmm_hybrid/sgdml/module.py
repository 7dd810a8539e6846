"""The TorchScript module that evaluates an sGDML model: matrix products, analytic forces, nothing else.

With u = √5 (x − x̄)/σ the scaled, centred descriptor, δ = u − u′ and d = |δ|, the energy is

    E = c + Σ_s Σ_m h(d) (b_m·δ),   h(d) = (1 + d) e^(−d),   b = std √5/(3σ) a,

with a = J α of training point m and the *query* permuted by s, which equals sGDML's sum over permuted training points
because the permutations are a group (Chmiela et al., Nat. Commun. 9, 3887 (2018), equations 5 and 6).

The b_m of a trained model are some ten orders of magnitude larger than the energy, and their sum all but cancels. h is
therefore split, h = (1 − d²/2) + ρ(d): the first part, a cubic polynomial in u, is summed over training points and
permutations once, when the module is made; only ρ = d³/3 − … is summed at every call. This makes float32 usable and
float64 independent of the order of summation. Because ρ′ = d (1 − e^(−d)), the force of the second part is
−∂E/∂u = Σ (e^(−d) − 1) (b·δ) δ − ρ b, without a division by d, hence regular at training points.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.sgdml.descriptor import pair_permutations, pairs


class KernelModule(torch.nn.Module):
    """forward(positions (n, n_atoms, 3) Å) → energies (n,) kcal/mol, forces (n, n_atoms, 3) kcal/mol/Å.

    Pairs that no permutation moves come first: their products are done once a frame, not once a permutation.

    Parameters
    ----------
    descriptors : (n_train, n_pairs), 1/Å
    weights : (n_train, n_pairs)
        std · J α.
    perms : (n_perms, n_atoms)
        A group.
    sigma : float, 1/Å
    constant : float, kcal/mol
    """

    # TorchScript needs these types as objects: no `from __future__ import annotations` in this file.
    differences: Tensor  # (n_atoms, n_pairs), coordinates to those of r_i − r_j
    slopes: Tensor  # (n_pairs, n_atoms), −√5/σ times its transpose
    scale: Tensor
    offset: Tensor
    e0: Tensor
    e1: Tensor
    e2: Tensor
    e3: Tensor
    bias: Tensor
    fixed_points: Tensor  # (n_fixed, 2 n_train)
    moved_points: Tensor  # (n_moved, 2 n_train)
    permute: Tensor  # (n_perms · n_moved,)
    undo: Tensor

    def __init__(
        self,
        descriptors: NDArray[np.float64],
        weights: NDArray[np.float64],
        perms: NDArray[np.int64],
        sigma: float,
        constant: float,
    ) -> None:
        super().__init__()
        scale = math.sqrt(5.0) / sigma
        moves = pair_permutations(perms)
        is_fixed = (moves == np.arange(moves.shape[1])).all(axis=0)
        order = np.argsort(~is_fixed, kind="stable")
        moves = np.argsort(order)[moves[:, order]]
        # The centre has the symmetry of the group, so that |u| is the same for every permutation of a query.
        centre = descriptors.mean(axis=0)[order][moves].mean(axis=0)
        u = torch.tensor(scale * (descriptors[:, order] - centre))
        b = torch.tensor(weights[:, order] * (math.sqrt(5.0) / (3.0 * sigma)))
        self.n_train, self.n_perms, self.n_fixed = len(descriptors), len(perms), int(is_fixed.sum())
        differences = _differences(perms.shape[1])[:, order]
        self.register_buffer("differences", differences.contiguous())
        self.register_buffer("slopes", -scale * differences.t().contiguous())
        self.register_buffer("scale", torch.tensor([scale], dtype=torch.float64))
        self.register_buffer("offset", torch.tensor(-scale * centre))
        self._register_polynomial(u, b, torch.tensor(moves), constant)
        self._register_products(u, b, moves)

    def _register_polynomial(self, u: Tensor, b: Tensor, moves: Tensor, constant: float) -> None:
        """Coefficients of c + Σ_s Σ_m (1 − d²/2)(b·δ) = e₀ + e₁·u + ½ uᵀ e₂ u − ½ |u|² (e₃·u)."""
        squares, overlaps, product = u.square().sum(1), (u * b).sum(1), u.t() @ b
        e0 = constant + len(moves) * (0.5 * squares @ overlaps - overlaps.sum())
        e1 = b.sum(0) - u.t() @ overlaps - 0.5 * (b.t() @ squares)
        e2 = product + product.t() + overlaps.sum() * torch.eye(u.shape[1], dtype=u.dtype)
        self.register_buffer("e0", e0.reshape(1))
        self.register_buffer("e1", e1[moves].sum(0))
        self.register_buffer("e2", torch.stack([e2[move][:, move] for move in moves]).sum(0))
        self.register_buffer("e3", b.sum(0)[moves].sum(0))

    def _register_products(self, u: Tensor, b: Tensor, moves: NDArray[np.int64]) -> None:
        """The training points (−u′, b/2) as columns, which twice the query multiplies: −2 u·u′ and b·u."""
        points = torch.cat([-u, 0.5 * b]).t()
        self.register_buffer("bias", torch.cat([u.square().sum(1), -(u * b).sum(1)]))
        self.register_buffer("fixed_points", points[: self.n_fixed].contiguous())
        self.register_buffer("moved_points", points[self.n_fixed :].contiguous())
        moved = moves[:, self.n_fixed :]
        undo = np.argsort(moved, axis=1) + moved.shape[1] * np.arange(len(moved))[:, None]
        self.register_buffer("permute", torch.tensor(moved.ravel()))
        self.register_buffer("undo", torch.tensor(undo.ravel()))

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (n,) and forces (n, n_atoms, 3) at positions (n, n_atoms, 3), without a gradient tape."""
        n, n_atoms, n_pairs = positions.size(0), positions.size(1), self.offset.size(0)
        # Not detach(): torch.jit.freeze removes it, and the tape would run through the whole model.
        columns = positions.data.to(self.e0.dtype).transpose(1, 2).reshape(3 * n, n_atoms)
        difference = (columns @ self.differences).view(n, 3, n_pairs)
        x = (difference * difference).sum(1).rsqrt()
        u = torch.addcmul(self.offset, x, self.scale)
        square = (u * u).sum(1, keepdim=True)
        energy, force = self._polynomial(u, square)
        rest_energy, rest_force = self._rest(u + u, square)
        slope = (force + rest_force) * (x * x * x)
        columns = (difference * slope.unsqueeze(1)).view(3 * n, n_pairs) @ self.slopes
        return energy + rest_energy, columns.view(n, 3, n_atoms).transpose(1, 2).contiguous()

    def _polynomial(self, u: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (n,) and −∂E/∂u (n, n_pairs) of the part that is a polynomial, and c."""
        gradient = torch.addmm(self.e1, u, self.e2)
        along = (u * self.e3).sum(1, keepdim=True)
        half = 0.5 * square
        energy = (0.5 * u * (gradient + self.e1)).sum(1) - (half * along).view(-1) + self.e0
        return energy, torch.addcmul(half * self.e3, along, u) - gradient

    def _rest(self, twice: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (n,) and −∂E/∂u (n, n_pairs) of the part with ρ(d), from 2u. Functions of d always in float64."""
        n, n_moved, n_train = twice.size(0), self.moved_points.size(0), self.n_train
        fixed = twice[:, : self.n_fixed]
        moved = twice.index_select(1, self.permute).view(n * self.n_perms, n_moved)
        common = torch.addmm(self.bias, fixed, self.fixed_points)
        common[:, :n_train] += square
        product = (moved @ self.moved_points).view(n, self.n_perms, 2 * n_train).add_(common.unsqueeze(1))
        along = product[:, :, n_train:].to(torch.float64)
        minus = product[:, :, :n_train].to(torch.float64).clamp_min(0.0).sqrt_().neg_()  # −d
        decay = torch.expm1(minus)
        part = torch.sub(minus, decay, alpha=2)
        rho = torch.addcmul(part + minus, minus, part, value=-1)  # −2ρ
        energy = (rho * along).sum((1, 2))
        stretch = decay * along
        weight = torch.cat([stretch, rho], 2).to(twice.dtype)
        half = 0.5 * stretch.sum(2).to(twice.dtype)
        force_fixed = torch.addcmul(weight.sum(1) @ self.fixed_points.t(), half.sum(1, keepdim=True), fixed)
        force_moved = weight.view(n * self.n_perms, 2 * n_train) @ self.moved_points.t()
        force_moved = torch.addcmul(force_moved, half.view(-1, 1), moved).view(n, self.n_perms * n_moved)
        force_moved = force_moved.index_select(1, self.undo).view(n, self.n_perms, n_moved).sum(1)
        return -0.5 * energy.to(twice.dtype), torch.cat([force_fixed, force_moved], 1)


def _differences(n_atoms: int) -> Tensor:
    """(n_atoms, n_pairs) with +1 at i and −1 at j, which takes coordinates to those of r_i − r_j."""
    i, j = pairs(n_atoms).T
    number = np.arange(len(i))
    matrix = torch.zeros(n_atoms, len(i), dtype=torch.float64)
    matrix[i, number] = 1.0
    matrix[j, number] = -1.0
    return matrix
