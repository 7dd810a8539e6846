"""FunctionalForm: the contract of all forms.

A form states its slots, its start, its bounds and widths in a fit, and how OpenMM computes it. Code that edits, fits,
checks or compiles force fields asks the form and never tests its class or name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import get_annotations
from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError, MismatchError

KINDS = {"distance": 2, "angle": 3, "dihedral": 4}
"""Kinds of internal coordinates and the number of atoms that each needs; Å, rad, rad."""

SLOTS = {"bonds": "distance", "angles": "angle", "propers": "dihedral", "impropers": "dihedral"}
"""Slots of a force field whose forms a user can choose, with the kind of their coordinate."""

Role = Literal["replaces", "adds"]
"""Whether a form replaces the classical term of a slot or is added to it."""

PLAIN_FORCES = ("HarmonicBondForce", "HarmonicAngleForce", "PeriodicTorsionForce", "CustomBondForce", "NonbondedForce")
"""Values of `FunctionalForm.plain_force`. CustomBondForce is for Morse bonds only, because `oh.replace` and
`ForceField.from_system` recognise them by their expression."""


@dataclass(frozen=True)
class Coordinate:
    """One internal coordinate of a term.

    Parameters
    ----------
    kind : {"distance", "angle", "dihedral"}
    indices : tuple of int
        Indices of its atoms in the term.
    """

    kind: str
    indices: tuple[int, ...]


DISTANCE = Coordinate("distance", (0, 1))
ANGLE = Coordinate("angle", (0, 1, 2))
DIHEDRAL = Coordinate("dihedral", (0, 1, 2, 3))
SINGLE = {"distance": DISTANCE, "angle": ANGLE, "dihedral": DIHEDRAL}
"""The coordinate of a form with one coordinate, by kind."""


@dataclass(frozen=True)
class Column:
    """One parameter of a form.

    Parameters
    ----------
    name : str
        Name, unique in the form. It is an identifier, neither "energy" nor q1, q2, …, where the form has an expression.
    unit : str
        Unit of the parameter, made of kcal/mol, Å, rad and e, such as "kcal/mol/Å²".
    lower, upper : float
        Bounds that a fit keeps.
    fitted : bool
        Whether a fit may change it. Ends of ranges and scale factors stay.
    width : float
        Change from the start that costs a fit one `restraint`. 0 leaves the parameter to the ridge alone, as for the
        coefficients of a fitted function. Our choice.
    relative : bool
        Whether the width is a fraction of the starting value.
    reach : float
        Factor on the parameter's effect in the ridge, for functions that grow fast beyond the sampled range.
    positive : bool
        Whether a fitted value at or below zero is a fault, as for a force constant.
    charge_of : int, optional
        Index of the term's atom whose charge this is. A fit keeps the sum of a molecule's charges.
    range_of : int, optional
        Index of the coordinate whose sampled range this column ends. Each range has two columns, the lower end first;
        a fit sets them from its frames while the term's coefficients, which `start` sets to zero, are zero.
    hidden : bool
        Whether it is a weight in the hidden layers of a network. Gradients fit these; a solve keeps them.
    """

    name: str
    unit: str
    lower: float = -inf
    upper: float = inf
    fitted: bool = True
    width: float = 0.0
    relative: bool = False
    reach: float = 1.0
    positive: bool = False
    charge_of: int | None = None
    range_of: int | None = None
    hidden: bool = False


class FunctionalForm(torch.nn.Module, ABC):
    """E(q; p) of the coordinates q and the parameters p of a term, with dE/dq in closed form.

    A form is scriptable and holds no parameters of its own: they are arguments, so that terms can share them. Only
    `forward` and what it calls becomes TorchScript; properties and annotated class attributes are for Python alone.

    A subclass defines `slots`, `name`, `coordinates`, `columns` and `forward`, and the other members where their
    defaults do not fit. A form that replaces a classical term also defines `converted` and, for bonds and angles,
    `harmonic`. `openmm_hybrid.testing.FunctionalFormSuite` tests all of it.
    """

    __jit_unused_properties__: Sequence[str] = ()
    __jit_ignored_attributes__: Sequence[str] = ()

    #: Slots that the form can fill and its role in each: `SLOTS`, "pairs" and "cross".
    slots: ClassVar[Mapping[str, Role]] = {}
    #: Keyword of the constructor that a number after the form's name sets, such as "order" for "fourier6".
    size: ClassVar[str] = ""
    #: OpenMM's own force with exactly this energy, one of `PLAIN_FORCES`; empty for expressions and tables.
    plain_force: str = ""
    #: Whether the energy grows without bound on both sides, which makes it a wall outside the sampled range.
    confining: ClassVar[bool] = False
    #: Whether the form can be any function of its coordinate. A fit then keeps the confining term that it is added to.
    any_function: ClassVar[bool] = False
    #: Whether a fit should evaluate the form at knots and interpolate (see `curve`).
    costly: ClassVar[bool] = False
    #: Whether E(−q) = E(q), for a form of one dihedral. It has no annotation, so that a form may use it in its script.
    even = False

    def __init_subclass__(cls) -> None:
        """Keep TorchScript from compiling what describes the form."""
        super().__init_subclass__()
        parents = [parent for parent in cls.__mro__ if issubclass(parent, FunctionalForm)]
        members = {name: member for parent in parents for name, member in vars(parent).items()}
        cls.__jit_unused_properties__ = [name for name, member in members.items() if isinstance(member, property)]
        cls.__jit_ignored_attributes__ = [name for parent in parents for name in get_annotations(parent)]

    @classmethod
    def for_slot(cls, slot: str, size: int | None = None) -> FunctionalForm:
        """The form for one slot of a force field, of the default size or of `size`.

        Raises
        ------
        InputError
            The form cannot fill this slot, or takes no size.
        """
        if slot not in cls.slots:
            raise InputError(f"{cls.__name__} for {slot}", expected=f"one of {', '.join(cls.slots)}")
        if size is not None and not cls.size:
            raise InputError(f"{cls.__name__} of size {size}", expected="no number after the name")
        return cls(**cls._slot_settings(slot), **({} if size is None else {cls.size: size}))

    @classmethod
    def _slot_settings(cls, slot: str) -> dict[str, str]:
        """Arguments of the constructor that depend on the slot."""
        return {}

    @property
    @abstractmethod
    def name(self) -> str:
        """Registered name, followed by the size where there is one, such as "fourier6"."""

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
        """Keyword arguments of the constructor that make an equal form; files keep them."""
        return {}

    def expression(self) -> str:
        """Energy as an OpenMM expression in q1, q2, … and `expression_parameters`, in Å, rad and kcal/mol.

        Definitions may follow after semicolons. The expression is empty for forms that become tables or non-bonded
        pairs.
        """
        return ""

    def expression_parameters(self, p: Tensor) -> dict[str, Tensor]:
        """Parameters of `expression` by name, (n_terms,) each; by default the columns."""
        return {column.name: p[:, number] for number, column in enumerate(self.columns)}

    @property
    def n_atoms(self) -> int:
        """Number of atoms of a term."""
        return 1 + max(index for coordinate in self.coordinates for index in coordinate.indices)

    @property
    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """Sampled ranges: (column of the lower end, column of the upper end, index of the coordinate) of each.

        Outside its range a coordinate saturates. Distances and angles can have a range; dihedrals need none.
        """
        ends: dict[int, list[int]] = {}
        for number, column in enumerate(self.columns):
            if column.range_of is not None:
                ends.setdefault(column.range_of, []).append(number)
        return tuple((lower, upper, coordinate) for coordinate, (lower, upper) in ends.items())

    def start(self, n_rows: int, seed: int = 0) -> Tensor:
        """Parameters (n_rows, n_columns) of zero energy. `seed` is for forms with random inner weights."""
        return torch.zeros(n_rows, len(self.columns), dtype=torch.float64)

    def converted(self, other: FunctionalForm, p: Tensor) -> Tensor:
        """Parameters (n_terms, n_columns) at which this form takes the place of another form with parameters p.

        A bond or angle keeps at least the minimum and curvature, a torsion the energy up to a constant.

        Raises
        ------
        MismatchError
            This form cannot start from `other`.
        InputError
            This form is too small for `other`.
        """
        raise MismatchError(f"{self.name} cannot start from {other.name}")

    def in_place_of(self, other: FunctionalForm) -> FunctionalForm:
        """This form with the settings that it takes over from another form in its place; by default none.

        A user's word such as "fourier6" leaves them open: a series with sines stays one when it becomes longer.
        """
        return self

    def harmonic(self, p: Tensor) -> tuple[Tensor, Tensor] | None:
        """Curvature k and minimum q₀ (n_terms,) of a bond or angle; None for forms without a minimum of their own."""
        return None

    def curve(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """E and dE/dx (n_knots, n_rows) at knots x (n_knots, n_rows, 1), for `costly` forms.

        x is the coordinate on a scale where the sampled range is [−1, 1], or the dihedral itself.
        """
        raise MismatchError(f"{self.name} has no curve")

    def roughness(self, row: Tensor) -> Tensor:
        """Penalty matrix (n_fitted, n_fitted) on bends and slopes, which keeps a fit to noisy labels smooth.

        It is positive semi-definite and has an arbitrary factor; by default it is the identity.

        Parameters
        ----------
        row : (1, n_columns)
            Parameters of one term.
        """
        return torch.eye(sum(column.fitted for column in self.columns), dtype=torch.float64)

    def plain_rows(self, p: Tensor) -> list[list[tuple[float, ...]]]:
        """Entries of each term in `plain_force`: the arguments after the particles, in Å, rad and kcal/mol.

        They are (r₀, k) for HarmonicBondForce, (θ₀, k) for HarmonicAngleForce, (D, a, r₀) for CustomBondForce,
        (n, δ, k) for PeriodicTorsionForce, where a term can have several entries, and (charge product in e², σ, ε) of
        the exception in NonbondedForce, for pairs with parameters of their own.
        """
        return []

    def plain_rest(self, p: Tensor) -> Tensor:
        """Constant energies (n_terms,) that are missing from the entries of `plain_rows`."""
        return torch.zeros(len(p), dtype=p.dtype)

    def particle_parameters(self, p: Tensor) -> dict[str, Tensor]:
        """Parameters of both atoms of each pair (n_terms, 2) for NonbondedForce, for forms of the slot "pairs".

        The keys are "charge" (e), or "sigma" (Å) and "epsilon" (kcal/mol). The last column of a form with such
        parameters is the scale of the pair.
        """
        return {}

    def design(self, q: Tensor, p: Tensor, columns: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Derivatives of energies and slopes by the fitted columns.

        For columns in which the form is linear these are its basis functions and their slopes.

        Parameters
        ----------
        q, p
            As in `forward`.
        columns : sequence of int, optional
            Indices of the columns; all fitted columns by default.

        Returns
        -------
        energies : (n_frames, n_terms, n_fitted)
        slopes : (n_frames, n_terms, n_q, n_fitted)
        """
        energies, slopes = zip(*(self.derivative(q, p, number) for number in self._chosen(columns)), strict=True)
        return torch.stack(energies, dim=-1), torch.stack(slopes, dim=-1)

    def derivative(self, q: Tensor, p: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Derivatives of energies (n_frames, n_terms) and slopes (n_frames, n_terms, n_q) by the column `number`.

        The default differentiates `forward` in forward mode; a form can override it with closed expressions.
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
    """E = Σ_c p_c φ_c(q), a form that is linear in its columns except the first `n_fixed` ones, which stay."""

    def __init__(self, n_fixed: int = 0) -> None:
        super().__init__()
        self.n_fixed = n_fixed

    @abstractmethod
    def basis(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Basis φ (n_frames, n_terms, n_linear) and slopes ∂φ/∂q (n_frames, n_terms, n_q, n_linear).

        They may depend on the first `n_fixed` columns of p.
        """

    def forward(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        values, slopes = self.basis(q, p)
        coefficients = p[:, self.n_fixed :]
        return (values * coefficients).sum(-1), (slopes * coefficients.unsqueeze(1)).sum(-1)

    def design(self, q: Tensor, p: Tensor, columns: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        values, slopes = self.basis(q, p)
        wanted = [number - self.n_fixed for number in self._chosen(columns)]
        return values[..., wanted], slopes[..., wanted]
