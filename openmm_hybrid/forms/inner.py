"""Pairs inside a molecule with parameters of their own, apart from those towards other molecules."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.units import COULOMB
from openmm_hybrid.forms.form import DISTANCE, Column, Coordinate, LinearForm, Role


@final
class Inner(LinearForm):
    """E = C q / r + a (ρ/r)¹² − b (ρ/r)⁶ with C = e²/(4πε₀), for atoms three and more bonds apart.

    It is linear in the charge product q, the repulsion a and the dispersion b; ρ only sets the unit of length. With
    a = b = 4ε and ρ = σ it is a Coulomb and Lennard-Jones pair, whose scale of a pair three bonds apart is part of q, a
    and b. `openmm_hybrid.forcefield.inner_pairs` sets the bounds of a and b for each pair.
    """

    slots: ClassVar[dict[str, Role]] = {"pairs": "replaces"}
    plain_force = "NonbondedForce"

    def __init__(self) -> None:
        super().__init__(n_fixed=1)
        self.constant = COULOMB

    @property
    def name(self) -> str:
        return "inner"

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        return (DISTANCE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        """ρ, q, a and b (n_columns 4)."""
        return (
            Column("rho", "Å", fitted=False),
            Column("charge_product", "e²", width=0.3),
            Column("repulsion", "kcal/mol", lower=0.0, width=0.6),
            Column("dispersion", "kcal/mol", lower=0.0, width=0.6),
        )

    def basis(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        r = q[:, :, 0]
        six = (p[:, 0] / r) ** 6
        values = torch.stack([self.constant / r, six * six, -six], dim=-1)
        slopes = torch.stack([-self.constant / (r * r), -12.0 * six * six / r, 6.0 * six / r], dim=-1)
        return values, slopes.unsqueeze(2)

    def expression(self) -> str:
        return f"{self.constant!r}*charge_product/q1+repulsion*six^2-dispersion*six; six=(rho/q1)^6"

    def plain_rows(self, p: Tensor) -> list[list[tuple[float, ...]]]:
        """Charge product, σ = ρ (a/b)^(1/6) and ε = b²/4a of an exception in NonbondedForce.

        Raises
        ------
        MismatchError
            One of a and b is zero and the other is not, or one is negative.
        """
        rows: list[list[tuple[float, ...]]] = []
        for rho, product, a, b in p.tolist():
            if a > 0.0 and b > 0.0:
                rows.append([(product, rho * (a / b) ** (1.0 / 6.0), b * b / (4.0 * a))])
            elif a == b == 0.0:
                rows.append([(product, rho, 0.0)])
            else:
                raise MismatchError(
                    f"an inner pair has the repulsion {a:.9g} and the dispersion {b:.9g} kcal/mol",
                    expected="two positive values, or two zeros",
                    hint="keep the bounds of the parameters",
                )
        return rows
