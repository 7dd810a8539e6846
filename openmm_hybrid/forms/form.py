"""FunctionalForm: the contract of all forms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

KINDS = {"distance": 2, "angle": 3, "dihedral": 4}
"""Kinds of internal coordinates and the number of atoms that each needs; Å, rad, rad."""


@dataclass(frozen=True)
class Coordinate:
    """One internal coordinate of a term.

    Parameters
    ----------
    kind : {"distance", "angle", "dihedral"}
    places : tuple of int
        Which of the term's atoms, counted from 0.
    """

    kind: str
    places: tuple[int, ...]


DISTANCE = Coordinate("distance", (0, 1))
ANGLE = Coordinate("angle", (0, 1, 2))
DIHEDRAL = Coordinate("dihedral", (0, 1, 2, 3))
SINGLE = {"distance": DISTANCE, "angle": ANGLE, "dihedral": DIHEDRAL}
"""The coordinate of a form that has one, by its kind."""


@dataclass(frozen=True)
class Column:
    """One parameter of a form.

    Parameters
    ----------
    name : str
        An identifier; also the name of the parameter in OpenMM expressions.
    unit : str
        In internal units, such as "kcal/mol/Å²".
    lower, upper : float
        Bounds that a fit keeps.
    fitted : bool
        Whether a fit may change it; ranges and scale factors stay.
    """

    name: str
    unit: str
    lower: float = -inf
    upper: float = inf
    fitted: bool = True


class FunctionalForm(torch.nn.Module, ABC):
    """E(q; p) of the coordinates q and the parameters p of a term, with dE/dq written out.

    Scriptable. A form holds no parameters of its own: what is fitted is handed in, so that terms can share it.
    """

    #: What describes the form is for Python alone; TorchScript would try to compile it.
    __jit_unused_properties__ = ("name", "coordinates", "columns", "n_atoms")

    @property
    @abstractmethod
    def name(self) -> str:
        """The name it is registered under, with its order where it has one, such as "fourier6"."""

    @property
    @abstractmethod
    def coordinates(self) -> tuple[Coordinate, ...]:
        """The coordinates of a term (n_q,)."""

    @property
    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """The parameters of a term (n_columns,)."""

    @abstractmethod
    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Energies and slopes.

        Parameters
        ----------
        q : (n_frames, n_terms, n_q), Å or rad
        p : (n_terms, n_columns)

        Returns
        -------
        energies : (n_frames, n_terms), kcal/mol
        slopes : (n_frames, n_terms, n_q)
            ∂E/∂q, kcal/mol/Å or kcal/mol/rad.
        """

    def settings(self) -> dict[str, str | int | float | bool]:
        """The keyword arguments of the constructor that make an equal form: what a file keeps of it."""
        return {}

    def expression(self) -> str:
        """The energy as an OpenMM expression in q1, q2, … and the names of the columns, in internal units.

        Empty for a form that is tabulated instead.
        """
        return ""

    @property
    def n_atoms(self) -> int:
        """Atoms of a term."""
        return 1 + max(place for coordinate in self.coordinates for place in coordinate.places)

    def start(self, n_rows: int) -> Tensor:
        """Parameters (n_rows, n_columns) that give zero energy, for forms that are added to others."""
        return torch.zeros(n_rows, len(self.columns), dtype=torch.float64)

    def design(self, q: Tensor, p: Tensor, columns: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Derivatives by the fitted columns: (n_frames, n_terms, n_fitted) and (n_frames, n_terms, n_q, n_fitted).

        For columns in which the form is linear these are its basis functions and their slopes. `columns` asks for these
        columns only, by their numbers.
        """
        energies, slopes = zip(*(self.derivative(q, p, number) for number in self._chosen(columns)), strict=True)
        return torch.stack(energies, dim=-1), torch.stack(slopes, dim=-1)

    def derivative(self, q: Tensor, p: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Derivatives of energies (n_frames, n_terms) and slopes (n_frames, n_terms, n_q) by one column.

        By forward-mode differentiation, unless a form knows better.
        """
        along = torch.zeros_like(p)
        along[:, number] = 1.0
        _, (energies, slopes) = torch.func.jvp(lambda values: self(q, values), (p,), (along,))
        return energies, slopes

    def _chosen(self, columns: Sequence[int] | None) -> list[int]:
        if columns is not None:
            return list(columns)
        return [number for number, column in enumerate(self.columns) if column.fitted]


class LinearForm(FunctionalForm):
    """E = Σ_c p_c φ_c(q): a form that is linear in its columns but for the first `n_fixed` ones."""

    def __init__(self, n_fixed: int = 0) -> None:
        super().__init__()
        self.n_fixed = n_fixed

    @abstractmethod
    def basis(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """φ (n_frames, n_terms, n_linear) and ∂φ/∂q (n_frames, n_terms, n_q, n_linear), by the first columns of p."""

    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """See `FunctionalForm.forward`."""
        values, slopes = self.basis(q, p)
        coefficients = p[:, self.n_fixed :]
        return (values * coefficients).sum(-1), (slopes * coefficients.unsqueeze(1)).sum(-1)

    def design(self, q: Tensor, p: Tensor, columns: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """See `FunctionalForm.design`."""
        values, slopes = self.basis(q, p)
        wanted = [number - self.n_fixed for number in self._chosen(columns)]
        return values[..., wanted], slopes[..., wanted]
