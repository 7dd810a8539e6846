"""Neural networks of one coordinate, added to the classical term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forms.form import SINGLE, SLOTS, Column, Coordinate, FunctionalForm, Role
from openmm_hybrid.forms.saturate import range_columns, standardise


@final
class Neural(FunctionalForm):
    """E = w₃ · tanh(W₂ tanh(W₁ x + b₁) + b₂), a network of one coordinate with its own weights for each type of term.

    x is the coordinate on a scale where the sampled range is [−1, 1], saturated outside (see `saturate`), or
    (cos φ, sin φ) of a dihedral. We add the energy to the classical term, where Sauceda et al., J. Chem. Phys. 153,
    124109 (2020), section II C, replace the term: with w₃ = 0 a force field starts at GAFF, and outside the sampled
    range the classical term is the wall. Widths, activation and even dihedrals are our choice.

    Parameters
    ----------
    kind : {"distance", "angle", "dihedral"}
    hidden : int
        Width of both hidden layers.
    even : bool
        Whether the energy of a dihedral is the mean over φ and −φ, as mirror symmetry demands of types that are not
        chiral.
    """

    slots: ClassVar[dict[str, Role]] = dict.fromkeys(SLOTS, "adds")
    size = "hidden"
    any_function = True
    costly = True

    def __init__(self, kind: str, *, hidden: int = 12, even: bool = True) -> None:
        super().__init__()
        if kind not in SINGLE:
            raise InputError(f"neural terms of kind {kind!r}", expected=f"one of {', '.join(SINGLE)}")
        if isinstance(hidden, bool) or not isinstance(hidden, int) or hidden < 1:
            raise InputError(f"hidden layers of width {hidden!r}", expected="a whole number above 0")
        self.kind = kind
        self.hidden = hidden
        self.dihedral = kind == "dihedral"
        self.even = even and self.dihedral
        self.n_inputs = 2 if self.dihedral else 1
        self.n_range = 0 if self.dihedral else 2

    @classmethod
    def _slot_settings(cls, slot: str) -> dict[str, str]:
        return {"kind": SLOTS[slot]}

    @property
    def name(self) -> str:
        return f"neural{self.hidden}"

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"kind": self.kind, "hidden": self.hidden, "even": self.even}

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        return (SINGLE[self.kind],)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The range (not for dihedrals), then W₁, b₁, W₂, b₂ and w₃, row by row."""
        h = self.hidden
        sizes = {"W1": h * self.n_inputs, "b1": h, "W2": h * h, "b2": h}
        names = [f"{layer}.{k}" for layer, size in sizes.items() for k in range(size)]
        weights = [Column(name, "1", hidden=True) for name in names]
        weights += [Column(f"w3.{k}", "kcal/mol") for k in range(h)]
        return (*range_columns(self.kind), *weights)

    def start(self, n_rows: int, seed: int = 0) -> Tensor:
        """Rows with w₃ = 0 and random hidden layers, a flat prior over functions on [−1, 1]."""
        h, inputs = self.hidden, self.n_inputs
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(n_rows, *shape, generator=generator, dtype=torch.float64)

        layers = [1.5 * normal(h * inputs), normal(h), normal(h * h) / h**0.5, 0.3 * normal(h)]
        layers.append(torch.zeros(n_rows, h, dtype=torch.float64))
        ends = [torch.tensor([[-1.0, 1.0]], dtype=torch.float64).expand(n_rows, 2)] if self.n_range else []
        return torch.cat([*ends, *layers], dim=1)

    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        values, slopes = self.hidden_layer(q, p)
        w3 = p[:, p.shape[1] - self.hidden :]
        return (values * w3).sum(-1), (slopes * w3).sum(-1).unsqueeze(-1)

    def design(self, q: Tensor, p: Tensor, columns: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """See `FunctionalForm.design`. The energy is linear in w₃, so that its design is the last hidden layer."""
        chosen = self._chosen(columns)
        first = len(self.columns) - self.hidden
        if min(chosen) < first:
            return super().design(q, p, chosen)
        wanted = [number - first for number in chosen]
        values, slopes = self.hidden_layer(q, p)
        return values[..., wanted], slopes[..., wanted].unsqueeze(2)

    def curve(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        values, slopes = self.hidden_layer(x, p) if self.dihedral else self.layers(x, torch.ones_like(x), p)
        w3 = p[:, -self.hidden :]
        return (values * w3).sum(-1), (slopes * w3).sum(-1)

    def hidden_layer(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """The last hidden layer and its derivative by q, both (n_frames, n_terms, hidden)."""
        value = q[:, :, 0]
        if not self.dihedral:
            x, dx = standardise(value, p[:, 0], p[:, 1])
            return self.layers(x.unsqueeze(-1), dx.unsqueeze(-1), p)
        cos, sin = torch.cos(value), torch.sin(value)
        values, slopes = self.layers(torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1), p)
        if self.even:
            mirrored, back = self.layers(torch.stack([cos, -sin], -1), torch.stack([-sin, -cos], -1), p)
            values, slopes = 0.5 * (values + mirrored), 0.5 * (slopes + back)
        return values, slopes

    def layers(self, x: Tensor, dx: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """The last hidden layer at x and its derivative along dx; x and dx are (n_frames, n_terms, n_inputs)."""
        h, first = self.hidden, self.n_range
        n_terms = p.shape[0]
        w1 = p[:, first : first + h * self.n_inputs].reshape(n_terms, h, self.n_inputs).transpose(1, 2)
        first += h * self.n_inputs
        b1 = p[:, first : first + h].unsqueeze(1)
        w2 = p[:, first + h : first + h + h * h].reshape(n_terms, h, h).transpose(1, 2)
        first += h + h * h
        b2 = p[:, first : first + h].unsqueeze(1)
        x, dx = x.transpose(0, 1), dx.transpose(0, 1)  # terms become the batch of matrix products
        h1 = torch.tanh(torch.baddbmm(b1, x, w1))
        dh1 = (1.0 - h1 * h1) * torch.bmm(dx, w1)
        h2 = torch.tanh(torch.baddbmm(b2, h1, w2))
        dh2 = (1.0 - h2 * h2) * torch.bmm(dh1, w2)
        return h2.transpose(0, 1), dh2.transpose(0, 1)
