"""Cubic splines of one coordinate, added to the classical term."""

from __future__ import annotations

from math import pi
from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forms.form import SINGLE, SLOTS, Column, Coordinate, LinearForm, Role
from openmm_hybrid.forms.saturate import MARGIN, SLOPES, range_columns, standardise


@final
class Spline(LinearForm):
    """E = Σ_k c_k B((x − x_k)/h), uniform cubic B-splines (de Boor, A Practical Guide to Splines, 1978, chapter IX).

    The form is linear in its parameters, so that one solve finds the best function of one coordinate. x is the
    coordinate, saturated outside the sampled range (see `saturate`). The spline of a dihedral is periodic, and even
    because it is the mean over φ and −φ.

    Parameters
    ----------
    kind : {"distance", "angle", "dihedral"}
    pieces : int
        Number of polynomial pieces over the range and its margins, or over the circle.
    """

    slots: ClassVar[dict[str, Role]] = dict.fromkeys(SLOTS, "adds")
    size = "pieces"
    any_function = True

    def __init__(self, kind: str, *, pieces: int = 12) -> None:
        if kind not in SINGLE:
            raise InputError(f"spline terms of kind {kind!r}", expected=f"one of {', '.join(SINGLE)}")
        if isinstance(pieces, bool) or not isinstance(pieces, int) or pieces < 4:
            raise InputError(f"a spline of {pieces!r} pieces", expected="a whole number above 3")
        super().__init__(0 if kind == "dihedral" else 2)
        self.kind = kind
        self.pieces = pieces
        self.periodic = kind == "dihedral"
        self.n_splines = pieces if self.periodic else pieces + 3
        self.first = -pi if self.periodic else -1.0 - 2.0 * MARGIN
        self.step = -2.0 * self.first / pieces

    @classmethod
    def _slot_settings(cls, slot: str) -> dict[str, str]:
        return {"kind": SLOTS[slot]}

    @property
    def name(self) -> str:
        return f"spline{self.pieces}"

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"kind": self.kind, "pieces": self.pieces}

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        return (SINGLE[self.kind],)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The range (not for dihedrals), then the coefficients: pieces + 3, or for dihedrals as many as pieces."""
        coefficients = (Column(f"c{k}", "kcal/mol") for k in range(self.n_splines))
        return (*range_columns(self.kind), *coefficients)

    def start(self, n_rows: int, seed: int = 0) -> Tensor:
        rows = super().start(n_rows)
        if not self.periodic:
            rows[:, 0], rows[:, 1] = -1.0, 1.0
        return rows

    def basis(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """B-splines, or the even part of periodic ones. See `LinearForm.basis`."""
        value = q[:, :, 0]
        if self.periodic:
            values, slopes = self.splines(value)
            mirrored, back = self.splines(-value)
            values, slopes = 0.5 * (values + mirrored), 0.5 * (slopes - back)
        else:
            x, dx = standardise(value, p[:, 0], p[:, 1])
            values, slopes = self.splines(x)
            slopes = slopes * dx.unsqueeze(-1)
        return values, slopes.unsqueeze(2)

    def splines(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All B-splines and their derivatives (n_frames, n_terms, n_splines) at x (n_frames, n_terms)."""
        u = (x - self.first) / self.step
        piece = torch.floor(u).clamp(0, self.pieces - 1)
        t = u - piece
        rest = 1.0 - t
        weights = [rest**3 / 6.0, (3.0 * t**3 - 6.0 * t**2 + 4.0) / 6.0]
        weights += [(3.0 * rest**3 - 6.0 * rest**2 + 4.0) / 6.0, t**3 / 6.0]
        slopes = [-0.5 * rest**2, 1.5 * t**2 - 2.0 * t, 2.0 * rest - 1.5 * rest**2, 0.5 * t**2]
        first = piece.to(torch.int64).unsqueeze(-1) + torch.arange(4, device=x.device)
        index = first % self.n_splines  # wraps around in periodic splines
        zeros = torch.zeros([x.shape[0], x.shape[1], self.n_splines], dtype=x.dtype, device=x.device)
        values = zeros.scatter_add(2, index, torch.stack(weights, dim=-1))
        return values, zeros.scatter_add(2, index, torch.stack(slopes, dim=-1)) / self.step

    def roughness(self, row: Tensor) -> Tensor:
        """Squared second differences of the coefficients, plus a tenth of their squared first differences.

        The penalty on slopes makes the function flat, rather than straight, where little was sampled.
        """
        identity = torch.eye(self.n_splines, dtype=torch.float64)
        first = torch.roll(identity, 1, 1) - identity
        second = first @ first
        if not self.periodic:
            first, second = first[:-1], second[:-2]
        return second.T @ second + SLOPES * first.T @ first
