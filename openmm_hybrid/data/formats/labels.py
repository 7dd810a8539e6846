"""Names that programs give to energies and forces, in the keys of a file or in the comment line of an xyz file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from openmm_hybrid.core.units import ENERGY_UNITS

ENERGIES = (
    *("e", "energy", "energies", "total_energy", "potential_energy"),
    *("ref_energy", "ref_energies", "dft_energy", "dft_energies", "dft_total_energy"),
)
"""Names of energies, in lower case."""

FORCES = ("f", "forces", "force", "atomic_forces", "ref_forces", "ref_force", "dft_forces", "dft_force")
"""Names of forces, in lower case."""

GRADIENTS = ("gradient", "gradients", "grad", "ref_gradient", "dft_gradient", "dft_total_gradient")
"""Names of gradients (minus the forces), in lower case."""

NAMES: dict[str, tuple[str, ...]] = {
    "z": ("z", "nuclear_charges", "atomic_numbers", "numbers", "species", "elements", "symbols"),
    "R": ("r", "coords", "positions", "coordinates", "geometries", "conformations", "xyz"),
    "E": ENERGIES,
    "F": (*FORCES, *GRADIENTS),
}
"""Key of sGDML's layout → its names in lower case, itself among them."""

KEYS = frozenset(name for names in NAMES.values() for name in names)
"""All names of arrays, in lower case."""

PAIR = re.compile(r'([^\s=]+)\s*=\s*("(?:[^"\\]|\\.)*"|\S+)')
"""A key and its value in a comment line of extended XYZ."""

_NUMBER = r"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eEdD]))(?:[eEdD][-+]?\d+)?"
_BARE = re.compile(rf"\s*({_NUMBER}|-\d+)(?:\s+{_NUMBER})*\s*(?:!.*)?$")
_NAMED = re.compile(rf"(?:^|\s)(?:\w+\s+)?(?:energy\s*[:=]?|E\s*[:=]?)\s*({_NUMBER})(?:\s+([\w./]+))?", re.IGNORECASE)
_GAUSSIAN = re.compile(rf"\bE\(\w+\)\s*=\s*({_NUMBER})")
_QUANTITY = re.compile(rf"{_NUMBER}\s*(hartree|Eh|eV|a\.u\.|kcal/mol|kJ/mol)\b", re.IGNORECASE)
_ATOMIC_UNITS = ("eh", "a.u.", "au")
_HINT = 'give e_unit, such as e_unit="hartree" for CREST and xtb, "eV" for ASE, "kcal/mol" for MD17'


@dataclass(frozen=True)
class CommentEnergy:
    """The energy in the comment line of an xyz file without key=value pairs.

    Parameters
    ----------
    value : str
        A number.
    e_unit : str
        Unit that the line or its program determines; empty if it does not.
    bare : bool
        True if the line holds nothing but numbers.
    hint : str
        What to do where the unit is unknown.
    """

    value: str
    e_unit: str = ""
    bare: bool = False
    hint: str = _HINT


def comment_energy(comment: str) -> CommentEnergy | None:
    """The energy in a comment line, as CREST, MD17, xtb, ORCA, Gaussian and others write it; None if there is none.

    A whole number alone, such as the number of the frame, is not an energy.
    """
    gaussian = _GAUSSIAN.search(comment)
    if gaussian:
        return CommentEnergy(gaussian[1], "hartree")
    bare = _BARE.match(comment)
    if bare:
        return CommentEnergy(bare[1], bare=True)
    named = _NAMED.search(comment)
    if not named:
        return None
    unit = (named[2] or "").lower()
    if unit in _ATOMIC_UNITS or "gnorm:" in comment or "xtb:" in comment or "ORCA" in comment:
        unit = "hartree"
    return CommentEnergy(named[1], unit if unit in ENERGY_UNITS else "")


def unread_quantity(comment: str) -> tuple[str, ...]:
    """A number with a unit of energy in a comment line without a known name, for `warn_unread`."""
    found = _QUANTITY.search(comment)
    return (f"energy {found[0]}",) if found else ()


def warn_unread(path: Path, names: Iterable[str], *, energies: bool, forces: bool) -> None:
    """Warn of keys that look like labels but are not read, where the file has no energies or no forces."""
    missing = [word for word, there in (("energ", energies), ("forc", forces), ("grad", forces)) if not there]
    unread = [name for name in names if any(word in name.lower() for word in missing)]
    if unread:
        warnings.warn(
            f"{path}: {', '.join(map(repr, sorted(unread)[:6]))} look like labels but are not read; "
            "rename them to energy and forces if they are",
            stacklevel=2,
        )
