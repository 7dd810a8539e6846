"""Cross terms: products of internal coordinates of a few bonded atoms, linear in their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forms.form import ANGLE, DIHEDRAL, DISTANCE, Column, Coordinate, LinearForm, Role
from openmm_hybrid.forms.saturate import range_columns, saturate_expression, standardise


@dataclass(frozen=True)
class Group:
    """A kind of cross terms: its atoms, coordinates and products.

    Parameters
    ----------
    path : str
        Atoms that have such a term: a key of `openmm_hybrid.forcefield.paths.PATHS`.
    coordinates : mapping of str to Coordinate
        Coordinates by name: r1, r2 … for distances, a1, a2 … for angles, d1, d2 … for dihedrals.
    products : str
        Products separated by blanks, with factors joined by "*": "r1*a1", "r1^2*a1", "a1*cos2d1", "sin1d1*sin1d2".
    symmetries : tuple of tuple of int
        Orders of the atoms that give a group of the same kind, such as a chain read backwards.
    usual : bool
        Whether ``ForceField.edit(cross=True)`` adds this kind.
    straight : tuple of str
        Names of the coordinates that are straight angles; the other angles are not.
    """

    path: str
    coordinates: Mapping[str, Coordinate]
    products: str
    symmetries: tuple[tuple[int, ...], ...]
    usual: bool = True
    straight: tuple[str, ...] = ()


_STRAIGHT_CHAIN = {
    "r1": DISTANCE,
    "r2": Coordinate("distance", (1, 2)),
    "r3": Coordinate("distance", (2, 3)),
    "r4": Coordinate("distance", (0, 3)),
    "a1": ANGLE,
    "a2": Coordinate("angle", (1, 2, 3)),
}

GROUPS: dict[str, Group] = {
    "bond": Group("bonds", {"r1": DISTANCE}, "r1^3 r1^4", ((0, 1), (1, 0))),
    "angle": Group(
        "angles",
        {"r1": DISTANCE, "r2": Coordinate("distance", (1, 2)), "a1": ANGLE},
        "r1*r2 r1*a1 r2*a1 r1^2*a1 r2^2*a1 r1*a1^2 r2*a1^2 a1^3 a1^4",
        ((0, 1, 2), (2, 1, 0)),
    ),
    "torsion": Group(
        "chains",
        {
            "r1": DISTANCE,
            "r2": Coordinate("distance", (1, 2)),
            "r3": Coordinate("distance", (2, 3)),
            "a1": ANGLE,
            "a2": Coordinate("angle", (1, 2, 3)),
            "d1": DIHEDRAL,
        },
        "a1*cos1d1 a2*cos1d1 a1*cos2d1 a2*cos2d1 r1*cos1d1 r3*cos1d1 r1*cos2d1 r3*cos2d1 r2*cos2d1 r2*cos3d1 "
        "r1*r3 r1*a2 r3*a1 a1*a2 a1*a2*cos1d1 r1*a2*cos1d1 r3*a1*cos1d1",
        ((0, 1, 2, 3), (3, 2, 1, 0)),
    ),
    "angle-angle": Group(
        "stars",
        {
            "a1": Coordinate("angle", (2, 0, 3)),
            "a2": Coordinate("angle", (1, 0, 3)),
            "a3": Coordinate("angle", (1, 0, 2)),
        },
        "a1*a2 a1*a3 a2*a3",
        ((0, 1, 2, 3), (0, 1, 3, 2), (0, 2, 1, 3), (0, 2, 3, 1), (0, 3, 1, 2), (0, 3, 2, 1)),
    ),
    "torsion-torsion": Group(
        "pentads",
        {"d1": DIHEDRAL, "d2": Coordinate("dihedral", (1, 2, 3, 4))},
        "cos1d1*cos1d2 sin1d1*sin1d2 cos2d1*cos1d2 cos1d1*cos2d2 cos2d1*cos2d2 sin2d1*sin2d2 sin2d1*sin1d2 "
        "sin1d1*sin2d2",
        ((0, 1, 2, 3, 4), (4, 3, 2, 1, 0)),
        usual=False,
    ),
    "straight-angle": Group(
        "angles",
        {"r1": DISTANCE, "r2": Coordinate("distance", (1, 2)), "a1": ANGLE},
        "a1^2 a1^4 r1*r2 r1*a1^2 r2*a1^2",
        ((0, 1, 2), (2, 1, 0)),
        straight=("a1",),
    ),
    "straight-end": Group(
        "chains",
        _STRAIGHT_CHAIN,
        "r1*r3 r3*a1 r1*a2^2 a1*a2^2 r4 r4^2 r1*r4 r2*r4 r3*r4 r4*a1",
        ((0, 1, 2, 3),),
        straight=("a2",),
    ),
    "straight-chain": Group(
        "chains",
        _STRAIGHT_CHAIN,
        "r1*r3 r3*a1^2 r1*a2^2 r4 r4^2",
        ((0, 1, 2, 3), (3, 2, 1, 0)),
        straight=("a1", "a2"),
    ),
}
"""Kinds of cross terms.

- bond: anharmonic stretches;
- angle i-j-k: couplings of its two bonds and its angle;
- torsion i-j-k-l: couplings of stretches and bends with the torsion, and of one end with the other;
- angle-angle: couplings of angles with a common centre;
- torsion-torsion: couplings of two torsions with a common bond;
- straight-angle i-j-k: what "angle" is for a straight angle;
- straight-end i-j-k-l with j-k-l straight, and straight-chain with both angles straight: what "torsion" is for chains
  that have no dihedral. The distance i-l takes its place; it is smooth at 180°.

Only these last three kinds contain straight angles (see `openmm_hybrid.forcefield.straight_angles`). The range of a
straight angle is symmetric about π, so that x is 0 at 180°. Its products have even powers of x, which are smooth there.

The products are our choice."""

_ORDERS = (1, 2, 3)  # n of cos nφ and sin nφ
_POWERS = (1, 2, 3, 4)  # exponents of distances and angles
_WAVES = {
    "cos1": "cos1",
    "cos2": "2*cos1^2-1",
    "cos3": "4*cos1^3-3*cos1",
    "sin1": "sin1",
    "sin2": "2*sin1*cos1",
    "sin3": "3*sin1-4*sin1^3",
}


@final
class Cross(LinearForm):
    """E = Σ_c k_c Π_f f(q), with factors f that are powers of x or cos nφ or sin nφ.

    These are the cross terms of class II force fields (Hwang, Stockfisch, Hagler, J. Am. Chem. Soc. 116, 2515 (1994))
    and some of third order. x is a distance or angle on a scale where the sampled range is [−1, 1], saturated outside
    (see `saturate`). Every product is bounded, so that the harmonic terms dominate far outside the range.

    Parameters
    ----------
    kind : str
        A key of `GROUPS`.
    """

    slots: ClassVar[dict[str, Role]] = {"cross": "adds"}

    def __init__(self, kind: str) -> None:
        if kind not in GROUPS:
            raise InputError(f"cross terms of kind {kind!r}", expected=f"one of {', '.join(GROUPS)}")
        names = list(GROUPS[kind].coordinates)
        straight = [name for name in names if name[0] in "ra"]
        circular = [name for name in names if name[0] == "d"]
        super().__init__(2 * len(straight))
        self.kind = kind
        self.n_straight = len(straight)  # distances and angles, which precede the dihedrals
        factors = ["", *(f"{name}^{n}" for n in _POWERS for name in straight)]
        factors += [f"{wave}{n}{name}" for wave in ("cos", "sin") for n in _ORDERS for name in circular]
        picks = torch.zeros(len(_products(kind)), 3, dtype=torch.int64)
        for row, product in zip(picks, _products(kind), strict=True):
            for position, factor in enumerate(product):
                row[position] = factors.index(factor)
        # Coordinate of each factor; the factor 1 can have any, since its slope is zero.
        owner = [0, *list(range(len(straight))) * len(_POWERS)]
        owner += list(range(len(straight), len(names))) * (2 * len(_ORDERS))
        self.owners = torch.nn.Buffer(torch.tensor(owner), persistent=False)
        self.picks = torch.nn.Buffer(picks, persistent=False)

    @property
    def name(self) -> str:
        return f"cross-{self.kind}"

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"kind": self.kind}

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        return tuple(GROUPS[self.kind].coordinates.values())

    @property
    def columns(self) -> tuple[Column, ...]:
        """Ranges of the distances and angles (lower and upper end of each), then k of each product."""
        ranges = [
            column
            for number, (name, coordinate) in enumerate(GROUPS[self.kind].coordinates.items())
            for column in range_columns(coordinate.kind, number, f"_{name}")
        ]
        return (*ranges, *(Column(_identifier(product), "kcal/mol") for product in _products(self.kind)))

    def start(self, n_rows: int, seed: int = 0) -> Tensor:
        rows = super().start(n_rows)
        rows[:, 0 : self.n_fixed : 2], rows[:, 1 : self.n_fixed : 2] = -1.0, 1.0
        return rows

    def basis(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """The products. See `LinearForm.basis`."""
        values, slopes = self.factors(q, p)
        first, second, third = self.picks[:, 0], self.picks[:, 1], self.picks[:, 2]
        a, b, c = values[:, :, first], values[:, :, second], values[:, :, third]
        frames, terms, products = a.shape
        by_q = torch.zeros([frames, terms, q.shape[2], products], dtype=q.dtype, device=q.device)
        for pick, others in ((first, b * c), (second, a * c), (third, a * b)):
            owner = self.owners[pick].expand(frames, terms, 1, products)
            by_q = by_q.scatter_add(2, owner, (slopes[:, :, pick] * others).unsqueeze(2))
        return a * b * c, by_q

    def factors(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """Factors (the first is 1) and their derivatives by coordinates, both (n_frames, n_terms, n_factors)."""
        x, dx = standardise(q[:, :, : self.n_straight], p[:, 0 : self.n_fixed : 2], p[:, 1 : self.n_fixed : 2])
        phi = q[:, :, self.n_straight :]
        one = torch.ones_like(q[:, :, :1])
        cos1, sin1 = torch.cos(phi), torch.sin(phi)
        cos2, sin2 = torch.cos(2.0 * phi), torch.sin(2.0 * phi)
        cos3, sin3 = torch.cos(3.0 * phi), torch.sin(3.0 * phi)
        values = [one, x, x * x, x**3, x**4, cos1, cos2, cos3, sin1, sin2, sin3]
        slopes = [torch.zeros_like(one), dx, 2.0 * x * dx, 3.0 * x * x * dx, 4.0 * x**3 * dx]
        slopes += [-sin1, -2.0 * sin2, -3.0 * sin3, cos1, 2.0 * cos2, 3.0 * cos3]
        return torch.cat(values, dim=2), torch.cat(slopes, dim=2)

    def expression(self) -> str:
        """The energy with waves of 2φ and 3φ as polynomials in cos φ and sin φ, which OpenMM evaluates faster."""
        terms = [
            "*".join([_identifier(product), *(f"x_{factor.replace('^1', '')}" for factor in product)])
            for product in _products(self.kind)
        ]
        used = " ".join(terms)
        definitions = []
        for number, name in enumerate(GROUPS[self.kind].coordinates, 1):
            if name[0] in "ra":
                lower, upper = f"lower_{name}", f"upper_{name}"
                saturated = saturate_expression(f"q{number}", lower, upper)
                definitions.append(f"x_{name}=2*({saturated}-{lower})/({upper}-{lower})-1")
            else:
                for wave, polynomial in _WAVES.items():
                    if f"x_{wave}{name}" in used:
                        value = polynomial.replace("cos1", f"cos(q{number})").replace("sin1", f"sin(q{number})")
                        definitions.append(f"x_{wave}{name}={value}")
        return "; ".join(["+".join(terms), *definitions])


def mirrored(kind: str) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Order of the atoms and of the columns of ``Cross(kind)`` for each symmetry of a kind of group.

    A term with atoms ``atoms[order]`` and parameters ``p[columns]`` has the same energy.
    """
    group = GROUPS[kind]
    products = _products(kind)
    names = [column.name for column in Cross(kind).columns]
    found = []
    for order in group.symmetries:
        # Names of the reordered group's coordinates by their names in the original group.
        renamed = {}
        for name, coordinate in group.coordinates.items():
            indices = tuple(order.index(index) for index in coordinate.indices)
            renamed[name] = next(
                other
                for other, candidate in group.coordinates.items()
                if candidate.kind == coordinate.kind and candidate.indices in (indices, indices[::-1])
            )
        sources = {_rename(name, renamed): name for name in names[: len(names) - len(products)]}
        sources |= {
            _identifier(tuple(sorted(_rename(factor, renamed) for factor in product))): _identifier(product)
            for product in products
        }
        found.append((order, tuple(names.index(sources[name]) for name in names)))
    return found


def _products(kind: str) -> list[tuple[str, ...]]:
    """Products of a kind, each as a sorted tuple of factors with explicit powers ("r1^1")."""
    return [
        tuple(sorted(factor if "^" in factor or factor[0] in "cs" else f"{factor}^1" for factor in product.split("*")))
        for product in GROUPS[kind].products.split()
    ]


def _identifier(product: tuple[str, ...]) -> str:
    return "k_" + "_".join(factor.replace("^1", "").replace("^", "p") for factor in product)


def _rename(factor: str, renamed: Mapping[str, str]) -> str:
    for name, other in renamed.items():
        if name in factor:
            return factor.replace(name, other)
    return factor


__all__ = ["GROUPS", "Cross", "Group", "mirrored"]
