"""Fourier series in two coordinates."""

from __future__ import annotations

from math import pi
from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forms.form import KINDS, Column, Coordinate, FunctionalForm, Role
from openmm_hybrid.forms.saturate import MARGIN, SLOPES, range_columns, saturate_expression, standardise

_END = 1.0 + 2.0 * MARGIN  # limit of a saturated coordinate on the scale where the range is [−1, 1]


@final
class Fourier2D(FunctionalForm):
    """E = Σ_jk a_jk cos(ju) cos(kv) + Σ_jk b_jk sin(ju) sin(kv), a Fourier series in two variables.

    u and v are dihedrals. A distance or angle is first saturated outside the sampled range (see `saturate`) and then
    mapped to [0, π], so that it has only cosines and no slope far outside. The form is linear in its parameters. We
    leave out sin times cos, which changes sign in the mirror image: a molecule and its mirror image have the same
    energy.

    Parameters
    ----------
    first, second : str
        Kind of the coordinate and indices of its atoms in the term, such as "dihedral 0 1 2 3" and "distance 4 3".
    order : int
        Largest j and k.
    """

    slots: ClassVar[dict[str, Role]] = {"cross": "adds"}

    def __init__(self, first: str, second: str, *, order: int = 5) -> None:
        super().__init__()
        if isinstance(order, bool) or not isinstance(order, int) or not 1 <= order <= 12:
            raise InputError(f"a series of order {order!r}", expected="a whole number from 1 to 12")
        self.first, self.second, self.order = first, second, order
        circular = [_read(text).kind == "dihedral" for text in (first, second)]
        self.first_circular, self.second_circular = circular
        self.first_range, self.second_range = 0, 0 if circular[0] else 2  # first column of the range
        self.n_range = 2 * circular.count(False)
        self.n_cosines = (order + 1) ** 2 - 1  # the constant is left out
        self.sines = all(circular)
        self.end, self.per = _END, pi / (2.0 * _END)

    @property
    def name(self) -> str:
        return f"fourier2d-{self.order}"

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"first": self.first, "second": self.second, "order": self.order}

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        return _read(self.first), _read(self.second)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The ranges (not for dihedrals), then the a_jk without a_00, then the b_jk; k runs fastest."""
        ranges = [
            column
            for number, coordinate in enumerate(self.coordinates)
            for column in range_columns(coordinate.kind, number, f"{number + 1}")
        ]
        return (*ranges, *(Column(f"{wave}{j}_{k}", "kcal/mol") for wave, j, k in self.waves()))

    def waves(self) -> list[tuple[str, int, int]]:
        """(Letter, j, k) of each fitted column; the letter is "a" for cosines and "b" for sines."""
        orders = range(self.order + 1)
        cosines = [("a", j, k) for j in orders for k in orders][1:]
        return cosines + ([("b", j, k) for j in orders[1:] for k in orders[1:]] if self.sines else [])

    def start(self, n_rows: int, seed: int = 0) -> Tensor:
        rows = super().start(n_rows)
        rows[:, 0 : self.n_range : 2], rows[:, 1 : self.n_range : 2] = -1.0, 1.0
        return rows

    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        u, du = self.phase(q[:, :, 0], p, self.first_circular, self.first_range)
        v, dv = self.phase(q[:, :, 1], p, self.second_circular, self.second_range)
        orders = torch.arange(self.order + 1, dtype=q.dtype, device=q.device)
        ju, kv = u.unsqueeze(-1) * orders, v.unsqueeze(-1) * orders
        cu, su, cv, sv = torch.cos(ju), torch.sin(ju), torch.cos(kv), torch.sin(kv)
        last = self.n_range + self.n_cosines
        constant = torch.zeros_like(p[:, :1])
        a = torch.cat([constant, p[:, self.n_range : last]], dim=1).unflatten(1, [self.order + 1, self.order + 1])
        over_v = torch.einsum("tjk,ftk->ftj", a, cv)
        energy = (cu * over_v).sum(-1)
        by_u = -(orders * su * over_v).sum(-1)
        by_v = -(cu * torch.einsum("tjk,ftk->ftj", a, orders * sv)).sum(-1)
        if self.sines:
            b = p[:, last:].unflatten(1, [self.order, self.order])
            over_v = torch.einsum("tjk,ftk->ftj", b, sv[:, :, 1:])
            energy = energy + (su[:, :, 1:] * over_v).sum(-1)
            by_u = by_u + (orders[1:] * cu[:, :, 1:] * over_v).sum(-1)
            by_v = by_v + (su[:, :, 1:] * torch.einsum("tjk,ftk->ftj", b, orders[1:] * cv[:, :, 1:])).sum(-1)
        return energy, torch.stack([by_u * du, by_v * dv], dim=-1)

    def phase(self, q: Tensor, p: Tensor, circular: bool, column: int) -> tuple[Tensor, Tensor]:
        """u of a coordinate (n_frames, n_terms), and du/dq."""
        if circular:
            return q, torch.ones_like(q)
        x, slope = standardise(q, p[:, column], p[:, column + 1])
        return self.per * (x + self.end), self.per * slope

    def expression(self) -> str:
        parts = [self._series("a", "cos", 0)]
        if self.sines:
            parts.append(self._series("b", "sin", 1))
        lines = ["+".join(parts)]
        for number, (name, coordinate) in enumerate(zip("uv", self.coordinates, strict=True), 1):
            q, lower, upper = f"q{number}", f"lower{number}", f"upper{number}"
            if coordinate.kind == "dihedral":
                lines.append(f"{name}={q}")
            else:
                x = f"2*({saturate_expression(q, lower, upper)}-{lower})/({upper}-{lower})-1"
                lines.append(f"{name}={self.per!r}*({x}+{self.end!r})")
        return "; ".join(lines)

    def roughness(self, row: Tensor) -> Tensor:
        """Mean squared curvature plus a tenth of the mean squared slope of each product of waves."""
        squares = [float(j * j + k * k) for _, j, k in self.waves()]
        return torch.diag(torch.tensor([square**2 + SLOPES * square for square in squares], dtype=torch.float64))

    def _series(self, letter: str, wave: str, lowest: int) -> str:
        """Nested sum over j and k: OpenMM evaluates waves of u once per j, waves of v once per coefficient."""
        rows = []
        for j in range(lowest, self.order + 1):
            cells = [
                f"{letter}{j}_{k}*{wave}({k}*v)" if k else f"{letter}{j}_{k}"
                for k in range(lowest, self.order + 1)
                if j or k
            ]
            rows.append(f"{wave}({j}*u)*({'+'.join(cells)})" if j else "+".join(cells))
        return "+".join(rows)


def _read(text: str) -> Coordinate:
    """The coordinate in a text such as "dihedral 0 1 2 3"."""
    kind, *indices = text.split() if isinstance(text, str) and text.split() else ("",)
    if len(indices) != KINDS.get(kind, -1) or not all(index.isdecimal() for index in indices):
        raise InputError(f"the coordinate {text!r}", expected="a kind and its atoms, such as 'distance 0 1'")
    return Coordinate(kind, tuple(map(int, indices)))
