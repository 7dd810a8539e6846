"""SystemModel: the energies and forces of any OpenMM System as an EnergyModel."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import ClassVar

import numpy as np
import openmm
from numpy.typing import ArrayLike, NDArray
from openmm import app, unit

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.units import FORCE_KJ_NM, KCAL_PER_KJ, NM_PER_ANGSTROM, positions_to_angstrom
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.openmm_forces import terms_of

_WHOLE = 0.05  # e; largest rounding error of a sum of charges
TERMS = ("bonds", "angles", "propers", "impropers", "nonbonded", "other")


@dataclass(frozen=True, eq=False)
class SystemModel(EnergyModel):
    """An OpenMM System as an energy model, evaluated by OpenMM itself.

    The system is copied when it is first evaluated: later changes to it have no effect.

    Parameters
    ----------
    system : openmm.System
    topology : openmm.app.Topology
        Topology of the same particles.
    platform : str
        Name of the OpenMM platform; "Reference" computes in double precision.

    Raises
    ------
    MismatchError
        System and topology have different numbers of particles.

    Warns
    -----
    UserWarning
        Constraints in place of bonds, other than those of rigid water: the model does not stretch these bonds.
    """

    system: openmm.System = field(repr=False)
    topology: app.Topology = field(repr=False)
    platform: str = "Reference"
    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Check that system and topology belong together."""
        if self.system.getNumParticles() != self.topology.getNumAtoms():
            raise MismatchError(
                f"the system has {self.system.getNumParticles()} particles, the topology {self.topology.getNumAtoms()}",
                expected="a topology of the same particles",
            )
        missing = _constrained(self.system, self.topology)
        if missing:
            warnings.warn(
                f"the System has constraints in place of {len(missing)} bonds (the first: {missing[0][0]}-"
                f"{missing[0][1]}), which the model lacks: it does not stretch them; build the System with "
                "constraints=None",
                stacklevel=3,
            )

    @property
    def bonds(self) -> NDArray[np.int64] | None:
        """See `EnergyModel.bonds`: those of the topology, if it has any."""
        pairs = sorted(tuple(sorted((first.index, second.index))) for first, second in self.topology.bonds())
        return np.array(pairs, dtype=np.int64) if pairs else None

    @cached_property
    def atomic_numbers(self) -> NDArray[np.int64]:  # type: ignore[override]
        """Atomic numbers (n_atoms,); 0 for virtual sites."""
        elements = [atom.element for atom in self.topology.atoms()]
        return np.array([element.atomic_number if element else 0 for element in elements], dtype=np.int64)

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `EnergyModel.evaluate`."""
        energies, forces = np.zeros(len(positions)), np.zeros(positions.shape)
        for frame, coordinates in enumerate(positions):
            self._context.setPositions(coordinates * NM_PER_ANGSTROM)
            state = self._context.getState(getEnergy=True, getForces=True)
            energies[frame] = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) * KCAL_PER_KJ
            forces[frame] = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
        return energies, forces / FORCE_KJ_NM

    def energy_terms(self, positions: ArrayLike) -> dict[str, float]:
        """Energy of one frame by kind of term, kcal/mol.

        Parameters
        ----------
        positions : (n_atoms, 3), Å, or a Quantity

        Returns
        -------
        dict of str to float
            Keys are "bonds", "angles", "propers", "impropers" and "nonbonded", and "other" for all other forces; a kind
            without a force is absent. A torsion along three bonds is a proper, every other torsion an improper.
        """
        groups = _by_terms(self.system, self.topology)
        context = openmm.Context(
            groups, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName(self.platform)
        )
        context.setPositions(positions_to_angstrom(positions) * NM_PER_ANGSTROM)
        energies = {}
        for group, name in enumerate(TERMS):
            if any(force.getForceGroup() == group for force in groups.getForces()):
                energy = context.getState(getEnergy=True, groups={group}).getPotentialEnergy()
                energies[name] = energy.value_in_unit(unit.kilojoule_per_mole) * KCAL_PER_KJ
        return energies

    @cached_property
    def _context(self) -> openmm.Context:
        platform = openmm.Platform.getPlatformByName(self.platform)
        return openmm.Context(self.system, openmm.VerletIntegrator(0.001), platform)


def _constrained(system: openmm.System, topology: app.Topology) -> list[tuple[int, int]]:
    """Constrained bonds of the topology without a harmonic term, except those in rigid water."""
    water = {
        atom.index
        for residue in topology.residues()
        for atom in residue.atoms()
        if sorted(a.element.atomic_number for a in residue.atoms() if a.element is not None) == [1, 1, 8]
    }
    bonded = {frozenset((first.index, second.index)) for first, second in topology.bonds()}
    harmonic = {
        frozenset(term.particles)
        for force in system.getForces()
        if isinstance(force, openmm.HarmonicBondForce)
        for term in terms_of(force)
    }
    pairs = [tuple(system.getConstraintParameters(k)[:2]) for k in range(system.getNumConstraints())]
    return [(i, j) for i, j in pairs if i not in water and frozenset((i, j)) in bonded - harmonic]


def _by_terms(system: openmm.System, topology: app.Topology) -> openmm.System:
    """Copy of the system in which the group of each force is the index of its kind of term in `TERMS`."""
    kinds = {
        openmm.HarmonicBondForce: "bonds",
        openmm.HarmonicAngleForce: "angles",
        openmm.PeriodicTorsionForce: "propers",
        openmm.NonbondedForce: "nonbonded",
    }
    bonded = {frozenset((first.index, second.index)) for first, second in topology.bonds()}
    groups = copy.deepcopy(system)
    for force in list(groups.getForces()):
        force.setForceGroup(TERMS.index(kinds.get(type(force), "other")))
        if isinstance(force, openmm.NonbondedForce):
            force.setReciprocalSpaceForceGroup(-1)  # the group of the force itself
        if isinstance(force, openmm.PeriodicTorsionForce):
            groups.addForce(_split_impropers(force, bonded))
    return groups


def _split_impropers(force: openmm.PeriodicTorsionForce, bonded: set[frozenset[int]]) -> openmm.PeriodicTorsionForce:
    """Move the impropers of a torsion force into a new force."""
    impropers = openmm.PeriodicTorsionForce()
    impropers.setForceGroup(TERMS.index("impropers"))
    for index, (atoms, (periodicity, phase, k)) in enumerate(terms_of(force)):
        if not all(frozenset(pair) in bonded for pair in pairwise(atoms)):
            impropers.addTorsion(*atoms, periodicity, phase, k)
            force.setTorsionParameters(index, *atoms, periodicity, phase, 0.0)
    return impropers


def net_charge(system: openmm.System) -> int | None:
    """Sum of the charges (e) in the NonbondedForce of a System; None if there is no such force, or no whole number."""
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            charges = [force.getParticleParameters(index)[0] for index in range(force.getNumParticles())]
            total = float(sum(charge.value_in_unit(unit.elementary_charge) for charge in charges))
            return round(total) if abs(total - round(total)) < _WHOLE else None
    return None
