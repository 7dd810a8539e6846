"""Published numbers of molecules, beside those of the models of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, final

from openmm_hybrid.analysis import SurfaceProfile
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.studies.study import StudyResult
from openmm_hybrid.studies.surfaces_result import ModelSurface, Surfaces

Kind = Literal["gauche above trans", "trans to gauche", "lowest barrier"]


@final
@dataclass(frozen=True)
class PublishedNumber:
    """A published energy of a molecule's surface.

    Parameters
    ----------
    smiles : str
        Canonical SMILES of the molecule.
    key : str
        Name of the figure.
    quantity : str
        Name for readers.
    kind : str
        "gauche above trans": of the lowest minima on both sides of 120° of one dihedral, negative if gauche is lower.
        "trans to gauche": the barrier between them, above the trans minimum. "lowest barrier": along one dihedral,
        above the lowest minimum.
    ends : frozenset of str
        Elements at the two ends of the dihedral.
    published : str
        The number with its error.
    source : str
    """

    smiles: str
    key: str
    quantity: str
    kind: Kind
    ends: frozenset[str]
    published: str
    source: str


_GAUCHE = 120.0  # degrees, below which a dihedral is gauche
_TOP = (90.0, 150.0)  # degrees, between which the barrier from trans to gauche lies

NUMBERS = (
    PublishedNumber(
        "CCO", "gauche", "gauche above trans", "gauche above trans", frozenset({"C", "H"}), "0.108",
        "Nandi et al., J. Chem. Theory Comput. 18, 5527 (2022): Δ-machine learning at the level of CCSD(T)",
    ),
    PublishedNumber(
        "CCO", "barrier", "barrier from trans to gauche", "trans to gauche", frozenset({"C", "H"}), "1.17",
        "Kakar and Quade, J. Chem. Phys. 72, 4300 (1980): experiment",
    ),
    PublishedNumber(
        "CCO", "methyl", "barrier of the methyl group", "lowest barrier", frozenset({"H", "O"}), "3.3",
        "Kakar and Quade, J. Chem. Phys. 72, 4300 (1980): experiment",
    ),
)  # fmt: skip
"""Energies in kcal/mol."""


@final
@dataclass(frozen=True)
class BesidePublished:
    """A published number and those of the models.

    Parameters
    ----------
    key, quantity, unit, published, source : str
    values : dict of str to float
        Label of the model → its number; NaN where the model has none.
    """

    key: str
    quantity: str
    unit: str
    published: str
    source: str
    values: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """All fields, for JSON; unknown numbers are null."""
        known = {label: value if value == value else None for label, value in self.values.items()}
        return asdict(self) | {"values": known}


def beside_published(
    molecule: Molecule, results: Mapping[str, StudyResult], labels: Sequence[str]
) -> list[BesidePublished]:
    """Published numbers of a molecule beside those of the models in a study of surfaces; none without one.

    Parameters
    ----------
    molecule : Molecule
    results : mapping of str to StudyResult
        Name of the study → result.
    labels : sequence of str
        Labels of the models, in the order of the values.
    """
    found = results.get("surfaces")
    if not isinstance(found, Surfaces):
        return []
    surfaces = {surface.name: surface for surface in found.surfaces}
    rows = []
    for number in NUMBERS:
        if number.smiles == molecule.smiles:
            values = {label: _value(number, found, surfaces[label]) for label in labels if label in surfaces}
            rows.append(
                BesidePublished(number.key, number.quantity, "kcal/mol", number.published, number.source, values)
            )
    return rows


def _value(number: PublishedNumber, result: Surfaces, surface: ModelSurface) -> float:
    for axis, (name, profile) in enumerate(zip(result.dihedrals, surface.profiles, strict=True)):
        if _ends(name) == number.ends:
            if number.kind == "lowest barrier":
                return _lowest(profile)
            return _from_trans(profile) if number.kind == "trans to gauche" else _gauche_above_trans(surface, axis)
    return float("nan")


def _gauche_above_trans(surface: ModelSurface, axis: int) -> float:
    """Energy of the lowest gauche minimum above the lowest trans one; NaN without both."""
    lowest = {True: float("nan"), False: float("nan")}
    for minimum in reversed(surface.minima):
        lowest[abs(minimum.angles[axis]) < _GAUCHE] = minimum.energy
    return lowest[True] - lowest[False]


def _from_trans(profile: SurfaceProfile) -> float:
    """Energy of the lowest barrier between trans and gauche above the trans minimum; NaN without both."""
    trans = [energy for angle, energy in profile.minima if abs(angle) > _TOP[1]]
    tops = [energy for angle, energy in profile.barriers if _TOP[0] < abs(angle) < _TOP[1]]
    return min(tops) - min(trans) if trans and tops else float("nan")


def _lowest(profile: SurfaceProfile) -> float:
    return min((energy for _, energy in profile.barriers), default=float("nan"))


def _ends(name: str) -> frozenset[str]:
    """Elements at the ends of a dihedral with a name such as "C0–C1–O2–H8"."""
    atoms = name.split("–")
    return frozenset(atom.rstrip("0123456789") for atom in (atoms[0], atoms[-1]))
