"""Writing a force field of classical forms as an OpenMM residue template."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from openmm import app, unit

from openmm_hybrid.core.ffxml import HarmonicTerm, MorseTerm, ResidueTemplate, TorsionTerm, to_xml
from openmm_hybrid.core.files import fingerprint, replacing
from openmm_hybrid.core.units import ANGSTROM_PER_NM, KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.forcefield.classical_terms import Atoms, Classical, Cosine, classical
from openmm_hybrid.forcefield.tables import Tables
from openmm_hybrid.forms.morse import Morse

_PER_AREA = KJ_PER_KCAL * ANGSTROM_PER_NM**2
_TINY = 1e-12  # kcal/mol, below which a constant is rounding


def write_ffxml(forcefield: Tables, path: str | Path) -> None:
    """See `ForceField.to_ffxml`."""
    tables = classical(forcefield)
    morse_energy = re.sub(r"\bq1\b", "r", Morse().expression())
    text = to_xml([_template(forcefield, tables)], 1.0 / tables.scee, 1.0 / tables.scnb, morse_energy=morse_energy)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _template(forcefield: Tables, tables: Classical) -> ResidueTemplate:
    elements = [app.Element.getByAtomicNumber(int(number)) for number in forcefield.atomic_numbers]
    propers, impropers = _with_constant(tables)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", forcefield.name)
    return ResidueTemplate(
        name=f"{plain}-{_fingerprint(forcefield)}",
        comment=f"{forcefield.name}: {' '.join(forcefield.types)}",
        elements=tuple(element.symbol for element in elements),
        atom_names=tuple(f"{element.symbol}{number}" for number, element in enumerate(elements, 1)),
        graph=forcefield.bonds,
        charges=tables.charges,
        masses=np.array([element.mass.value_in_unit(unit.dalton) for element in elements]),
        sigmas=tables.sigmas * NM_PER_ANGSTROM,
        epsilons=tables.epsilons * KJ_PER_KCAL,
        bonds=tuple(HarmonicTerm(at, r0 * NM_PER_ANGSTROM, k * _PER_AREA) for at, (k, r0) in tables.bonds.items()),
        angles=tuple(HarmonicTerm(at, theta0, k * KJ_PER_KCAL) for at, (k, theta0) in tables.angles.items()),
        propers=_torsions(propers),
        impropers=_torsions(impropers),
        morse=tuple(
            MorseTerm(at, depth * KJ_PER_KCAL, a * ANGSTROM_PER_NM, r0 * NM_PER_ANGSTROM)
            for at, (depth, a, r0) in tables.morse.items()
        ),
    )


def _torsions(series: dict[Atoms, tuple[Cosine, ...]]) -> tuple[TorsionTerm, ...]:
    return tuple(
        TorsionTerm(atoms, cosine.n, cosine.phase, cosine.k * KJ_PER_KCAL)
        for atoms, cosines in series.items()
        for cosine in cosines
    )


def _with_constant(tables: Classical) -> tuple[dict[Atoms, tuple[Cosine, ...]], dict[Atoms, tuple[Cosine, ...]]]:
    """Propers and impropers, with the constant C in one proper as C/2 (1 + cos φ) + C/2 (1 − cos φ).

    Without propers all impropers hold equal parts of it, as those of one centre must stay equal.
    """
    propers, impropers = dict(tables.propers), dict(tables.impropers)
    holder = propers or impropers
    if holder and abs(tables.constant) > _TINY:
        holders = [next(iter(propers))] if propers else list(impropers)
        half = 0.5 * tables.constant / len(holders)
        for atoms in holders:
            holder[atoms] += (Cosine(1, 0.0, half), Cosine(1, np.pi, half))
    return propers, impropers


def _fingerprint(forcefield: Tables) -> str:
    """Ten hexadecimal digits of the hash of atoms, bonds and parameters."""
    return fingerprint(forcefield.atomic_numbers, forcefield.bonds, forcefield.parameters.values)[:10]
