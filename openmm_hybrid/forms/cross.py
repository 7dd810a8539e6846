"""Cross terms: products of internal coordinates of a few bonded atoms, linear in their parameters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import ClassVar, final

import torch
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forms.form import DIHEDRAL, Column, Coordinate, LinearForm, Role
from openmm_hybrid.forms.saturate import range_columns


@dataclass(frozen=True)
class Group:
    """A kind of cross terms: its atoms and products.

    The coordinates are distances between any two atoms, with names such as r13 for the first and third atom, and the
    dihedral of a chain of four atoms.

    Parameters
    ----------
    path : str
        Atoms that have such a term: a key of `openmm_hybrid.forcefield.paths.PATHS`.
    products : str
        Products separated by blanks, with factors joined by "*": "r12*r13^2", "r13*r24*cos1". cos1, cos2 and cos3 are
        cos nφ of the dihedral. One product stands for all that the symmetries make of it.
    symmetries : tuple of tuple of int
        Orders of the atoms that give a group of the same kind, such as a chain read backwards.
    straight : bool
        Whether the kind is for the chains through a straight angle, which have no dihedral.
    """

    path: str
    products: str
    symmetries: tuple[tuple[int, ...], ...]
    straight: bool = False


_CHAIN = (
    "r14 r14^2 r14^3 r14^4 r12*r14 r12*r14^2 r12*r14^3 r23*r14 r23*r14^3 r13*r14 r13*r14^2 r13*r14^3 "
    "r12*r34*r14 r12*r34*r14^2 r12*r13*r14 r12*r24*r14 r12*r23*r14^2 r23*r13*r14 r23*r13*r14^2 r13*r24*r14 "
    "r13*r24*r14^2 r12^2*r14 r23^2*r14 r13^2*r14 r13^2*r14^2 "
    "r12*r34 r12*r24 r13*r24 r12^2*r24 r13^2*r24 r12*r23*r24 r12*r13*r24 r23*r13*r24"
)
_DIHEDRAL = (
    "r12*cos1 r12*cos2 r12*cos3 r23*cos1 r23*cos2 r13*cos1 r13*cos2 r13*cos3 r12*r34*cos2 r12*r13*cos1 "
    "r12*r24*cos1 r12*r24*cos2 r12*r24*cos3 r23*r13*cos1 r23*r13*cos2 r13*r24*cos1 r13*r24*cos2 r13*r24*cos3"
)

GROUPS: dict[str, Group] = {
    "angle": Group(
        "angles",
        "r13 r13^2 r13^3 r13^4 r12*r23 r12*r13 r12^2*r23 r12^2*r13 r12*r23*r13 r12*r13^2",
        ((0, 1, 2), (2, 1, 0)),
    ),
    "angle-angle": Group(
        "stars",
        "r12*r34 r23*r24 r12^2*r34 r12*r34^2 r23^2*r24 r12*r13*r14 r12*r13*r24 r12*r23*r24 r12*r23*r34 r23*r24*r34",
        ((0, 1, 2, 3), (0, 1, 3, 2), (0, 2, 1, 3), (0, 2, 3, 1), (0, 3, 1, 2), (0, 3, 2, 1)),
    ),
    "torsion": Group("chains", f"{_CHAIN} {_DIHEDRAL}", ((0, 1, 2, 3), (3, 2, 1, 0))),
    "straight-chain": Group("chains", _CHAIN, ((0, 1, 2, 3), (3, 2, 1, 0)), straight=True),
    "torsion-torsion": Group(
        "pentads",
        "r15 r15^2 r15^3 r12*r15 r12*r15^2 r13*r15 r13*r15^2 r14*r15 r14*r15^2 "
        "r14*r25 r14^2*r25 r14^2*r25^2 r12*r14*r25 r13*r14*r25 r12*r25 r12*r25^2 r13*r25 r13*r25^2 "
        "r12*r45 r12*r35 r13*r35 r12*r35*r14 r12*r35*r25 r13*r35*r14",
        ((0, 1, 2, 3, 4), (4, 3, 2, 1, 0)),
    ),
}
"""Kinds of cross terms.

- angle i-j-k: couplings of its two bonds and the distance i-k;
- angle-angle: couplings of bonds and 1-3 distances around a common centre;
- torsion i-j-k-l: couplings of the bonds, the 1-3 distances, the distance i-l and the dihedral;
- straight-chain i-j-k-l: the same without a dihedral, for chains through a straight angle (see
  `openmm_hybrid.forcefield.straight_angles`), since distances are smooth at 180°;
- torsion-torsion i-j-k-l-m: couplings of both torsions and both ends by distances.

The products are our choice; docs/decisions.md describes how we found them."""

_POWERS = (1, 2, 3, 4)  # exponents of distances
_FADING = 1.0 / (3.0 * 4.0**4)  # 1/(3 w⁴) of w = 4
_REACH = 3.0  # largest |x|
_WAVES = {"cos1": "c", "cos2": "2*c^2-1", "cos3": "4*c^3-3*c"}
"""cos nφ as polynomials in c = cos φ, which OpenMM evaluates faster."""


@final
class Cross(LinearForm):
    """E = Σ_c k_c Π_f f(q), with factors f that are powers of x or cos nφ.

    These are the cross terms of class II force fields (Hwang, Stockfisch, Hagler, J. Am. Chem. Soc. 116, 2515 (1994)),
    with distances in place of angles, and to third and fourth order. On a scale z where its sampled range is [−1, 1], a
    distance enters as x = z/(1 + z⁴/(3w⁴)) with w = 4. Beyond the range, x grows more slowly and fades from |z| = w on,
    so that the products are bounded and the classical terms alone are left far outside.

    Parameters
    ----------
    kind : str
        A key of `GROUPS`.
    """

    slots: ClassVar[dict[str, Role]] = {"cross": "adds"}

    def __init__(self, kind: str) -> None:
        if kind not in GROUPS:
            raise InputError(
                f"cross terms of kind {kind!r}",
                expected=f"one of {', '.join(GROUPS)}",
                hint="other kinds are of earlier versions: make the force field again with ForceField.edit and oh.fit",
            )
        distances = [name for name in _coordinates(kind) if name != "phi"]
        super().__init__(2 * len(distances))
        self.kind = kind
        self.fading = _FADING
        self.n_distances = len(distances)
        factors = ["", *(f"{name}^{n}" for n in _POWERS for name in distances), *_WAVES]
        picks = torch.zeros(len(_products(kind)), 3, dtype=torch.int64)
        for row, product in zip(picks, _products(kind), strict=True):
            for position, factor in enumerate(product):
                row[position] = factors.index(factor)
        # Coordinate of each factor; the factor 1 can have any, since its slope is zero.
        owner = [0, *list(range(len(distances))) * len(_POWERS)]
        owner += list(range(len(distances), len(_coordinates(kind)))) * len(_WAVES)
        self.owners = torch.nn.Buffer(torch.tensor(owner), persistent=False)
        self.picks = torch.nn.Buffer(picks, persistent=False)

    @property
    def name(self) -> str:
        return f"cross-{self.kind}"

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"kind": self.kind}

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        return tuple(_coordinates(self.kind).values())

    @property
    def products(self) -> tuple[tuple[str, ...], ...]:
        """Factors of each product."""
        return _products(self.kind)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Ranges of the distances (lower and upper end of each), then k of each product."""
        ranges = [
            column
            for number, (name, coordinate) in enumerate(_coordinates(self.kind).items())
            for column in range_columns(coordinate.kind, number, f"_{name}")
        ]
        products = (Column(_identifier(p), "kcal/mol", reach=_reach(p)) for p in _products(self.kind))
        return (*ranges, *products)

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
        lower, upper = p[:, 0 : self.n_fixed : 2], p[:, 1 : self.n_fixed : 2]
        per = 2.0 / (upper - lower)
        z = per * (q[:, :, : self.n_distances] - 0.5 * (lower + upper))
        fading = self.fading * z**4
        x, dx = z / (1.0 + fading), per * (1.0 - 3.0 * fading) / (1.0 + fading) ** 2
        phi = q[:, :, self.n_distances :]
        one = torch.ones_like(q[:, :, :1])
        values = [one, x, x * x, x**3, x**4, torch.cos(phi), torch.cos(2.0 * phi), torch.cos(3.0 * phi)]
        slopes = [torch.zeros_like(one), dx, 2.0 * x * dx, 3.0 * x * x * dx, 4.0 * x**3 * dx]
        slopes += [-torch.sin(phi), -2.0 * torch.sin(2.0 * phi), -3.0 * torch.sin(3.0 * phi)]
        return torch.cat(values, dim=2), torch.cat(slopes, dim=2)

    def expression(self) -> str:
        """The energy as nested sums, Σ x (… + x (…)), which OpenMM evaluates faster than a sum of products.

        OpenMM differentiates it when it makes a context and copies its parts on each level: a short and flat expression
        saves seconds there.
        """
        sums = _nested([(_identifier(product), [x for f in product for x in _letters(f)]) for product in self.products])
        definitions = []
        for number, name in enumerate(_coordinates(self.kind), 1):
            if name == "phi":
                definitions += [f"{wave}={polynomial}" for wave, polynomial in _WAVES.items()] + [f"c=cos(q{number})"]
            else:
                definitions += [
                    f"x_{name}=z_{name}*recip(1+{self.fading!r}*z_{name}^4)",
                    f"z_{name}=(q{number}-middle_{name})*per_{name}",
                ]
        return "; ".join([sums, *definitions])

    def expression_parameters(self, p: Tensor) -> dict[str, Tensor]:
        """Middle and inverse half-width of each range in place of its ends, so that OpenMM need not divide."""
        found = {}
        for lower, upper, number in self.ranges:
            name = list(_coordinates(self.kind))[number]
            found[f"middle_{name}"] = 0.5 * (p[:, lower] + p[:, upper])
            found[f"per_{name}"] = 2.0 / (p[:, upper] - p[:, lower])
        return found | {_identifier(product): p[:, self.n_fixed + k] for k, product in enumerate(self.products)}


def mirrored(kind: str) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Order of the atoms and of the columns of ``Cross(kind)`` for each symmetry of a kind of group.

    A term with atoms ``atoms[order]`` and parameters ``p[columns]`` has the same energy.
    """
    products = _products(kind)
    names = [column.name for column in Cross(kind).columns]
    found = []
    for order in GROUPS[kind].symmetries:
        back = tuple(order.index(atom) for atom in range(len(order)))
        sources = {_moved(name, back): name for name in names[: len(names) - len(products)]}
        sources |= {_identifier(_moved_product(product, back)): _identifier(product) for product in products}
        found.append((order, tuple(names.index(sources[name]) for name in names)))
    return found


@cache
def _coordinates(kind: str) -> dict[str, Coordinate]:
    """Coordinates of the products by name: the distances, then the dihedral "phi" if there is one."""
    factors = {factor.partition("^")[0] for product in _products(kind) for factor in product}
    n_atoms = len(GROUPS[kind].symmetries[0])
    pairs = {f"r{i + 1}{j + 1}": Coordinate("distance", (i, j)) for i, j in combinations(range(n_atoms), 2)}
    found = {name: pair for name, pair in pairs.items() if name in factors}
    return found | ({"phi": DIHEDRAL} if factors & set(_WAVES) else {})


@cache
def _products(kind: str) -> tuple[tuple[str, ...], ...]:
    """All products of a kind, each as a sorted tuple of factors with explicit powers ("r12^1")."""
    group = GROUPS[kind]
    found: dict[tuple[str, ...], None] = {}
    for text in group.products.split():
        product = tuple(factor if "^" in factor or factor in _WAVES else f"{factor}^1" for factor in text.split("*"))
        found |= dict.fromkeys(_moved_product(product, order) for order in group.symmetries)
    return tuple(found)


def _nested(terms: list[tuple[str, list[str]]]) -> str:
    """Σ k Π x as nested sums. The factor that most terms have comes first: x*(k1+y*(k2))+…."""
    parts = []
    while terms:
        counts = Counter(factor for _, factors in terms for factor in dict.fromkeys(factors))  # in order
        if not counts or max(counts.values()) == 1:
            parts += ["*".join([k, *factors]) for k, factors in terms]
            break
        common, _ = counts.most_common(1)[0]
        parts.append(
            f"{common}*{_nested([(k, _without(common, factors)) for k, factors in terms if common in factors])}"
        )
        terms = [(k, factors) for k, factors in terms if common not in factors]
    return _balanced(parts)


def _balanced(parts: list[str]) -> str:
    """A sum whose parentheses make a balanced tree, which is flatter than the chain a + b + c + d."""
    half = len(parts) // 2
    return f"({_balanced(parts[:half])}+{_balanced(parts[half:])})" if half else parts[0]


def _without(factor: str, factors: list[str]) -> list[str]:
    index = factors.index(factor)
    return factors[:index] + factors[index + 1 :]


def _letters(factor: str) -> list[str]:
    """Names of a factor in the expression, repeated for powers: x_r12, x_r12 for "r12^2"."""
    name, _, power = factor.partition("^")
    return [f"x_{name}"] * int(power) if power else [name]


def _moved_product(product: tuple[str, ...], order: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(sorted(_moved(factor, order) for factor in product))


def _moved(name: str, order: tuple[int, ...]) -> str:
    """A factor or column with the atoms of its distance replaced: atom k by ``order[k]``; waves stay."""
    before, letter, after = name.rpartition("r")
    if not letter or not after[:2].isdigit():
        return name
    first, last = sorted(order[int(digit) - 1] + 1 for digit in after[:2])
    return f"{before}r{first}{last}{after[2:]}"


def _reach(product: tuple[str, ...]) -> float:
    """How much more a product of third or fourth order grows than one of second, from the sampled range to |x| = 3."""
    degree = sum(int(factor.partition("^")[2] or 1) for factor in product)
    return _REACH ** max(0, degree - 2)


def _identifier(product: tuple[str, ...]) -> str:
    return "k_" + "_".join(factor.replace("^1", "").replace("^", "p") for factor in product)


__all__ = ["GROUPS", "Cross", "Group", "mirrored"]
