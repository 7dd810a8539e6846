"""The Fourier series of proper and improper torsions."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forms.form import DIHEDRAL, Column, Coordinate, LinearForm


@final
class Fourier(LinearForm):
    """E = c₀ + Σ_n c_n cos nφ + s_n sin nφ, n = 1 … order.

    A torsion term k (1 + cos(nφ − δ)) of AMBER or OpenMM has c_n = k cos δ, s_n = k sin δ and adds k to c₀. c₀ is not
    fitted: no force depends on it.

    Parameters
    ----------
    order : int
        Of the series, 1 to 12. GAFF has up to 4.
    sine : bool
        Whether there are s_n. Achiral molecules need none, nor does GAFF (δ is 0 or π).
    """

    def __init__(self, order: int, *, sine: bool = False) -> None:
        super().__init__()
        if isinstance(order, bool) or order not in range(1, 13):
            raise InputError(f"a Fourier series of order {order!r}", expected="a whole number from 1 to 12")
        self.order = order
        self.sine = sine
        self.n = torch.nn.Buffer(torch.arange(1, order + 1, dtype=torch.float64), persistent=False)

    @property
    def name(self) -> str:
        """See `FunctionalForm.name`."""
        return f"fourier{self.order}" + ("s" if self.sine else "")

    def settings(self) -> dict[str, str | int | float | bool]:
        """See `FunctionalForm.settings`."""
        return {"order": self.order, "sine": self.sine}

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """See `FunctionalForm.coordinates`."""
        return (DIHEDRAL,)

    @property
    def columns(self) -> tuple[Column, ...]:
        """c₀, c₁ … and, with sine, s₁ … (n_columns 1 + order, or 1 + 2 order)."""
        names = [f"c{n}" for n in range(1, self.order + 1)]
        if self.sine:
            names += [f"s{n}" for n in range(1, self.order + 1)]
        return (Column("c0", "kcal/mol", fitted=False), *(Column(name, "kcal/mol") for name in names))

    def basis(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """See `LinearForm.basis`: 1, cos nφ, sin nφ."""
        n = self.n.to(q.dtype)
        angle = q * n  # (n_frames, n_terms, order)
        cos, sin = torch.cos(angle), torch.sin(angle)
        values, slopes = [torch.ones_like(q), cos], [torch.zeros_like(q), -n * sin]
        if self.sine:
            values.append(sin)
            slopes.append(n * cos)
        return torch.cat(values, dim=-1), torch.cat(slopes, dim=-1).unsqueeze(2)
