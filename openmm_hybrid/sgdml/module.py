"""The TorchScript module that evaluates an sGDML model by matrix products, with analytic forces.

With u = √5 (x − x̄)/σ the scaled, centred descriptor, δ = u − u′ and d = |δ|, the energy is

    E = c + Σ_s Σ_m h(d) (b_m·δ),   h(d) = (1 + d) e^(−d),   b = std √5/(3σ) a,

with a = J α of training point m. The query, not the training point, is permuted by s: the two sums are equal because
the permutations are a group (Chmiela et al., Nat. Commun. 9, 3887 (2018), equations 5 and 6).

The b_m of a trained model are many orders of magnitude larger than the energy, and their sum nearly cancels. h is
therefore split, h = (1 − d²/2) + ρ(d): the first part, a cubic polynomial in u, is summed over training points and
permutations once, when the module is made; only ρ = d³/3 − … is summed in each call. This makes float32 usable and
float64 independent of the order of summation. Because ρ′ = d (1 − e^(−d)), the force of the second part is
−∂E/∂u = Σ (e^(−d) − 1) (b·δ) δ − ρ b. It has no division by d, hence it is regular at training points.

A model that was trained on energies too has the term Σ_s Σ_m e_m κ(d) in E, with κ = (1 + d + d²/3) e^(−d) and
e = std α_E. It is split like h: κ = (1 − d²/6 + d⁴/24) + τ(d), and because κ′ = −d h/3 also τ′ = −d ρ/3. d² is linear
in (1, |u|², u), so that the first part is a quadratic form in these numbers, like the cubic polynomial above, and is
added to it; the second part adds e ρ/3 to the weights (e^(−d) − 1)(b·δ) of δ. Modules without these coefficients skip
this.

The products u·u′ and b·u of all permuted queries come from the irreducible representations of the group (see `irreps`):
u is transformed to an adapted basis, v. The part of v that no permutation changes is multiplied once, and the other
parts once per pair of their components, not once per permutation.
"""

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_hybrid.sgdml.descriptor import pairs, sorted_pair_permutations
from openmm_hybrid.sgdml.irreps import Irrep, irreps

_EXTRA = 2  # number of rows before those of v in `points`: the rows of 1 and |v|²


class KernelModule(torch.nn.Module):
    """forward(positions (n, n_atoms, 3) Å) → energies (n,) kcal/mol, forces (n, n_atoms, 3) kcal/mol/Å.

    Parameters
    ----------
    descriptors : (n_train, n_pairs), 1/Å
    weights : (n_train, n_pairs)
        std · J α.
    perms : (n_perms, n_atoms)
        A group of permutations.
    sigma : float, 1/Å
    constant : float, kcal/mol
    energy_weights : (n_train,), optional
        std · α_E, the coefficients of κ.
    """

    # TorchScript needs these types as objects: no `from __future__ import annotations` in this file.
    pair_of: Tensor  # (n_pairs,), indices of the pairs in the matrix of all r_i − r_j
    number_of: Tensor  # (n_atoms²,), the pair of each element of that matrix
    scale: Tensor
    offset: Tensor
    e0: Tensor
    one: Tensor
    zero: Tensor
    basis: Tensor  # (n_moved, n_moved), from the pairs that permutations move to the adapted basis
    basis_t: Tensor
    polynomial: Tensor  # (n_pairs + 2, n_pairs + 2), of (1, |v|², v)
    points: Tensor  # (2, n_same + 2, n_train)
    energy_weights: Tensor  # (n_perms · n_train,), only for a model with an energy constraint
    has_energies: Final[bool]  # Final, so that TorchScript compiles only the branch that is used

    def __init__(
        self,
        descriptors: NDArray[np.float64],
        weights: NDArray[np.float64],
        perms: NDArray[np.int64],
        sigma: float,
        constant: float,
        energy_weights: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__()
        scale = math.sqrt(5.0) / sigma
        moves, order, self.n_fixed = sorted_pair_permutations(perms)
        # Permutations that move no pair, such as the exchange in a diatomic, are counted by a factor.
        action = np.unique(moves, axis=0)
        # The centre has the symmetry of the group, so that |u| is the same for every permutation of a query.
        centre = descriptors.mean(axis=0)[order][moves].mean(axis=0)
        u = torch.tensor(scale * (descriptors[:, order] - centre))
        # b is scaled so that the sums of `_energy` are ∂E/∂x without a factor; energies need this one.
        self.unit = -1.0 / scale
        factor = len(moves) / len(action) * scale / 3.0
        b = torch.tensor(weights[:, order] * (0.5 * factor / self.unit))
        self.has_energies = energy_weights is not None
        weights_e = np.zeros(len(descriptors)) if energy_weights is None else energy_weights
        e = torch.tensor(weights_e * (0.5 * len(moves) / len(action) / self.unit))
        self.n_train, self.n_perms = len(descriptors), len(action)
        parts = irreps(action[:, self.n_fixed :] - self.n_fixed)
        self._register_geometry(perms.shape[1], order)
        self._register_numbers({"scale": scale, "one": 1.0, "zero": 0.0})
        self.register_buffer("offset", torch.tensor(-scale * centre))
        basis = torch.tensor(np.hstack([part.basis.reshape(len(part.basis), -1) for part in parts] or [np.eye(0)]))
        self.register_buffer("basis", basis)
        self.register_buffer("basis_t", basis.t().contiguous())
        rotation = torch.block_diag(torch.eye(self.n_fixed, dtype=torch.float64), basis)
        self._register_polynomial(u, b, e, torch.tensor(action), constant, rotation)
        self._register_products(u @ rotation, b @ rotation, parts)
        if self.has_energies:
            self.register_buffer("energy_weights", e.repeat(self.n_perms))

    def _register_numbers(self, numbers: dict[str, float]) -> None:
        for name, number in numbers.items():
            self.register_buffer(name, torch.tensor([number], dtype=torch.float64))

    def _register_geometry(self, n_atoms: int, order: NDArray[np.int64]) -> None:
        i, j = pairs(n_atoms)[order].T
        number = np.zeros((n_atoms, n_atoms), dtype=np.int64)
        number[i, j] = number[j, i] = np.arange(len(order))
        self.register_buffer("pair_of", torch.tensor(i * n_atoms + j))
        self.register_buffer("number_of", torch.tensor(number.ravel()))

    def _register_polynomial(
        self, u: Tensor, b: Tensor, e: Tensor, moves: Tensor, constant: float, rotation: Tensor
    ) -> None:
        """e₀ and Q of c + Σ_s Σ_m (1 − d²/2)(b·δ) = e₀ + e₁·u + ½ uᵀ e₂ u − ½ |u|² (e₃·u) = e₀ + ½ zᵀ Q z.

        z = (1, |u|², v), and |u| = |v|. Energies add Σ_s Σ_m e (1 − d²/6 + d⁴/24), d² = z·p, p = (|u_m|², 1, −2 v_m).
        """
        squares, overlaps, product = u.square().sum(1), (u * b).sum(1), u.t() @ b
        e0 = constant + 2.0 * self.unit * len(moves) * (0.5 * squares @ overlaps - overlaps.sum())
        e1 = b.sum(0) - u.t() @ overlaps - 0.5 * (b.t() @ squares)
        e2 = product + product.t() + overlaps.sum() * torch.eye(u.shape[1], dtype=u.dtype)
        matrix = torch.zeros(len(e2) + _EXTRA, len(e2) + _EXTRA, dtype=torch.float64)
        matrix[0, _EXTRA:] = matrix[_EXTRA:, 0] = e1
        matrix[1, _EXTRA:] = matrix[_EXTRA:, 1] = -0.5 * b.sum(0)
        matrix[_EXTRA:, _EXTRA:] = e2
        p = torch.cat([squares.unsqueeze(1), torch.ones_like(u[:, :1]), -2.0 * u], 1)
        one = torch.zeros_like(p)
        one[:, 0] = 1.0
        matrix += (e * p.t()) @ (p / 12.0 - one / 6.0) + (e * one.t()) @ (2.0 * one - p / 6.0)
        e0 = e0 + self.unit * len(moves) * matrix[0, 0]
        matrix[0, 0] = 0.0
        rows = torch.cat([torch.arange(_EXTRA).expand(len(moves), -1), moves + _EXTRA], 1)
        matrix = torch.stack([matrix[row][:, row] for row in rows]).sum(0)
        rotation = torch.block_diag(torch.eye(_EXTRA, dtype=torch.float64), rotation)
        self.register_buffer("polynomial", rotation.t() @ matrix @ rotation)
        self.register_buffer("e0", e0.reshape(1))

    def _register_products(self, v: Tensor, b: Tensor, parts: list[Irrep]) -> None:
        """The factors of (1, |v|², v): one half gives b·δ, the other d²."""
        n_same = self.n_fixed + sum(part.basis.shape[2] for part in parts if part.is_trivial)
        points = torch.stack([b, -2.0 * v]).transpose(1, 2)
        constants = torch.stack([-(v * b).sum(1), v.square().sum(1)])
        squares = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, len(v))
        rows = torch.cat([torch.stack([constants, squares], 1), points[:, :n_same]], 1)
        self.register_buffer("points", rows)
        blocks, start = [], n_same
        for part in parts:
            if not part.is_trivial:
                stop = start + part.basis.shape[1] * part.basis.shape[2]
                blocks.append(_Block(part, points[:, start:stop], start + _EXTRA))
                start = stop
        self.blocks = torch.nn.ModuleList(blocks)

    def mixed(self) -> "KernelModule":
        """Convert the sums over training points to float32, in place; polynomial and functions of d stay float64."""
        self.points = self.points.to(torch.float32)
        self.blocks.to(torch.float32)
        return self

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (n,) and forces (n, n_atoms, 3) at positions (n, n_atoms, 3), without a gradient tape."""
        n, n_atoms = positions.size(0), positions.size(1)
        # Not detach(): torch.jit.freeze removes it, and the tape would run through the whole model.
        columns = positions.data.to(self.offset.dtype).transpose(1, 2).contiguous()
        # All r_i − r_j: indexing is faster than a matrix product from coordinates to pairs.
        difference = columns.unsqueeze(3) - columns.unsqueeze(2)
        square = (difference * difference).sum(1).view(n, n_atoms * n_atoms)
        x = square.index_select(1, self.pair_of).rsqrt()
        energy, slope = self._energy(torch.addcmul(self.offset, x, self.scale))
        matrix = (slope * torch.pow(x, 3)).index_select(1, self.number_of).view(n, 1, n_atoms, n_atoms)
        return energy, (difference * matrix).sum(3).transpose(1, 2).contiguous()

    def _energy(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (n,) and ∂E/∂x (n, n_pairs).

        ½ zᵀ Q z depends on v through |v|² too, hence 2 q₁ v in its gradient; −2ρ b times z is the energy of the rest.
        """
        fixed = self.n_fixed
        square = (u * u).sum(1, keepdim=True)
        one = self.one.expand(u.size(0), 1)
        z = torch.cat([one, square, u[:, :fixed], torch.mm(u[:, fixed:], self.basis)], 1)
        q = torch.mm(z, self.polynomial)
        total, pulls = self._rest(z.to(self.points.dtype))
        by_value, by_slope = pulls.to(z.dtype).unbind(0)
        energy = torch.add(self.e0, (z * (q - by_value)).sum(1), alpha=self.unit)
        along = torch.sub(total.to(z.dtype), q[:, 1:2], alpha=2)
        slope = torch.addcmul(torch.sub(by_value + by_slope, q, alpha=2), along, z, value=2)
        return energy, torch.cat([slope[:, 2 : 2 + fixed], torch.mm(slope[:, 2 + fixed :], self.basis_t)], 1)

    def _rest(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The part with ρ(d), summed over training points: Σ w (n, 1) and Σ −2ρ b, Σ −2w v′ (2, n, n_pairs + 2).

        w = (e^(−d) − 1)(b·δ). Functions of d and Σ w are always float64. Energies add e ρ/3 to w, and Σ −2 e τ to the
        factor of the 1 in z.
        """
        n, rows = z.size(0), self.points.size(1)
        same = torch.bmm(z[:, :rows].expand(2, n, rows), self.points)
        product = same.view(2 * n, 1, self.n_train)
        for block in self.blocks:
            product = block.add_products(z, product)  # type: ignore[operator]
        # The rest works in place, in the only large array of a call: b·δ and d² become −2ρ and w.
        values = product.to(torch.float64).view(2, n, self.n_perms * self.n_train)
        along, square = values.unbind(0)
        square = square.clamp_min_(1e-300)
        # −d by rsqrt(), which torch computes with vector instructions, unlike its sqrt().
        minus = torch.addcmul(self.zero.to(torch.float64), square, square.rsqrt(), value=-1)
        decay = torch.expm1(minus, out=square)
        part = torch.sub(minus, decay, alpha=2)
        if self.has_energies:  # −2 (τ − ρ), before e^(−d) − 1 is overwritten
            difference = (0.25 * minus * minus - 2.0 * decay) * minus * minus / 3.0
        stretch = decay.mul_(along)
        torch.lerp(part, self.one.to(torch.float64), minus, out=along)  # −2ρ = p + (−d)(1 − p), p = −d − 2 (e^(−d) − 1)
        if self.has_energies:
            e = self.energy_weights.to(torch.float64)
            depth = torch.mv(difference.add_(along), e)
            stretch.addcmul_(along, e, value=-1.0 / 6.0)
        weight = values.to(z.dtype).view(2 * n, self.n_perms, self.n_train)
        pulls = [torch.bmm(weight.sum(1).view(2, n, self.n_train), self.points.transpose(1, 2))]
        for block in self.blocks:
            pulls.append(block.pull(weight))  # type: ignore[operator]
        result = torch.cat(pulls, 2)
        if self.has_energies:
            result[0, :, 0] += depth.to(z.dtype)
        return stretch.sum(1, keepdim=True), result


class _Block(torch.nn.Module):
    """Products of a non-trivial representation of d components and n_copies copies.

    Parameters
    ----------
    part : Irrep
    points : Tensor (2, d · n_copies, n_train)
        The training points in the basis of the representation.
    start : int
        Index of its first element in z.
    """

    points: Tensor  # (2, n_copies, d · n_train)
    spread: Tensor  # (n_perms, d²), D(s)_lk at kl
    gather: Tensor

    def __init__(self, part: Irrep, points: Tensor, start: int) -> None:
        super().__init__()
        self.d, self.n_copies, self.start = part.basis.shape[1], part.basis.shape[2], start
        by_copy = points.reshape(2, self.d, self.n_copies, -1).transpose(1, 2)
        self.register_buffer("points", by_copy.reshape(2, self.n_copies, -1))
        spread = torch.tensor(part.matrices.transpose(0, 2, 1).reshape(len(part.matrices), -1))
        self.register_buffer("spread", spread)
        self.register_buffer("gather", spread.t().contiguous())

    def add_products(self, z: Tensor, product: Tensor) -> Tensor:
        """Products (2n, n_perms or 1, n_train) plus the products of this block, (2n, n_perms, n_train)."""
        n, d = z.size(0), self.d
        part = z[:, self.start : self.start + d * self.n_copies].reshape(n * d, self.n_copies)
        components = torch.bmm(part.expand(2, n * d, self.n_copies), self.points).view(2 * n, d * d, product.size(2))
        return torch.baddbmm(product, self.spread.expand(2 * n, self.spread.size(0), d * d), components)

    def pull(self, weight: Tensor) -> Tensor:
        """Weighted sums of the training points (n, d · n_copies), from weights (2n, n_perms, n_train)."""
        n, d = weight.size(0) // 2, self.d
        components = torch.bmm(self.gather.expand(2 * n, d * d, weight.size(1)), weight)
        components = components.view(2, n * d, d * weight.size(2))
        return torch.bmm(components, self.points.transpose(1, 2)).view(2, n, d * self.n_copies)
