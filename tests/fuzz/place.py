"""Systems of a case: copies of the molecule between waters, in vacuum or in a periodic box."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app
from scipy.spatial.transform import Rotation

from openmm_hybrid import ForceField, Molecule
from openmm_hybrid.core.units import KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.models.openmm_forces import LAYOUTS
from tests.fuzz.classical import distorted
from tests.fuzz.draw import Case
from tests.fuzz.forcefields import pair_scales

BOXES = {
    "rectangular": np.diag([21.0, 22.0, 23.0]),
    "triclinic": np.array([[22.0, 0.0, 0.0], [7.0, 21.0, 0.0], [-8.0, 9.5, 20.5]]),
}
"""Box vectors as rows, Å, in the reduced form that OpenMM requires."""
PLACES = np.array([[0.02, 0.01, 0.97], [0.5, 0.5, 0.48], [0.98, 0.47, 0.03]])
"""Fractional positions of the copies; the first one lies across a corner of the box."""
CUTOFF = 8.5
"""Å."""
WATER = np.array([[0.0, 0.0, 0.0], [0.7570, 0.5859, 0.0], [-0.7570, 0.5859, 0.0]])
TIP3P = ((-0.834, 0.31507524065751241, 0.635968), (0.417, 1.0, 0.0), (0.417, 1.0, 0.0))
"""Charge, σ (nm) and ε (kJ/mol) of the atoms of TIP3P water, as in OpenMM's amber14/tip3p.xml."""


@dataclass(frozen=True, eq=False)
class Placed:
    """Particles of a case.

    Parameters
    ----------
    topology : openmm.app.Topology
    atoms : (n_copies, n_atoms)
        Particles of each copy, in the molecule's order.
    whole : (n_particles, 3), Å
        Positions with whole molecules.
    box : (3, 3), Å, or None
    """

    topology: app.Topology
    atoms: NDArray[np.int64]
    whole: NDArray[np.float64]
    box: NDArray[np.float64] | None

    @property
    def waters(self) -> list[list[int]]:
        """Particles of each water."""
        residues = [residue for residue in self.topology.residues() if residue.name == "HOH"]
        return [[atom.index for atom in residue.atoms()] for residue in residues]

    def wrapped(self, positions: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """The positions with each atom wrapped into the box by itself, and some of them into a neighbouring image."""
        if self.box is None:
            return positions
        inside = (positions @ np.linalg.inv(self.box)) % 1.0
        return (inside + (rng.random((len(inside), 3)) < 0.05)) @ self.box


def place(case: Case, molecule: Molecule) -> Placed:
    """Particles in a random order of residues, with the atoms of each copy in a random order."""
    around, rng = case.surroundings, case.random(3)
    box = BOXES.get(around.shape)
    grid = np.diag([24.0] * 3) if box is None else box
    shapes = distorted(molecule, case.shake, around.copies, rng)
    copies = [
        Rotation.random(rng=rng).apply(shape - shape.mean(axis=0)) + PLACES[k] @ grid for k, shape in enumerate(shapes)
    ]
    oxygens = _oxygens(np.vstack(copies), grid, around.waters, rng)
    residues = [("MOL", k) for k in range(around.copies)] + [("HOH", k) for k in range(len(oxygens))]
    topology, positions = app.Topology(), []
    chain = topology.addChain()
    atoms = np.zeros((around.copies, molecule.n_atoms), dtype=np.int64)
    for kind, number in (residues[k] for k in rng.permutation(len(residues))):
        residue = topology.addResidue(kind, chain)
        if kind == "HOH":
            made = [topology.addAtom(name, app.Element.getBySymbol(name[0]), residue) for name in ("O", "H1", "H2")]
            topology.addBond(made[0], made[1])
            topology.addBond(made[0], made[2])
            positions.extend(Rotation.random(rng=rng).apply(WATER) + oxygens[number])
            continue
        members = {}
        for k in rng.permutation(molecule.n_atoms).tolist():
            atoms[number, k] = topology.getNumAtoms()
            members[k] = topology.addAtom(f"A{k}", app.Element.getBySymbol(molecule.elements[k]), residue)
            positions.append(copies[number][k])
        for i, j in molecule.bonds.tolist():
            topology.addBond(members[i], members[j])
    if box is not None:
        topology.setPeriodicBoxVectors(box * NM_PER_ANGSTROM * openmm.unit.nanometer)
    return Placed(topology, atoms, np.array(positions), box)


def _oxygens(
    taken: NDArray[np.float64], box: NDArray[np.float64], number: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Positions of oxygens on a lattice, at least 3.5 Å from the atoms of the copies and their images."""
    lattice = np.stack(np.meshgrid(*[(np.arange(6) + 0.5) / 6] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    apart = lattice[:, None] - (taken @ np.linalg.inv(box))[None]
    apart = (apart - np.round(apart)) @ box
    free = lattice[np.linalg.norm(apart, axis=-1).min(axis=1) > 3.5]
    return rng.permutation(free)[:number] @ box


def base_system(case: Case, placed: Placed, vacuum: openmm.System) -> openmm.System:
    """The classical System: every copy has the terms of the molecule alone."""
    system = _particles(case, placed, vacuum)
    rigid = _constrain(case, placed, vacuum, system)
    periodic = placed.box is not None
    for force in vacuum.getForces():
        if type(force) not in LAYOUTS:
            continue
        made, layout = type(force)(), LAYOUTS[type(force)]
        for copy in placed.atoms:
            for particles, values in layout.terms(force):
                if not (isinstance(force, openmm.HarmonicBondForce) and frozenset(particles) in rigid):
                    layout.add(made, copy[list(particles)].tolist(), values)
        made.setUsesPeriodicBoundaryConditions(periodic)
        system.addForce(made)
    (pairs,) = (force for force in vacuum.getForces() if isinstance(force, openmm.NonbondedForce))
    made = _nonbonded(case, placed, pairs)
    for index in range(pairs.getNumExceptions()):
        i, j, *values = pairs.getExceptionParameters(index)
        for copy in placed.atoms.tolist():
            made.addException(copy[i], copy[j], *values)
    system.addForce(made)
    return system


def expected_environment(case: Case, placed: Placed, vacuum: openmm.System, forcefield: ForceField) -> openmm.System:
    """What the NonbondedForce of the finished System should hold, made from the tables of the force field.

    With inner pairs it holds no pair inside a copy: their energy is the force field's. Without them it holds all pairs
    of the force field.
    """
    system = _particles(case, placed, vacuum)
    (pairs,) = (force for force in vacuum.getForces() if isinstance(force, openmm.NonbondedForce))
    made = _nonbonded(case, placed, pairs, periodic_exceptions=placed.box is not None)
    scales = None if forcefield.outer is not None else pair_scales(forcefield)
    # With a cutoff, an exception with the scale 1 differs from a pair that is none: it has no reaction field.
    excepted = {frozenset(pairs.getExceptionParameters(k)[:2]) for k in range(pairs.getNumExceptions())}
    n_atoms = forcefield.n_atoms
    rows = np.array([[item._value for item in pairs.getParticleParameters(k)] for k in range(n_atoms)])
    if scales is not None:
        for column, (name, unit) in enumerate((("charge", 1.0), ("sigma", NM_PER_ANGSTROM), ("epsilon", KJ_PER_KCAL))):
            found = forcefield.tables.atom_parameter(name)
            if found is not None:
                rows[:, column] = found.values * unit
    for copy in placed.atoms.tolist():
        for atom, row in zip(copy, rows.tolist(), strict=True):
            made.setParticleParameters(atom, *row)
        for i, j in combinations(range(n_atoms), 2):
            coulomb, well = (0.0, 0.0) if scales is None else scales.get((i, j), (0.0, 0.0))
            # A scale is a ratio of rounded numbers.
            like_others = np.allclose((coulomb, well), 1.0, rtol=0.0, atol=1e-9)
            if not like_others or forcefield.outer is not None or frozenset((i, j)) in excepted:
                epsilon = well * float(np.sqrt(rows[i, 2] * rows[j, 2]))
                sigma = 0.5 * (rows[i, 1] + rows[j, 1])
                made.addException(copy[i], copy[j], coulomb * rows[i, 0] * rows[j, 0], sigma, epsilon)
    system.addForce(made)
    return system


def _particles(case: Case, placed: Placed, vacuum: openmm.System) -> openmm.System:
    system = openmm.System()
    masses = [atom.element.mass._value for atom in placed.topology.atoms()]
    light = case.surroundings.hydrogen_mass
    for bond in placed.topology.bonds() if light else ():
        heavy, hydrogen = sorted(bond, key=lambda atom: -atom.element.mass._value)
        if hydrogen.element is app.element.hydrogen and hydrogen.residue.name == "MOL":
            masses[heavy.index] -= light - masses[hydrogen.index]
            masses[hydrogen.index] = light
    for mass in masses:
        system.addParticle(mass)
    if placed.box is not None:
        system.setDefaultPeriodicBoxVectors(*(placed.box * NM_PER_ANGSTROM))
    return system


def rigid_bonds(case: Case, molecule: Molecule) -> set[frozenset[int]]:
    """Bonds of the molecule that the case constrains."""
    wanted, bonds = case.surroundings.constraints, molecule.bonds.tolist()
    if wanted == "none":
        return set()
    return {frozenset(bond) for bond in bonds if wanted == "AllBonds" or 1 in molecule.atomic_numbers[bond]}


def _constrain(case: Case, placed: Placed, vacuum: openmm.System, system: openmm.System) -> set[frozenset[int]]:
    """Add the constraints of the copies and of the waters; returns the rigid bonds of the molecule."""
    (bonds,) = (force for force in vacuum.getForces() if isinstance(force, openmm.HarmonicBondForce))
    elements = [atom.element.atomic_number for atom in placed.topology.atoms()]
    wanted, rigid = case.surroundings.constraints, set()
    for (i, j), (length, _) in LAYOUTS[openmm.HarmonicBondForce].terms(bonds):
        if wanted == "AllBonds" or (wanted == "HBonds" and 1 in (elements[placed.atoms[0, k]] for k in (i, j))):
            rigid.add(frozenset((i, j)))
            for copy in placed.atoms.tolist():
                system.addConstraint(copy[i], copy[j], length)
    for oxygen, *hydrogens in placed.waters:
        for hydrogen in hydrogens:
            system.addConstraint(oxygen, hydrogen, 0.09572)
        system.addConstraint(*hydrogens, 0.15139006545247014)
    return rigid


def _nonbonded(
    case: Case, placed: Placed, pairs: openmm.NonbondedForce, *, periodic_exceptions: bool = False
) -> openmm.NonbondedForce:
    """Charges and wells of all particles, and the exclusions inside waters."""
    made, around = openmm.NonbondedForce(), case.surroundings
    made.setNonbondedMethod(getattr(openmm.NonbondedForce, around.method))
    made.setCutoffDistance(CUTOFF * NM_PER_ANGSTROM)
    made.setUseDispersionCorrection(placed.box is not None)
    made.setExceptionsUsePeriodicBoundaryConditions(periodic_exceptions)
    if around.switch:
        made.setUseSwitchingFunction(True)
        made.setSwitchingDistance(0.9 * CUTOFF * NM_PER_ANGSTROM)
    for _ in range(placed.topology.getNumAtoms()):
        made.addParticle(0.0, 0.3, 0.0)
    for copy in placed.atoms.tolist():
        for k, atom in enumerate(copy):
            made.setParticleParameters(atom, *pairs.getParticleParameters(k))
    for water in placed.waters:
        for atom, row in zip(water, TIP3P, strict=True):
            made.setParticleParameters(atom, *row)
        for pair in combinations(water, 2):
            made.addException(*pair, 0.0, 1.0, 0.0)
    return made
