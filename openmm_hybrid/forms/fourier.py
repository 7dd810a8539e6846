"""Fourier series of proper and improper torsions."""

from __future__ import annotations

from collections.abc import Iterator
from math import atan2, hypot, pi
from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.forms.form import DIHEDRAL, Column, Coordinate, FunctionalForm, LinearForm, Role

_TINY = 1e-12  # kcal/mol, amplitude below which we leave out a cosine


@final
class Fourier(LinearForm):
    """E = c₀ + Σ_n c_n cos nφ + s_n sin nφ, n = 1 … order.

    A torsion term k (1 + cos(nφ − δ)) of AMBER or OpenMM has c_n = k cos δ, s_n = k sin δ and adds k to c₀. A fit keeps
    c₀, since no force depends on it.

    Parameters
    ----------
    order : int
        Largest n, 1 to 12. GAFF has up to 4.
    sine : bool
        Whether the series has sines. Achiral molecules need none, nor does GAFF (δ is 0 or π).
    """

    slots: ClassVar[dict[str, Role]] = {"propers": "replaces", "impropers": "replaces"}
    size = "order"
    plain_force = "PeriodicTorsionForce"

    def __init__(self, order: int = 3, *, sine: bool = False) -> None:
        super().__init__()
        if isinstance(order, bool) or order not in range(1, 13):
            raise InputError(f"a Fourier series of order {order!r}", expected="a whole number from 1 to 12")
        self.order = order
        self.sine = sine
        self.n = torch.nn.Buffer(torch.arange(1, order + 1, dtype=torch.float64), persistent=False)

    @property
    def name(self) -> str:
        return f"fourier{self.order}" + ("s" if self.sine else "")

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"order": self.order, "sine": self.sine}

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        return (DIHEDRAL,)

    @property
    def columns(self) -> tuple[Column, ...]:
        """c₀, c₁ … and, with sine, s₁ … (n_columns 1 + order, or 1 + 2 order)."""
        names = [f"c{n}" for n in range(1, self.order + 1)]
        if self.sine:
            names += [f"s{n}" for n in range(1, self.order + 1)]
        return (Column("c0", "kcal/mol", fitted=False), *(Column(name, "kcal/mol") for name in names))

    def basis(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Basis 1, cos nφ, sin nφ. See `LinearForm.basis`."""
        n = self.n.to(q.dtype)
        angle = q * n  # (n_frames, n_terms, order)
        cos, sin = torch.cos(angle), torch.sin(angle)
        values, slopes = [torch.ones_like(q), cos], [torch.zeros_like(q), -n * sin]
        if self.sine:
            values.append(sin)
            slopes.append(n * cos)
        return torch.cat(values, dim=-1), torch.cat(slopes, dim=-1).unsqueeze(2)

    def expression(self) -> str:
        waves = {"c": "cos", "s": "sin"}
        names = [column.name for column in self.columns[1:]]
        return "+".join(["c0", *(f"{name}*{waves[name[0]]}({name[1:]}*q1)" for name in names)])

    def in_place_of(self, other: FunctionalForm) -> FunctionalForm:
        """The series with sines if the other one has sines."""
        return Fourier(self.order, sine=True) if isinstance(other, Fourier) and other.sine else self

    def converted(self, other: FunctionalForm, p: Tensor) -> Tensor:
        """Rows of a shorter series, or of one without sines, padded with zeros."""
        if not isinstance(other, Fourier):
            raise MismatchError(f"the terms are {other.name}", expected="a Fourier series")
        if other.order > self.order or (other.sine and not self.sine):
            raise InputError(f"{self.name} is shorter than the present series, {other.name}")
        rows = torch.zeros(len(p), len(self.columns), dtype=p.dtype)
        rows[:, : 1 + other.order] = p[:, : 1 + other.order]
        rows[:, 1 + self.order : 1 + self.order + other.order * other.sine] = p[:, 1 + other.order :]
        return rows

    def plain_rows(self, p: Tensor) -> list[list[tuple[float, ...]]]:
        """Entries of k (1 + cos(nφ − δ)) with k > 0."""
        return [list(self._cosines(row)) for row in p.tolist()]

    def plain_rest(self, p: Tensor) -> Tensor:
        rests = [row[0] - sum(k for _, _, k in self._cosines(row)) for row in p.tolist()]
        return torch.tensor(rests, dtype=p.dtype)

    def _cosines(self, row: list[float]) -> Iterator[tuple[int, float, float]]:
        cosines = row[1 : 1 + self.order]
        sines = row[1 + self.order :] or [0.0] * self.order
        for n, (c, s) in enumerate(zip(cosines, sines, strict=True), 1):
            k = hypot(c, s)
            if k > _TINY:
                yield n, atan2(s, c) if s else (0.0 if c > 0.0 else pi), k
