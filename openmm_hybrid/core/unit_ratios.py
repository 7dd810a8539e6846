"""Units that explain by which factor labels are off."""

from __future__ import annotations

import math
from collections.abc import Mapping

from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, ENERGY_UNITS, KCAL_PER_EV, KCAL_PER_HARTREE, NM_PER_ANGSTROM

OFF = 1.5
"""Factor from which on labels are looked at; the smallest ratio of two units is 1.9."""

IMPOSSIBLE = 8.0
"""Factor from which on no force field explains that labels are off."""

_NAMED = 1.3  # largest factor between a ratio and the ratio of units that explains it

_RARE = 0.1  # added to the logarithmic distance of a conversion with two units, which is rarer

#: Unit of energies → its size in kcal/mol.
ENERGIES = {"eV": KCAL_PER_EV, "kJ/mol": ENERGY_UNITS["kj/mol"], "hartree": KCAL_PER_HARTREE}

#: Unit of forces → its size in kcal/mol/Å.
FORCES = {
    "eV/Å": KCAL_PER_EV,
    "kJ/mol/Å": ENERGY_UNITS["kj/mol"],
    "hartree/bohr": KCAL_PER_HARTREE / ANGSTROM_PER_BOHR,
    "kcal/mol/bohr": 1.0 / ANGSTROM_PER_BOHR,
    "hartree/Å": KCAL_PER_HARTREE,
    "kJ/mol/nm": ENERGY_UNITS["kj/mol"] * NM_PER_ANGSTROM,
    "kcal/mol/nm": NM_PER_ANGSTROM,
    "eV/bohr": KCAL_PER_EV / ANGSTROM_PER_BOHR,
}

#: Unit → unit that it may have been taken for in a conversion.
_CONFUSED = {"hartree/bohr": "eV/Å", "hartree/Å": "eV/Å", "hartree": "eV"}


def is_off(ratio: float) -> bool:
    """Whether a ratio of labels to a force field's values is too far from 1; False for NaN."""
    return ratio > OFF or ratio < 1.0 / OFF


def is_impossible(ratio: float) -> bool:
    """Whether no force field can explain a ratio; False for NaN."""
    return ratio > IMPOSSIBLE or ratio < 1.0 / IMPOSSIBLE


def explained(ratio: float, units: Mapping[str, float]) -> str:
    """The conversions that explain by which factor labels are off, with the remedy; empty if none does.

    Parameters
    ----------
    ratio : float
        Labels relative to the expected values.
    units : mapping
        `ENERGIES` or `FORCES`.
    """
    causes: dict[str, tuple[float, float]] = {}
    for name, size in units.items():
        load = f", or load the file with e_unit={name!r}" if name in ENERGIES else ""
        causes[f"they look like {name}, so multiply them by {size:.5g}{load}"] = (1.0 / size, 0.0)
        causes[f"they look converted from {name} twice, so divide them by {size:.5g}"] = (size, 0.0)
    for name, other in _CONFUSED.items():
        if name in units and other in units:
            factor = units[name] / units[other]
            texts = (f"{name} converted as if {other}, so multiply", f"{other} converted as if {name}, so divide")
            causes[f"they look like {texts[0]} them by {factor:.4g}"] = (1.0 / factor, _RARE)
            causes[f"they look like {texts[1]} them by {factor:.4g}"] = (factor, _RARE)
    distances = {text: abs(math.log(ratio / value)) + penalty for text, (value, penalty) in causes.items()}
    near = sorted((text for text in causes if distances[text] < math.log(_NAMED)), key=distances.__getitem__)
    return ", or ".join(near[:2])
