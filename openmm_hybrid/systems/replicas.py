"""Replicas: independent copies of one molecule in one System, which evaluates each force once for all of them."""

from __future__ import annotations

import copy

import openmm
from openmm import app

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import ANGSTROM_PER_NM, COULOMB, KJ_PER_KCAL
from openmm_hybrid.models.openmm_forces import LAYOUTS

PAIR = "ke*q/r+4*epsilon*x*(x-1); x=(sigma/r)^6"
"""Coulomb and Lennard-Jones energy of a pair of atoms in the same copy, in kJ/mol and nm."""


def replicate(system: openmm.System, topology: app.Topology, copies: int) -> tuple[openmm.System, app.Topology]:
    """Make a System of independent copies of a molecule in vacuum, and its topology.

    The copies do not interact at any distance: the non-bonded pairs inside each copy become terms of one
    CustomBondForce. Particle i of copy c has index c · n_particles + i. The result has no CMMotionRemover, which would
    hold the common centre of all copies. Attach a model once for all copies,
    ``atoms=np.arange(copies * n).reshape(copies, n)``, so that it evaluates them in one batch.

    Parameters
    ----------
    system, topology : openmm.System, openmm.app.Topology
        System and topology of one copy, without a periodic box; they are not changed.
    copies : int
        Number of copies, at least 1.

    Returns
    -------
    system, topology : openmm.System, openmm.app.Topology

    Raises
    ------
    InputError
        Fewer than one copy.
    MismatchError
        System and topology do not belong together, or the System cannot be copied: it has a periodic box, virtual
        sites, a cutoff, or a force other than bonded ones and NonbondedForce (for example an attached torch model).
    """
    if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
        raise InputError(f"{copies!r} copies were asked for", expected="a whole number, at least 1")
    n_atoms = system.getNumParticles()
    if topology.getNumAtoms() != n_atoms:
        raise MismatchError(f"the topology has {topology.getNumAtoms()} atoms, the system {n_atoms}")
    if system.usesPeriodicBoundaryConditions():
        raise MismatchError("the system is periodic", expected="one molecule in vacuum to make copies of")
    made = openmm.System()
    for c in range(copies):
        for i in range(n_atoms):
            if system.isVirtualSite(i):
                raise MismatchError(f"particle {i} is a virtual site", expected="a molecule of atoms to make copies of")
            made.addParticle(system.getParticleMass(i))
        for k in range(system.getNumConstraints()):
            i, j, length = system.getConstraintParameters(k)
            made.addConstraint(c * n_atoms + i, c * n_atoms + j, length)
    for force in system.getForces():
        if not isinstance(force, openmm.CMMotionRemover):
            made.addForce(_copied(force, n_atoms, copies))
    return made, _topology(topology, copies)


def without_motion_removal(system: openmm.System) -> openmm.System:
    """A copy of a System without its CMMotionRemover."""
    made = copy.deepcopy(system)
    for index in reversed(range(made.getNumForces())):
        if isinstance(made.getForce(index), openmm.CMMotionRemover):
            made.removeForce(index)
    return made


def with_motion_removal_at_each_step(system: openmm.System) -> openmm.System:
    """A copy of a System whose CMMotionRemovers act at each step, or the System itself if they do already.

    OpenMM counts the impulses of multiple time steps as steps, but the removers do not act in these. One that acts
    every so many steps may then never act.
    """
    rare = [
        index
        for index, force in enumerate(system.getForces())
        if isinstance(force, openmm.CMMotionRemover) and force.getFrequency() != 1
    ]
    if not rare:
        return system
    made = copy.deepcopy(system)
    for index in rare:
        made.getForce(index).setFrequency(1)
    return made


def _copied(force: openmm.Force, n_atoms: int, copies: int) -> openmm.Force:
    """A force with this force's terms on every copy."""
    if isinstance(force, openmm.NonbondedForce):
        return _pairs(force, n_atoms, copies)
    if type(force) in LAYOUTS:
        return _with_terms(force, n_atoms, copies)
    # OpenMM returns a plugin's force as a bare Force, so the message names it too.
    raise MismatchError(
        f"the force {force.getName()!r} ({type(force).__name__}) cannot be copied",
        expected="bonded forces and a NonbondedForce",
        hint="attach models to the copies: give them as models=[…] and leave them out of the System",
    )


def _with_terms(force: openmm.Force, n_atoms: int, copies: int) -> openmm.Force:
    """A deep copy of a force, with its functions, tables and parameters, plus the terms of the further copies."""
    made, layout = copy.deepcopy(force), LAYOUTS[type(force)]
    terms = list(layout.terms(force))
    for c in range(1, copies):
        for particles, values in terms:
            layout.add(made, [particle + c * n_atoms for particle in particles], values)
    return made


def _pairs(force: openmm.NonbondedForce, n_atoms: int, copies: int) -> openmm.CustomBondForce:
    """The non-bonded pairs inside each copy, as bonds.

    A NonbondedForce with exclusions between the copies would still loop over all their pairs.
    """
    if force.getNonbondedMethod() != openmm.NonbondedForce.NoCutoff:
        raise MismatchError("the NonbondedForce has a cutoff", expected="NoCutoff, for a molecule in vacuum")
    if force.getNumParticleParameterOffsets() or force.getNumExceptionParameterOffsets():
        raise MismatchError(
            "the NonbondedForce has parameter offsets", expected="fixed charges and Lennard-Jones terms"
        )
    made = openmm.CustomBondForce(f"{PAIR}; ke={COULOMB * KJ_PER_KCAL / ANGSTROM_PER_NM!r}")
    for name in ("q", "sigma", "epsilon"):
        made.addPerBondParameter(name)
    made.setForceGroup(force.getForceGroup())
    made.setName("Pairs inside copies")
    terms = _pair_terms(force, n_atoms)
    for c in range(copies):
        for i, j, values in terms:
            made.addBond(c * n_atoms + i, c * n_atoms + j, values)
    return made


def _pair_terms(force: openmm.NonbondedForce, n_atoms: int) -> list[tuple[int, int, tuple[float, float, float]]]:
    """Atoms, charge product (e²), σ (nm) and ε (kJ/mol) of each pair with an energy."""
    special = {}
    for index in range(force.getNumExceptions()):
        i, j, *values = force.getExceptionParameters(index)
        special[min(i, j), max(i, j)] = tuple(float(value._value) for value in values)
    atoms = [[float(value._value) for value in force.getParticleParameters(i)] for i in range(n_atoms)]
    terms = []
    for j in range(n_atoms):
        for i in range(j):
            (q1, s1, e1), (q2, s2, e2) = atoms[i], atoms[j]
            charges, sigma, epsilon = special.get((i, j), (q1 * q2, 0.5 * (s1 + s2), (e1 * e2) ** 0.5))
            if charges or epsilon:
                terms.append((i, j, (charges, sigma, epsilon)))
    return terms


def _topology(topology: app.Topology, copies: int) -> app.Topology:
    made = app.Topology()
    for _ in range(copies):
        twins = {}
        for chain in topology.chains():
            new_chain = made.addChain(chain.id)
            for residue in chain.residues():
                new_residue = made.addResidue(residue.name, new_chain, residue.id, residue.insertionCode)
                for atom in residue.atoms():
                    twins[atom] = made.addAtom(atom.name, atom.element, new_residue, atom.id)
        for bond in topology.bonds():
            made.addBond(twins[bond[0]], twins[bond[1]], bond.type, bond.order)
    return made
