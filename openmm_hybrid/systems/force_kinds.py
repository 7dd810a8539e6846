"""OpenMM's bonded forces as lists of terms, and a force field's classical terms in the same lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import openmm
import torch
from numpy.typing import NDArray
from openmm import unit

from openmm_hybrid.core.units import ANGSTROM_PER_NM, KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.terms import Terms
from openmm_hybrid.forms.form import FunctionalForm
from openmm_hybrid.forms.morse import Morse

MORSE = Morse().expression().replace("q1", "r")
"""The energy of Morse bonds in CustomBondForce: `ForceField.from_system` reads it back."""

Row = tuple[tuple[int, ...], tuple]
"""Particles of a term and what OpenMM's add… takes after them, in its units."""

_PER_AREA = KJ_PER_KCAL * ANGSTROM_PER_NM**2
_TINY = 1e-12  # kcal/mol, constant below which it is left out


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
    units : tuple of float
        Factors from `FunctionalForm.plain_rows` to what the force takes, in nm and kJ/mol.
    """

    force: type
    noun: str
    width: int
    units: tuple[float, ...]

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

    def row(self, atoms: tuple[int, ...], values: Sequence[float]) -> Row:
        """One entry of the force from an entry of `FunctionalForm.plain_rows`."""
        converted = tuple(factor * value for factor, value in zip(self.units, values, strict=True))
        return atoms, (converted,) if self.force is openmm.CustomBondForce else converted


BONDS = Kind(openmm.HarmonicBondForce, "Bond", 2, (NM_PER_ANGSTROM, _PER_AREA))
ANGLES = Kind(openmm.HarmonicAngleForce, "Angle", 3, (1.0, KJ_PER_KCAL))
TORSIONS = Kind(openmm.PeriodicTorsionForce, "Torsion", 4, (1, 1.0, KJ_PER_KCAL))
MORSES = Kind(openmm.CustomBondForce, "Bond", 2, (KJ_PER_KCAL, ANGSTROM_PER_NM, NM_PER_ANGSTROM))
KINDS = {kind.force.__name__: kind for kind in (BONDS, MORSES, ANGLES, TORSIONS)}
"""Kinds by the name of their force, which is a form's `plain_force`."""


def is_bonded(form: FunctionalForm) -> bool:
    """Whether one of the forces above holds terms of a form."""
    return form.plain_force in KINDS


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
    rows: dict[Kind, list[Row]] = {kind: [] for kind in KINDS.values()}
    rest, last = 0.0, None  # constant that the torsions lack, and a torsion that can take it
    for terms in forcefield.terms:
        kind = KINDS.get(terms.form.plain_force)
        if kind is None:
            continue
        p = torch.tensor(forcefield.parameters.values[terms.assignment])
        for atoms, entries in zip(terms.atoms.tolist(), terms.form.plain_rows(p), strict=True):
            rows[kind] += [kind.row(tuple(atoms), entry) for entry in entries]
        rest += float(terms.form.plain_rest(p).sum())
        last = tuple(terms.atoms[0].tolist()) if kind is TORSIONS and last is None else last
    if last is not None and abs(rest) > _TINY:  # k(1 + cos φ) + k(1 − cos φ) = 2k
        rows[TORSIONS] += [TORSIONS.row(last, (1, phase, 0.5 * rest)) for phase in (0.0, np.pi)]
    if mark_all or any(_stretches(terms) for terms in forcefield.terms):
        rows[BONDS] += [(pair, (0.1, 0.0)) for pair in _unmarked_bonds(forcefield)]
    return {
        kind: [(tuple(copy[list(atoms)].tolist()), values) for copy in copies for atoms, values in found]
        for kind, found in rows.items()
    }


def _stretches(terms: Terms) -> bool:
    return is_bonded(terms.form) and terms.form.n_atoms == 2


def _unmarked_bonds(forcefield: ForceField) -> list[tuple[int, ...]]:
    """Bonds of the molecule without a harmonic term."""
    harmonic = {
        tuple(sorted(pair))
        for terms in forcefield.terms
        if terms.form.plain_force == BONDS.force.__name__
        for pair in terms.atoms.tolist()
    }
    return [pair for pair in map(tuple, np.sort(forcefield.bonds, axis=1).tolist()) if pair not in harmonic]
