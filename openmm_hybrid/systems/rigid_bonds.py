"""Constraints inside a molecule whose force field is replaced: their lengths, and the terms that they make constant."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, final

import openmm

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.units import NM_PER_ANGSTROM, kelvin
from openmm_hybrid.forcefield.bond_lengths import Bond, mean_bond_lengths
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.terms import Terms
from openmm_hybrid.systems.bonded_terms import copies_of, inside
from openmm_hybrid.systems.placement import Placement


@final
@dataclass(frozen=True)
class RigidBonds:
    """Constraints on bonds of a molecule, made by `plan_rigid`.

    Parameters
    ----------
    lengths : dict
        Length of each constrained bond (i, j), i < j, of the force field, Å.
    constraints : list of (int, Bond)
        Index of each constraint of the System, and its bond.
    """

    lengths: dict[Bond, float] = field(default_factory=dict)
    constraints: list[tuple[int, Bond]] = field(default_factory=list)

    def apply(self, system: openmm.System) -> None:
        """Set the lengths of the constraints."""
        for index, bond in self.constraints:
            i, j, _ = system.getConstraintParameters(index)
            system.setConstraintParameters(index, i, j, self.lengths[bond] * NM_PER_ANGSTROM)

    def flexible_part(self, forcefield: ForceField) -> ForceField:
        """The force field without the terms that are constant because all their coordinates are constrained bonds."""
        if not self.lengths:
            return forcefield
        terms = []
        for part in forcefield.terms:
            kept = [not _is_constant(part, atoms, self.lengths) for atoms in part.atoms.tolist()]
            if any(kept):
                terms.append(replace(part, atoms=part.atoms[kept], assignment=part.assignment[kept]))
        return ForceField(replace(forcefield.tables, terms=tuple(terms)))


def plan_rigid(system: openmm.System, placement: Placement, forcefield: ForceField, temperature: Any) -> RigidBonds:
    """Check the constraints inside the copies and find their lengths, without changing the System.

    Parameters
    ----------
    system : openmm.System
    placement : Placement
    forcefield : ForceField
    temperature : float, K, or Quantity
        Temperature of the mean lengths.

    Raises
    ------
    InputError
        The temperature is not a positive number.
    MismatchError
        A constraint joins a copy with other atoms or atoms that are not bonded, or the copies have different
        constraints.
    NumericalError
        See `mean_bond_lengths`.
    """
    plain = kelvin(temperature)
    copy_of = copies_of(placement)
    index_of = {int(atom): index for atoms in placement.atoms for index, atom in enumerate(atoms)}
    bonds = {tuple(sorted(bond)) for bond in forcefield.bonds.tolist()}
    constraints: list[tuple[int, Bond]] = []
    found: list[set[Bond]] = [set() for _ in placement.atoms]
    for number in range(system.getNumConstraints()):
        i, j, _ = system.getConstraintParameters(number)
        if not inside(copy_of, (i, j), "the constraint"):
            continue
        bond = min(index_of[i], index_of[j]), max(index_of[i], index_of[j])
        if bond not in bonds:
            raise MismatchError(
                f"atoms {i} and {j} have a constraint, and they are not bonded in the force field",
                expected='constraints of bonds, as with constraints="HBonds" or "AllBonds"',
                hint="build the System without rigid angles (HAngles)",
            )
        constraints.append((number, bond))
        found[copy_of[i]].add(bond)
    for number, others in enumerate(found):
        if others != found[0]:
            bond = min(others ^ found[0])
            raise MismatchError(
                f"the bond {bond[0]}-{bond[1]} of the molecule is constrained in only one of its copies 0 and {number}",
                expected="the same constraints in all copies",
                hint="call oh.replace once for the copies with these constraints and once for the others",
            )
    if not constraints:
        return RigidBonds()
    return RigidBonds(mean_bond_lengths(forcefield, sorted(found[0]), plain), constraints)


def _is_constant(terms: Terms, atoms: list[int], bonds: Collection[Bond]) -> bool:
    return terms.slot != "pairs" and all(
        coordinate.kind == "distance" and tuple(sorted(atoms[index] for index in coordinate.indices)) in bonds
        for coordinate in terms.form.coordinates
    )
