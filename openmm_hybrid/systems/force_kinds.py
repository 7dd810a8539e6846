"""OpenMM's bonded forces as lists of terms, and a force field's classical terms in the same lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_hybrid.core.units import ANGSTROM_PER_NM, KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.terms import Terms
from openmm_hybrid.forms.form import FunctionalForm

MORSE = "D*(1-exp(-a*(r-r0)))^2"
"""The expression of Morse bonds: `ForceField.from_system` reads it back."""

Row = tuple[tuple[int, ...], tuple]
"""Particles of a term and what OpenMM's add… takes after them, in its units."""

_TINY = 1e-12  # kcal/mol, below which a torsion's amplitude or constant is left out


@dataclass(frozen=True)
class Kind:
    """One kind of bonded force.

    Parameters
    ----------
    force : type
    noun : str
        What it calls its terms: "Bond", "Angle", "Torsion".
    width : int
        Particles of a term.
    """

    force: type
    noun: str
    width: int

    def rows(self, force: openmm.Force) -> list[Row]:
        """Every term of a force of this kind."""
        get = getattr(force, f"get{self.noun}Parameters")
        found = []
        for index in range(getattr(force, f"getNum{self.noun}s")()):
            items = [item._value if unit.is_quantity(item) else item for item in get(index)]
            found.append((tuple(items[: self.width]), tuple(items[self.width :])))
        return found

    def fill(self, force: openmm.Force, rows: Iterable[Row]) -> openmm.Force:
        """The force, with terms added."""
        add = getattr(force, f"add{self.noun}")
        for particles, values in rows:
            add(*particles, *values)
        return force


BONDS = Kind(openmm.HarmonicBondForce, "Bond", 2)
ANGLES = Kind(openmm.HarmonicAngleForce, "Angle", 3)
TORSIONS = Kind(openmm.PeriodicTorsionForce, "Torsion", 4)
MORSES = Kind(openmm.CustomBondForce, "Bond", 2)
KINDS = (BONDS, MORSES, ANGLES, TORSIONS)


def is_classical(form: FunctionalForm) -> bool:
    """Whether one of OpenMM's forces above has this form."""
    return form.name in ("harmonic", "morse") or form.name.startswith("fourier")


def new_force(kind: Kind) -> openmm.Force:
    """An empty force; of Morse bonds for `MORSES`."""
    if kind is not MORSES:
        return kind.force()
    force = openmm.CustomBondForce(MORSE)
    for name in ("D", "a", "r0"):
        force.addPerBondParameter(name)
    return force


def classical_rows(
    forcefield: ForceField, copies: NDArray[np.int64], *, mark_all: bool = False
) -> dict[Kind, list[Row]]:
    """Terms of a force field's classical groups on copies (n_copies, n_atoms) of its molecule, by kind of force.

    Bonds without a harmonic term get one with k = 0 where some group stretches bonds, and with `mark_all` always:
    OpenMM finds molecules by its bond forces and constraints alone, and keeps whole what it finds.
    """
    rows: dict[Kind, list[tuple]] = {kind: [] for kind in KINDS}
    rest = 0.0  # constant that the torsions lack
    for terms in forcefield.terms:
        values = forcefield.parameters.values[terms.assignment].tolist()
        atoms = terms.atoms.tolist()
        if terms.form.name == "harmonic" and terms.form.n_atoms == 2:
            rows[BONDS] += [
                (i, (r0 * NM_PER_ANGSTROM, k * _PER_AREA)) for i, (k, r0) in zip(atoms, values, strict=True)
            ]
        elif terms.form.name == "harmonic":
            rows[ANGLES] += [(i, (theta0, k * KJ_PER_KCAL)) for i, (k, theta0) in zip(atoms, values, strict=True)]
        elif terms.form.name == "morse":
            rows[MORSES] += [
                (i, ((depth * KJ_PER_KCAL, a * ANGSTROM_PER_NM, r0 * NM_PER_ANGSTROM),))
                for i, (depth, a, r0) in zip(atoms, values, strict=True)
            ]
        elif is_classical(terms.form):
            cosines, missing = _cosines(terms, values)
            rows[TORSIONS] += cosines
            rest += missing
    if abs(rest) > _TINY:  # k(1 + cos φ) + k(1 − cos φ) = 2k
        where = next(terms.atoms[0] for terms in forcefield.terms if terms.form.name.startswith("fourier")).tolist()
        rows[TORSIONS] += [(where, (1, phase, 0.5 * rest * KJ_PER_KCAL)) for phase in (0.0, np.pi)]
    if mark_all or any(_stretches(terms) for terms in forcefield.terms):
        rows[BONDS] += [(pair, (0.1, 0.0)) for pair in _unmarked_bonds(forcefield)]
    return {
        kind: [(tuple(copy[list(atoms)].tolist()), values) for copy in copies for atoms, values in found]
        for kind, found in rows.items()
    }


def _stretches(terms: Terms) -> bool:
    return is_classical(terms.form) and terms.form.n_atoms == 2


def _unmarked_bonds(forcefield: ForceField) -> list[tuple[int, ...]]:
    """Bonds of the molecule without a harmonic term."""
    harmonic = {
        tuple(sorted(pair))
        for terms in forcefield.terms
        if _stretches(terms) and terms.form.name == "harmonic"
        for pair in terms.atoms.tolist()
    }
    return [pair for pair in map(tuple, np.sort(forcefield.bonds, axis=1).tolist()) if pair not in harmonic]


_PER_AREA = KJ_PER_KCAL * ANGSTROM_PER_NM**2


def _cosines(terms: Terms, values: Sequence[Sequence[float]]) -> tuple[list[tuple], float]:
    """Terms k (1 + cos(nφ − δ)) with k > 0 of Fourier series, and the constant by which they fall short of c₀."""
    order = next(k for k in range(12, 0, -1) if any(column.name == f"c{k}" for column in terms.form.columns))
    found, rest = [], 0.0
    for atoms, row in zip(terms.atoms.tolist(), values, strict=True):
        rest += row[0]
        cosines = row[1 : 1 + order]
        sines = row[1 + order :] or [0.0] * order
        for n, (c, s) in enumerate(zip(cosines, sines, strict=True), 1):
            k = float(np.hypot(c, s))
            if k > _TINY:
                phase = float(np.arctan2(s, c)) if s else (0.0 if c > 0.0 else float(np.pi))
                found.append((atoms, (n, phase, k * KJ_PER_KCAL)))
                rest -= k
    return found, rest
