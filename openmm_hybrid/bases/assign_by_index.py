"""Assignment of template parameters to the atoms of a System by index.

OpenMM's ForceField matches the graph of a residue to that of its template. It may exchange atoms with equal elements
and bonds that differ in type or charge (the cc and cd of a ring, two hydrogens with given charges). The System then has
every term, but some parameters are on the wrong atom. `assign_terms` writes all parameters again, by index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import openmm

from openmm_hybrid.bases.template import SCNB, Template
from openmm_hybrid.core.errors import HybridError
from openmm_hybrid.core.ffxml import HarmonicTerm
from openmm_hybrid.models.openmm_forces import LAYOUTS, terms_of


@dataclass(frozen=True, eq=False)
class PlacedTemplate:
    """A template and the index of its first atom in a system; its atoms are contiguous there."""

    first: int
    template: Template

    @property
    def atoms(self) -> range:
        """Indices of the atoms in the system."""
        return range(self.first, self.first + self.template.molecule.n_atoms)

    def term(self, *atoms: int) -> HarmonicTerm:
        """Bond or angle between these atoms of the system."""
        try:
            return self._harmonic[atoms]
        except KeyError:
            raise HybridError(f"no term of {self.template.molecule.name} joins atoms {atoms} of the system") from None

    @cached_property
    def _harmonic(self) -> dict[tuple[int, ...], HarmonicTerm]:
        """Bonds and angles, keyed by their atoms in the system in both directions."""
        terms = {}
        for term in (*self.template.bonds, *self.template.angles):
            atoms = tuple(self.first + atom for atom in term.atoms)
            terms[atoms] = terms[atoms[::-1]] = term
        return terms

    @cached_property
    def excluded(self) -> frozenset[frozenset[int]]:
        """Pairs of atoms one or two bonds apart."""
        return frozenset(frozenset((atoms[0], atoms[-1])) for atoms in self._harmonic)


def lay_out(templates: Sequence[Template]) -> list[PlacedTemplate]:
    """Place the templates one after another, from atom 0 on."""
    placed: list[PlacedTemplate] = []
    for template in templates:
        placed.append(PlacedTemplate(placed[-1].atoms.stop if placed else 0, template))
    return placed


def assign_terms(system: openmm.System, placed: Sequence[PlacedTemplate]) -> None:
    """Write the parameters of every placed template into `system` by index; all other atoms keep theirs.

    Raises
    ------
    HybridError
        The system lacks a term of a template, or has another number of torsions.
    """
    owner = {atom: template for template in placed for atom in template.atoms}
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce | openmm.HarmonicAngleForce):
            _assign_harmonic(force, owner)
        elif isinstance(force, openmm.PeriodicTorsionForce):
            _assign_torsions(force, owner, placed)
        elif isinstance(force, openmm.NonbondedForce):
            _assign_nonbonded(force, owner, placed)
    for index in range(system.getNumConstraints()):
        i, j, _ = system.getConstraintParameters(index)
        if i in owner:
            system.setConstraintParameters(index, i, j, owner[i].term(i, j).equilibrium)


def _assign_harmonic(
    force: openmm.HarmonicBondForce | openmm.HarmonicAngleForce, owner: dict[int, PlacedTemplate]
) -> None:
    for index, (atoms, _) in enumerate(terms_of(force)):
        if atoms[0] in owner:
            term = owner[atoms[0]].term(*atoms)
            LAYOUTS[type(force)].set(force, index, atoms, (term.equilibrium, term.k))


def _assign_torsions(
    force: openmm.PeriodicTorsionForce, owner: dict[int, PlacedTemplate], placed: Sequence[PlacedTemplate]
) -> None:
    wanted = [
        ([part.first + atom for atom in term.atoms], term)
        for part in placed
        for term in (*part.template.propers, *part.template.impropers)
    ]
    indices = [index for index, (atoms, _) in enumerate(terms_of(force)) if atoms[0] in owner]
    if len(indices) != len(wanted):
        raise HybridError(
            f"the system has {len(indices)} torsion terms on the built molecules", expected=str(len(wanted))
        )
    for index, (atoms, term) in zip(indices, wanted, strict=True):
        force.setTorsionParameters(index, *atoms, term.periodicity, term.phase, term.k)


def _assign_nonbonded(
    force: openmm.NonbondedForce, owner: dict[int, PlacedTemplate], placed: Sequence[PlacedTemplate]
) -> None:
    values = {}
    for part in placed:
        template = part.template
        for atom, charge, sigma, epsilon in zip(
            part.atoms, template.charges, template.sigmas, template.epsilons, strict=True
        ):
            values[atom] = (float(charge), float(sigma), float(epsilon))
            force.setParticleParameters(atom, *values[atom])
    for index in range(force.getNumExceptions()):
        i, j, _, _, _ = force.getExceptionParameters(index)
        if i not in owner or frozenset((i, j)) in owner[i].excluded:
            continue
        (charge_i, sigma_i, epsilon_i), (charge_j, sigma_j, epsilon_j) = values[i], values[j]
        well = (epsilon_i * epsilon_j) ** 0.5 / SCNB
        force.setExceptionParameters(
            index, i, j, charge_i * charge_j * owner[i].template.coulomb14, (sigma_i + sigma_j) / 2.0, well
        )
