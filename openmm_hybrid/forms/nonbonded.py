"""Coulomb and Lennard-Jones pairs with AMBER's scale factors and Lorentz-Berthelot rules."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from openmm_hybrid.core.units import COULOMB
from openmm_hybrid.forms.form import DISTANCE, Column, Coordinate, FunctionalForm, Role


@final
class Coulomb(FunctionalForm):
    """E = C s q_i q_j / r with C = e²/(4πε₀) in kcal/mol·Å and s = 1, or 1/scee between atoms three bonds apart."""

    slots: ClassVar[dict[str, Role]] = {"pairs": "replaces"}
    plain_force = "NonbondedForce"

    def __init__(self) -> None:
        super().__init__()
        self.constant = COULOMB

    @property
    def name(self) -> str:
        return "coulomb"

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        return (DISTANCE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The two charges and the scale (n_columns 3)."""
        return (
            Column("charge1", "e", width=0.2, charge_of=0),
            Column("charge2", "e", width=0.2, charge_of=1),
            Column("scale", "1", fitted=False),
        )

    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        r = q[:, :, 0]
        energy = self.constant * p[:, 2] * p[:, 0] * p[:, 1] / r
        return energy, (-energy / r).unsqueeze(-1)

    def derivative(self, q: Tensor, p: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Derivatives by the charges. See `FunctionalForm.derivative`."""
        r = q[:, :, 0]
        energy = self.constant * p[:, 2] * p[:, 1 - number] / r
        return energy, (-energy / r).unsqueeze(-1)

    def particle_parameters(self, p: Tensor) -> dict[str, Tensor]:
        return {"charge": p[:, :2]}


@final
class LennardJones(FunctionalForm):
    """E = 4 s √(ε_i ε_j) [(σ/r)¹² − (σ/r)⁶], σ = ½ (σ_i + σ_j), and s = 1, or 1/scnb between atoms three bonds apart.

    The parameters are √ε, because E is linear in each of them and the derivative is finite for atoms without a well
    (GAFF's ho).
    """

    slots: ClassVar[dict[str, Role]] = {"pairs": "replaces"}
    plain_force = "NonbondedForce"

    @property
    def name(self) -> str:
        return "lennard-jones"

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        return (DISTANCE,)

    @property
    def columns(self) -> tuple[Column, ...]:
        """σ and √ε of the two atoms, and the scale (n_columns 5)."""
        return (
            Column("sigma1", "Å", lower=0.5, upper=6.0, width=0.1),
            Column("sigma2", "Å", lower=0.5, upper=6.0, width=0.1),
            Column("root_epsilon1", "(kcal/mol)^1/2", lower=0.0, upper=2.0, width=0.15),
            Column("root_epsilon2", "(kcal/mol)^1/2", lower=0.0, upper=2.0, width=0.15),
            Column("scale", "1", fitted=False),
        )

    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        r = q[:, :, 0]
        six = (0.5 * (p[:, 0] + p[:, 1]) / r) ** 6
        well = 4.0 * p[:, 4] * p[:, 2] * p[:, 3]
        return well * six * (six - 1.0), (well * six * (6.0 - 12.0 * six) / r).unsqueeze(-1)

    def derivative(self, q: Tensor, p: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Derivatives by σ and √ε. See `FunctionalForm.derivative`."""
        r, sigma = q[:, :, 0], 0.5 * (p[:, 0] + p[:, 1])
        six = (sigma / r) ** 6
        if number < 2:
            along = 12.0 * p[:, 4] * p[:, 2] * p[:, 3] / sigma * six  # 4 s √(ε_i ε_j) · 6 · ½ (σ/r)⁶/σ
            return along * (2.0 * six - 1.0), (along * (6.0 - 24.0 * six) / r).unsqueeze(-1)
        well = 4.0 * p[:, 4] * p[:, 5 - number]
        return well * six * (six - 1.0), (well * six * (6.0 - 12.0 * six) / r).unsqueeze(-1)

    def particle_parameters(self, p: Tensor) -> dict[str, Tensor]:
        return {"sigma": p[:, :2], "epsilon": p[:, 2:4] ** 2}
