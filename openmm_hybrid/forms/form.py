"""FunctionalForm: the contract of all forms.

A form says by itself where it may stand, what it starts from, how a fit holds it, and how OpenMM computes it; whoever
edits, fits, checks or compiles force fields asks it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError, MismatchError

KINDS = {"distance": 2, "angle": 3, "dihedral": 4}
"""Kinds of internal coordinates and the number of atoms that each needs; Å, rad, rad."""

SLOTS = {"bonds": "distance", "angles": "angle", "propers": "dihedral", "impropers": "dihedral"}
"""Slots of a force field whose forms a user can choose, and the kind of their coordinate."""

Role = Literal["replaces", "adds"]
"""Whether a form replaces the classical term of a slot, or is added beside it."""


@dataclass(frozen=True)
class Coordinate:
    """One internal coordinate of a term.

    Parameters
    ----------
    kind : {"distance", "angle", "dihedral"}
    indices : tuple of int
        Indices of the atoms among those of the term.
    """

    kind: str
    indices: tuple[int, ...]


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
    width : float
        Change from its start that costs a fit one `restraint`. 0 leaves the parameter to the ridge alone, as the
        coefficient of a fitted function. Our choice.
    relative : bool
        Whether the width is a share of the start.
    positive : bool
        Whether a fitted value at or below zero is a fault, as for a force constant.
    charge_of : int, optional
        Index of the term's atom whose charge it is; a fit keeps the sum of a molecule's charges.
    hidden : bool
        Whether it is a weight of a network's hidden layer, which gradients fit and no solve.
    """

    name: str
    unit: str
    lower: float = -inf
    upper: float = inf
    fitted: bool = True
    width: float = 0.0
    relative: bool = False
    positive: bool = False
    charge_of: int | None = None
    hidden: bool = False


class FunctionalForm(torch.nn.Module, ABC):
    """E(q; p) of the coordinates q and the parameters p of a term, with dE/dq written out.

    Scriptable. A form holds no parameters of its own: what is fitted is handed in, so that terms can share it.
    """

    #: What describes the form is for Python alone; TorchScript would try to compile it.
    __jit_unused_properties__ = ("name", "coordinates", "columns", "ranges", "n_atoms")
    __jit_ignored_attributes__ = ("slots", "size", "plain_force", "confining", "any_function", "costly")

    #: Slots that the form may stand in, and its role there: `SLOTS`, "pairs" and "cross".
    slots: ClassVar[Mapping[str, Role]] = {}
    #: Keyword of the constructor that a number after the form's name sets, such as "order" for "fourier6".
    size: ClassVar[str] = ""
    #: Name of OpenMM's own force with exactly this energy; empty where the form is an expression or a table.
    plain_force: str = ""
    #: Whether the energy grows without bound on both sides: a wall outside the sampled range.
    confining: ClassVar[bool] = False
    #: Whether the form can be any function of its coordinate; a confining term under it then stays as it is in a fit.
    any_function: ClassVar[bool] = False
    #: Whether a fit should evaluate the form at knots and interpolate (see `curve`).
    costly: ClassVar[bool] = False
    #: Whether E(−q) = E(q), for a form of one dihedral. Not annotated: a form may use it inside its script.
    even = False

    @classmethod
    def for_slot(cls, slot: str, size: int | None = None) -> FunctionalForm:
        """The form for one slot of a force field, of its default size or of the one given.

        Raises
        ------
        InputError
            The form has no place in this slot, or takes no size.
        """
        if slot not in cls.slots:
            raise InputError(f"{cls.__name__} for {slot}", expected=f"one of {', '.join(cls.slots)}")
        if size is not None and not cls.size:
            raise InputError(f"{cls.__name__} of size {size}", expected="no number after the name")
        return cls(**cls._slot_settings(slot), **({} if size is None else {cls.size: size}))

    @classmethod
    def _slot_settings(cls, slot: str) -> dict[str, str]:
        """Arguments of the constructor that a slot decides."""
        return {}

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
        return 1 + max(index for coordinate in self.coordinates for index in coordinate.indices)

    @property
    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """Sampled ranges among the columns: (column of the lower end, of the upper end, number of the coordinate).

        They are the columns whose names begin with "lower" and "upper", in the order of the distances and angles; a
        dihedral needs no range.
        """
        names = [column.name for column in self.columns]
        lower = [number for number, name in enumerate(names) if name.startswith("lower")]
        upper = [number for number, name in enumerate(names) if name.startswith("upper")]
        straight = [number for number, each in enumerate(self.coordinates) if each.kind != "dihedral"]
        return tuple(zip(lower, upper, straight, strict=False))

    def start(self, n_rows: int, seed: int = 0) -> Tensor:
        """Parameters (n_rows, n_columns) of zero energy. `seed` is for forms that start at random inside."""
        return torch.zeros(n_rows, len(self.columns), dtype=torch.float64)

    def converted(self, other: FunctionalForm, p: Tensor) -> Tensor:
        """Parameters (n_terms, n_columns) that follow another form with parameters p: what the form starts from.

        A form that replaces others keeps at least their minimum and curvature.

        Raises
        ------
        MismatchError
            It cannot follow that form.
        InputError
            It is too small for it.
        """
        raise MismatchError(f"{self.name} cannot start from {other.name}")

    def harmonic(self, p: Tensor) -> tuple[Tensor, Tensor] | None:
        """Curvature k and minimum q₀ (n_terms,) of a bond or angle; None for forms that have none by themselves."""
        return None

    def curve(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """E and dE/dx (n_knots, n_rows) at knots x (n_knots, n_rows, 1), for forms that are `costly`.

        x is the coordinate on a scale where the sampled range is [−1, 1], or the dihedral itself.
        """
        raise MismatchError(f"{self.name} has no curve")

    def roughness(self, row: Tensor) -> Tensor:
        """Penalty matrix (n_fitted, n_fitted) of bends and slopes, by which a fit of noisy labels stays smooth.

        `row` (1, n_columns) are the parameters of one term. Up to a factor; the identity where a form knows no better.
        """
        return torch.eye(sum(column.fitted for column in self.columns), dtype=torch.float64)

    def plain_rows(self, p: Tensor) -> list[list[tuple[float, ...]]]:
        """For each term what `plain_force` takes after the particles, in Å, rad, e and kcal/mol, one tuple per entry.

        HarmonicBondForce (r₀, k), HarmonicAngleForce (θ₀, k), CustomBondForce (the columns), PeriodicTorsionForce
        (n, δ, k), several per term.
        """
        return []

    def plain_rest(self, p: Tensor) -> Tensor:
        """Energies (n_terms,) that the rows of `plain_rows` lack: constants."""
        return torch.zeros(len(p), dtype=p.dtype)

    def particle_parameters(self, p: Tensor) -> dict[str, Tensor]:
        """Parameters of the two atoms of each pair (n_terms, 2), for forms of the slot "pairs".

        By the names that NonbondedForce gives them: "charge" in e, or "sigma" in Å and "epsilon" in kcal/mol. The last
        column of such a form is the scale of the pair.
        """
        return {}

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
        values, slopes = self.basis(q, p)
        coefficients = p[:, self.n_fixed :]
        return (values * coefficients).sum(-1), (slopes * coefficients.unsqueeze(1)).sum(-1)

    def design(self, q: Tensor, p: Tensor, columns: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        values, slopes = self.basis(q, p)
        wanted = [number - self.n_fixed for number in self._chosen(columns)]
        return values[..., wanted], slopes[..., wanted]
