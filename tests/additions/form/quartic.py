"""Quartic bonds, written as another distribution would write a form."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.forms.form import DISTANCE, Column, Coordinate, FunctionalForm, Role


@final
class Quartic(FunctionalForm):
    """E = ½ k (x² + a x³ + b x⁴) with x = r − r₀, the bond of class II force fields.

    Hwang, Stockfisch, Hagler, J. Am. Chem. Soc. 116, 2515 (1994).
    """

    slots: ClassVar[dict[str, Role]] = {"bonds": "replaces"}
    confining = True

    @property
    def name(self) -> str:
        """See `FunctionalForm.name`."""
        return "quartic"

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """One distance."""
        return (DISTANCE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        """k, r₀, a and b (n_columns 4)."""
        return (
            Column("k", "kcal/mol/Å²", lower=0.0, width=0.5, relative=True, positive=True),
            Column("r0", "Å", lower=0.5, width=0.1),
            Column("a", "1/Å", lower=-4.0, upper=4.0, width=1.0),
            Column("b", "1/Å²", lower=0.0, upper=10.0, width=2.0),
        )

    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """See `FunctionalForm.forward`."""
        k, a, b = p[:, 0], p[:, 2], p[:, 3]
        x = q[:, :, 0] - p[:, 1]
        energy = 0.5 * k * x * x * (1.0 + x * (a + x * b))
        return energy, (0.5 * k * x * (2.0 + x * (3.0 * a + 4.0 * x * b))).unsqueeze(-1)

    def expression(self) -> str:
        """See `FunctionalForm.expression`."""
        return "0.5*k*x^2*(1+a*x+b*x^2); x=q1-r0"

    def converted(self, other: FunctionalForm, p: Tensor) -> Tensor:
        """Rows with the minimum and curvature of another bond; a and b are zero."""
        found = other.harmonic(p)
        if found is None:
            raise MismatchError(f"{other.name} has no minimum that a quartic bond could start from")
        k, r0 = found
        return torch.stack([k, r0, torch.zeros_like(k), torch.zeros_like(k)], dim=-1)

    def harmonic(self, p: Tensor) -> tuple[Tensor, Tensor]:
        """See `FunctionalForm.harmonic`."""
        return p[:, 0], p[:, 1]
