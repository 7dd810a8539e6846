"""The harmonic form of bonds and angles."""

from __future__ import annotations

from typing import final

from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forms.form import ANGLE, DISTANCE, Column, Coordinate, FunctionalForm


@final
class Harmonic(FunctionalForm):
    """E = ½ k (q − q₀)², OpenMM's convention: AMBER's K is ½ k (Cornell et al., JACS 117, 5179 (1995), eq. 1).

    Parameters
    ----------
    kind : {"distance", "angle"}
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind not in ("distance", "angle"):
            raise InputError(f"harmonic terms of kind {kind!r}", expected="'distance' or 'angle'")
        self.kind = kind

    @property
    def name(self) -> str:
        """See `FunctionalForm.name`."""
        return "harmonic"

    def settings(self) -> dict[str, str | int | float | bool]:
        """See `FunctionalForm.settings`."""
        return {"kind": self.kind}

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """See `FunctionalForm.coordinates`."""
        return (DISTANCE if self.kind == "distance" else ANGLE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        """k and q₀ (n_columns 2)."""
        if self.kind == "distance":
            return Column("k", "kcal/mol/Å²", lower=0.0), Column("r0", "Å", lower=0.5)
        return Column("k", "kcal/mol/rad²", lower=0.0), Column("theta0", "rad", lower=0.0, upper=3.141592653589793)

    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """See `FunctionalForm.forward`."""
        k = p[:, 0]
        away = q[:, :, 0] - p[:, 1]
        return 0.5 * k * away * away, (k * away).unsqueeze(-1)

    def derivative(self, q: Tensor, p: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """See `FunctionalForm.derivative`."""
        away = q[:, :, 0] - p[:, 1]
        if number == 0:
            return 0.5 * away * away, away.unsqueeze(-1)
        return -p[:, 0] * away, -p[:, 0].expand_as(away).unsqueeze(-1)
