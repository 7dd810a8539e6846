"""Classical terms of a force field as terms of OpenMM's bonded forces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import openmm
import torch
from numpy.typing import NDArray

from openmm_hybrid.core.units import ANGSTROM_PER_NM, KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.terms import Terms
from openmm_hybrid.forms.form import FunctionalForm
from openmm_hybrid.forms.morse import Morse
from openmm_hybrid.models.openmm_forces import LAYOUTS, Term

MORSE = Morse().expression().replace("q1", "r")
"""Energy of Morse bonds in CustomBondForce, which `ForceField.from_system` can read."""

_PER_AREA = KJ_PER_KCAL * ANGSTROM_PER_NM**2
_TINY = 1e-12  # kcal/mol, below which we leave out a constant


@final
@dataclass(frozen=True)
class Kind:
    """A kind of OpenMM force that holds classical bonded terms.

    Parameters
    ----------
    force : type
    units : tuple of float
        Factors from `FunctionalForm.plain_rows` to the arguments of the force, in nm and kJ/mol.
    """

    force: type[openmm.Force]
    units: tuple[float, ...]

    @property
    def noun(self) -> str:
        """Name of the terms in error messages: "bond", "angle" or "torsion"."""
        return LAYOUTS[self.force].noun.lower()

    def fill(self, force: openmm.Force, terms: Iterable[Term]) -> openmm.Force:
        """Add terms to the force; returns it."""
        for particles, values in terms:
            LAYOUTS[self.force].add(force, particles, values)
        return force

    def row(self, atoms: tuple[int, ...], values: Sequence[float]) -> Term:
        """The term of the force for an entry of `FunctionalForm.plain_rows`."""
        converted = tuple(factor * value for factor, value in zip(self.units, values, strict=True))
        return Term(atoms, (converted,) if self.force is openmm.CustomBondForce else converted)


BONDS = Kind(openmm.HarmonicBondForce, (NM_PER_ANGSTROM, _PER_AREA))
ANGLES = Kind(openmm.HarmonicAngleForce, (1.0, KJ_PER_KCAL))
TORSIONS = Kind(openmm.PeriodicTorsionForce, (1, 1.0, KJ_PER_KCAL))
MORSES = Kind(openmm.CustomBondForce, (KJ_PER_KCAL, ANGSTROM_PER_NM, NM_PER_ANGSTROM))
KINDS = {kind.force.__name__: kind for kind in (BONDS, MORSES, ANGLES, TORSIONS)}
"""Kinds by the name of their force, which is `FunctionalForm.plain_force`."""


def is_bonded(form: FunctionalForm) -> bool:
    """Whether one of the forces in `KINDS` holds the terms of a form."""
    return form.plain_force in KINDS


def new_force(kind: Kind) -> openmm.Force:
    """An empty force of a kind, with the expression of Morse bonds for `MORSES`."""
    if kind is not MORSES:
        return kind.force()
    force = openmm.CustomBondForce(MORSE)
    for name in ("D", "a", "r0"):
        force.addPerBondParameter(name)
    return force


def classical_rows(
    forcefield: ForceField, copies: NDArray[np.int64], *, mark_all: bool = False
) -> dict[Kind, list[Term]]:
    """Terms of a force field's classical groups on copies (n_copies, n_atoms) of its molecule, by kind of force.

    Bonds without a harmonic term get one with k = 0 where some group stretches bonds, and with `mark_all` always:
    OpenMM finds molecules by bond forces and constraints alone, and keeps these whole at periodic boundaries.
    """
    rows: dict[Kind, list[Term]] = {kind: [] for kind in KINDS.values()}
    rest, first = 0.0, None  # constant energy missing from the torsions, and the torsion that takes it
    for terms in forcefield.terms:
        kind = KINDS.get(terms.form.plain_force)
        if kind is None:
            continue
        p = torch.tensor(forcefield.parameters.values[terms.assignment])
        for atoms, entries in zip(terms.atoms.tolist(), terms.form.plain_rows(p), strict=True):
            rows[kind] += [kind.row(tuple(atoms), entry) for entry in entries]
        rest += float(terms.form.plain_rest(p).sum())
        first = tuple(terms.atoms[0].tolist()) if kind is TORSIONS and first is None else first
    if first is not None and abs(rest) > _TINY:  # k(1 + cos φ) + k(1 − cos φ) = 2k
        rows[TORSIONS] += [TORSIONS.row(first, (1, phase, 0.5 * rest)) for phase in (0.0, np.pi)]
    if mark_all or any(_stretches(terms) for terms in forcefield.terms):
        rows[BONDS] += [Term(pair, (0.1, 0.0)) for pair in _unmarked_bonds(forcefield)]
    return {
        kind: [Term(tuple(copy[list(atoms)].tolist()), values) for copy in copies for atoms, values in found]
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
