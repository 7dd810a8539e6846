"""Morse bonds."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.forms.form import DISTANCE, Column, Coordinate, FunctionalForm, Role

_DEPTH = 100.0  # kcal/mol, typical bond energy


@final
class Morse(FunctionalForm):
    """E = D (1 − e^(−a (r − r₀)))² (Morse, Phys. Rev. 34, 57 (1929), eq. 4, with the zero at the minimum).

    The curvature at r₀ is k = 2 D a². OpenMM evaluates it in a CustomBondForce.
    """

    slots: ClassVar[dict[str, Role]] = {"bonds": "replaces"}
    plain_force = "CustomBondForce"

    @property
    def name(self) -> str:
        return "morse"

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        return (DISTANCE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        """D, a and r₀ (n_columns 3)."""
        return (
            Column("D", "kcal/mol", lower=10.0, upper=1000.0, width=30.0, positive=True),
            Column("a", "1/Å", lower=0.3, upper=6.0, width=0.5, positive=True),
            Column("r0", "Å", lower=0.5, width=0.1),
        )

    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        depth, a = p[:, 0], p[:, 1]
        decay = torch.exp(-a * (q[:, :, 0] - p[:, 2]))
        short = 1.0 - decay
        return depth * short * short, (2.0 * depth * a * short * decay).unsqueeze(-1)

    def derivative(self, q: Tensor, p: Tensor, number: int) -> tuple[Tensor, Tensor]:
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
        return "D*(1-exp(-a*(q1-r0)))^2"

    def converted(self, other: FunctionalForm, p: Tensor) -> Tensor:
        """Rows with the minimum and curvature of another bond: a = √(k / 2D), with D = 100 kcal/mol, our choice."""
        found = other.harmonic(p)
        if found is None:
            raise MismatchError(f"{other.name} has no minimum that a Morse bond could start from")
        k, r0 = found
        return torch.stack([torch.full_like(k, _DEPTH), torch.sqrt(k / (2.0 * _DEPTH)), r0], dim=-1)

    def harmonic(self, p: Tensor) -> tuple[Tensor, Tensor]:
        return 2.0 * p[:, 0] * p[:, 1] ** 2, p[:, 2]

    def plain_rows(self, p: Tensor) -> list[list[tuple[float, ...]]]:
        return [[tuple(row)] for row in p.tolist()]
