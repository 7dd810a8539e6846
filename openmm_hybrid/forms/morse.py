"""The Morse form of bonds."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from openmm_hybrid.forms.form import DISTANCE, Column, Coordinate, FunctionalForm


@final
class Morse(FunctionalForm):
    """E = D (1 − e^(−a (r − r₀)))² (Morse, Phys. Rev. 34, 57 (1929), eq. 4, its zero moved to the minimum).

    Its curvature at r₀ is k = 2 D a², by which a harmonic bond gives it a start.
    """

    @property
    def name(self) -> str:
        """See `FunctionalForm.name`."""
        return "morse"

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """See `FunctionalForm.coordinates`."""
        return (DISTANCE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        """D, a and r₀ (n_columns 3)."""
        return (
            Column("D", "kcal/mol", lower=10.0, upper=1000.0),
            Column("a", "1/Å", lower=0.3, upper=6.0),
            Column("r0", "Å", lower=0.5),
        )

    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """See `FunctionalForm.forward`."""
        depth, a = p[:, 0], p[:, 1]
        decay = torch.exp(-a * (q[:, :, 0] - p[:, 2]))
        short = 1.0 - decay
        return depth * short * short, (2.0 * depth * a * short * decay).unsqueeze(-1)

    def derivative(self, q: Tensor, p: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """See `FunctionalForm.derivative`."""
        depth, a = p[:, 0], p[:, 1]
        away = q[:, :, 0] - p[:, 2]
        decay = torch.exp(-a * away)
        short = 1.0 - decay
        if number == 0:
            return short * short, (2.0 * a * short * decay).unsqueeze(-1)
        bend = decay * (decay - short)  # of short · decay, by −a r₀ and by a (r − r₀)
        if number == 1:
            slope = 2.0 * depth * (short * decay + a * away * bend)
            return 2.0 * depth * short * decay * away, slope.unsqueeze(-1)
        return -2.0 * depth * a * short * decay, (-2.0 * depth * a * a * bend).unsqueeze(-1)

    def expression(self) -> str:
        """See `FunctionalForm.expression`."""
        return "D*(1-exp(-a*(q1-r0)))^2"

    @staticmethod
    def from_harmonic(k: Tensor, r0: Tensor, depth: float = 100.0) -> Tensor:
        """Rows (n, 3) with the curvature k (n,) and minimum r0 (n,) of harmonic bonds: a = √(k / 2D).

        `depth` D in kcal/mol is a typical bond energy, our choice.
        """
        return torch.stack([torch.full_like(k, depth), torch.sqrt(k / (2.0 * depth)), r0], dim=-1)
