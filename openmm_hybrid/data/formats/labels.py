"""Names that programs give to energies and forces, in the keys of a file or in the comment line of an xyz file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

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
