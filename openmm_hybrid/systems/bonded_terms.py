"""Replacing the bonded terms of a System on copies of one molecule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.forcefield.model import ForceField
from openmm_hybrid.forcefield.read_system import is_morse
from openmm_hybrid.models.openmm_forces import LAYOUTS, Term, terms_of
from openmm_hybrid.systems.force_kinds import BONDS, KINDS, MORSE, MORSES, Kind, classical_rows, new_force
from openmm_hybrid.systems.placement import Placement


@dataclass(frozen=True)
class Bonded:
    """A change of a System's bonded forces, made by `plan_bonded`.

    Parameters
    ----------
    new : list of openmm.Force
        Forces to add.
    holding : list of openmm.Force
        Forces among `new` that hold terms of the force field.
    old : list of int
        Indices of the forces to remove.
    """

    new: list[openmm.Force] = field(default_factory=list)
    holding: list[openmm.Force] = field(default_factory=list)
    old: list[int] = field(default_factory=list)

    def apply(self, system: openmm.System) -> list[openmm.Force]:
        """Change the System; returns the forces that hold terms of the force field."""
        for index in sorted(self.old, reverse=True):
            system.removeForce(index)
        for force in self.new:
            system.addForce(force)
        return list(self.holding)


def plan_bonded(system: openmm.System, placement: Placement, forcefield: ForceField) -> Bonded:
    """Check the bonded forces and make new ones, without changing the System.

    Constrained bonds get no k = 0 to mark them, since the constraint does.

    Raises
    ------
    MismatchError
        A term joins a copy with other atoms, or a force on a copy cannot be replaced.
    """
    copy_of = copies_of(placement)
    for force in system.getForces():
        _check_other(force, copy_of)
    planned = Bonded()
    constrained = {frozenset(system.getConstraintParameters(k)[:2]) for k in range(system.getNumConstraints())}
    for kind, rows in classical_rows(forcefield, placement.atoms, mark_all=True).items():
        needed = [
            row for row in rows if kind is not BONDS or row.values[1] or frozenset(row.particles) not in constrained
        ]
        _plan_kind(planned, system, placement, kind, needed, copy_of)
    return planned


def copies_of(placement: Placement) -> NDArray[np.int64]:
    """Index of the copy (n_particles,) that each particle belongs to; −1 for particles in no copy."""
    copy_of = np.full(placement.n_particles, -1)
    copy_of[placement.atoms] = np.arange(len(placement.atoms))[:, None]
    return copy_of


def inside(copy_of: NDArray[np.int64], particles: Iterable[int], what: str) -> bool:
    """Whether a term's particles are in a copy; all must be in the same one, or none in any.

    Raises
    ------
    MismatchError
        The term joins a copy with other particles.
    """
    atoms = list(particles)
    copies = {int(copy_of[atom]) for atom in atoms}
    if len(copies) > 1:
        raise MismatchError(
            f"{what} {'-'.join(map(str, atoms))} joins the molecule with other atoms",
            expected="a molecule without covalent bonds to the rest of the System",
            hint="fit and replace the whole molecule",
        )
    return copies != {-1}


def _plan_kind(
    planned: Bonded,
    system: openmm.System,
    placement: Placement,
    kind: Kind,
    rows: list[Term],
    copy_of: NDArray[np.int64],
) -> None:
    """Put the new terms into the first force of their kind that loses terms of a copy, or into a new force."""
    waiting = rows
    for index, force in enumerate(system.getForces()):
        if type(force) is not kind.force or (kind is MORSES and not is_morse(force)):
            continue
        label = f"the {kind.noun} of {type(force).__name__}"
        present = list(terms_of(force))
        kept = [term for term in present if not inside(copy_of, term.particles, label)]
        if len(kept) == len(present):
            continue
        hosts = bool(waiting) and (kind is not MORSES or _takes_morse(force))
        planned.old.append(index)
        if not kept and not hosts:
            continue
        made = _fill(kind, _emptied(kind, force), kept + (waiting if hosts else []), placement.periodic)
        planned.new.append(made)
        if hosts:
            planned.holding.append(made)
            waiting = []
    if waiting:
        made = _fill(kind, new_force(kind), waiting, placement.periodic)
        made.setForceGroup(placement.force_group)
        planned.new.append(made)
        planned.holding.append(made)


def _fill(kind: Kind, force: openmm.Force, rows: list[Term], periodic: bool) -> openmm.Force:
    kind.fill(force, rows)
    if periodic:
        force.setUsesPeriodicBoundaryConditions(True)
    return force


def _emptied(kind: Kind, force: openmm.Force) -> openmm.Force:
    """A force with the same settings and no terms."""
    if isinstance(force, openmm.CustomBondForce):
        made = openmm.CustomBondForce(force.getEnergyFunction())
        for k in range(force.getNumPerBondParameters()):
            made.addPerBondParameter(force.getPerBondParameterName(k))
        for k in range(force.getNumGlobalParameters()):
            made.addGlobalParameter(force.getGlobalParameterName(k), force.getGlobalParameterDefaultValue(k))
        for k in range(force.getNumEnergyParameterDerivatives()):
            made.addEnergyParameterDerivative(force.getEnergyParameterDerivativeName(k))
    else:
        made = kind.force()
    made.setForceGroup(force.getForceGroup())
    made.setName(force.getName())
    made.setUsesPeriodicBoundaryConditions(force.usesPeriodicBoundaryConditions())
    return made


def _takes_morse(force: openmm.CustomBondForce) -> bool:
    names = [force.getPerBondParameterName(k) for k in range(force.getNumPerBondParameters())]
    return force.getEnergyFunction() == MORSE and names == ["D", "a", "r0"]


def _check_other(force: openmm.Force, copy_of: NDArray[np.int64]) -> None:
    """Refuse terms inside a copy: they would act in addition to the new ones. Terms with other atoms are restraints."""
    if isinstance(force, openmm.CustomBondForce):
        replaceable = is_morse(force)
    else:
        replaceable = type(force).__name__ in KINDS
    if replaceable or type(force) not in LAYOUTS or isinstance(force, openmm.CustomExternalForce):
        return
    for atoms, _ in terms_of(force):
        copies = {int(copy_of[atom]) for atom in atoms}
        if len(copies) == 1 and copies != {-1}:
            raise irreplaceable(
                force, f"its term on atoms {'-'.join(map(str, atoms))} would act in addition to the new ones"
            )


def irreplaceable(force: openmm.Force, why: str) -> MismatchError:
    """Error for a force on the molecule that prevents the replacement."""
    kind, label = type(force).__name__, force.getName()
    return MismatchError(
        f"{kind}{'' if label == kind else f' {label!r}'} cannot be replaced: {why}",
        expected="harmonic bonds and angles, Morse bonds, periodic torsions and a NonbondedForce",
        hint="remove this force from the System first; add it again if it should act in addition to the force field",
    )
