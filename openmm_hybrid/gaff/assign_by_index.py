"""Putting the parameters of templates onto a System atom by atom.

ForceField matches a residue to its template as graphs, so it may exchange atoms that are alike as elements and bonds
but differ in type or charge (the cc and cd of a ring, two hydrogens with given charges). What it built is complete,
only dealt out in another order; here the parameters are written again, by index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import openmm

from openmm_hybrid.core.errors import HybridError
from openmm_hybrid.core.ffxml import HarmonicTerm
from openmm_hybrid.gaff.dat_parameters import SCEE, SCNB
from openmm_hybrid.gaff.template import Template
from openmm_hybrid.models.openmm_forces import LAYOUTS, terms_of


@dataclass(frozen=True, eq=False)
class Placed:
    """A template on the atoms `first`, `first` + 1, … of a system."""

    first: int
    template: Template

    @property
    def atoms(self) -> range:
        """The atoms' indices in the system."""
        return range(self.first, self.first + self.template.molecule.n_atoms)

    def term(self, *atoms: int) -> HarmonicTerm:
        """The bond or angle on these atoms of the system."""
        try:
            return self._harmonic[atoms]
        except KeyError:
            raise HybridError(f"no term of {self.template.molecule.name} joins atoms {atoms} of the system") from None

    @cached_property
    def _harmonic(self) -> dict[tuple[int, ...], HarmonicTerm]:
        """Bonds and angles by their atoms in the system, in both directions."""
        terms = {}
        for term in (*self.template.bonds, *self.template.angles):
            atoms = tuple(self.first + atom for atom in term.atoms)
            terms[atoms] = terms[atoms[::-1]] = term
        return terms

    @cached_property
    def excluded(self) -> frozenset[frozenset[int]]:
        """Pairs of atoms one or two bonds apart."""
        return frozenset(frozenset((atoms[0], atoms[-1])) for atoms in self._harmonic)


def place(templates: Sequence[Template]) -> list[Placed]:
    """The templates one after another from atom 0 on."""
    placed: list[Placed] = []
    for template in templates:
        placed.append(Placed(placed[-1].atoms.stop if placed else 0, template))
    return placed


def pin_terms(system: openmm.System, placed: Sequence[Placed]) -> None:
    """Write the parameters of every placed template into `system` by index; all other atoms keep theirs.

    Raises
    ------
    HybridError
        The system does not hold the templates' terms.
    """
    owner = {atom: part for part in placed for atom in part.atoms}
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce | openmm.HarmonicAngleForce):
            _pin_harmonic(force, owner)
        elif isinstance(force, openmm.PeriodicTorsionForce):
            _pin_torsions(force, owner, placed)
        elif isinstance(force, openmm.NonbondedForce):
            _pin_nonbonded(force, owner, placed)
    for index in range(system.getNumConstraints()):
        i, j, _ = system.getConstraintParameters(index)
        if i in owner:
            system.setConstraintParameters(index, i, j, owner[i].term(i, j).equilibrium)


def _pin_harmonic(force: openmm.HarmonicBondForce | openmm.HarmonicAngleForce, owner: dict[int, Placed]) -> None:
    for index, (atoms, _) in enumerate(terms_of(force)):
        if atoms[0] in owner:
            term = owner[atoms[0]].term(*atoms)
            LAYOUTS[type(force)].set(force, index, atoms, (term.equilibrium, term.k))


def _pin_torsions(force: openmm.PeriodicTorsionForce, owner: dict[int, Placed], placed: Sequence[Placed]) -> None:
    wanted = [
        ([part.first + atom for atom in term.atoms], term)
        for part in placed
        for term in (*part.template.propers, *part.template.impropers)
    ]
    indices = [index for index, (atoms, _) in enumerate(terms_of(force)) if atoms[0] in owner]
    if len(indices) != len(wanted):
        raise HybridError(f"the system has {len(indices)} torsion terms on GAFF molecules", expected=str(len(wanted)))
    for index, (atoms, term) in zip(indices, wanted, strict=True):
        force.setTorsionParameters(index, *atoms, term.periodicity, term.phase, term.k)


def _pin_nonbonded(force: openmm.NonbondedForce, owner: dict[int, Placed], placed: Sequence[Placed]) -> None:
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
        force.setExceptionParameters(index, i, j, charge_i * charge_j / SCEE, (sigma_i + sigma_j) / 2.0, well)
