"""Harmonic bonds and angles."""

from __future__ import annotations

from math import pi
from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.forms.form import ANGLE, DISTANCE, SLOTS, Column, Coordinate, FunctionalForm, Role


@final
class Harmonic(FunctionalForm):
    """E = ½ k (q − q₀)² in OpenMM's convention; AMBER's K is ½ k (Cornell et al., JACS 117, 5179 (1995), eq. 1).

    Parameters
    ----------
    kind : {"distance", "angle"}
    """

    slots: ClassVar[dict[str, Role]] = {"bonds": "replaces", "angles": "replaces"}
    confining = True

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind not in ("distance", "angle"):
            raise InputError(f"harmonic terms of kind {kind!r}", expected="'distance' or 'angle'")
        self.kind = kind
        self.plain_force = "HarmonicBondForce" if kind == "distance" else "HarmonicAngleForce"

    @classmethod
    def _slot_settings(cls, slot: str) -> dict[str, str]:
        return {"kind": SLOTS[slot]}

    @property
    def name(self) -> str:
        return "harmonic"

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"kind": self.kind}

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        return (DISTANCE if self.kind == "distance" else ANGLE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        """k and q₀ (n_columns 2)."""
        if self.kind == "distance":
            return (
                Column("k", "kcal/mol/Å²", lower=0.0, width=0.5, relative=True, positive=True),
                Column("r0", "Å", lower=0.5, width=0.1),
            )
        return (
            Column("k", "kcal/mol/rad²", lower=0.0, width=0.5, relative=True, positive=True),
            Column("theta0", "rad", lower=0.0, upper=pi, width=0.2),
        )

    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        k = p[:, 0]
        away = q[:, :, 0] - p[:, 1]
        return 0.5 * k * away * away, (k * away).unsqueeze(-1)

    def derivative(self, q: Tensor, p: Tensor, number: int) -> tuple[Tensor, Tensor]:
        away = q[:, :, 0] - p[:, 1]
        if number == 0:
            return 0.5 * away * away, away.unsqueeze(-1)
        return -p[:, 0] * away, -p[:, 0].expand_as(away).unsqueeze(-1)

    def expression(self) -> str:
        k, q0 = (column.name for column in self.columns)
        return f"0.5*{k}*(q1-{q0})^2"

    def converted(self, other: FunctionalForm, p: Tensor) -> Tensor:
        found = other.harmonic(p)
        if found is None:
            raise MismatchError(f"{other.name} has no minimum that a harmonic term could start from")
        return torch.stack(found, dim=-1)

    def harmonic(self, p: Tensor) -> tuple[Tensor, Tensor]:
        return p[:, 0], p[:, 1]

    def plain_rows(self, p: Tensor) -> list[list[tuple[float, ...]]]:
        return [[(q0, k)] for k, q0 in p.tolist()]
