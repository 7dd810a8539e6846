"""Ethanol with a classical force field of round numbers, alone and in the boxes of tests/helpers/boxes.py."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.paths import angles, chains
from tests.helpers.boxes import BONDS, ETHANOL, NUMBERS, Case, make

CHARGES = np.array([-0.14, 0.13, -0.60, 0.045, 0.045, 0.045, 0.04, 0.04, 0.395])
_SIGMAS = {1: 0.25, 6: 0.34, 8: 0.31}  # nm
_WELLS = {1: 0.066, 6: 0.45, 8: 0.88}  # kJ/mol
_SCALES = (1 / 1.2, 0.5)


def molecule() -> tuple[openmm.System, app.Topology]:
    """Ethanol alone, in the order of NUMBERS."""
    topology, system = app.Topology(), openmm.System()
    residue = topology.addResidue("ETH", topology.addChain())
    atoms = [topology.addAtom(f"A{k}", app.Element.getByAtomicNumber(n), residue) for k, n in enumerate(NUMBERS)]
    for atom in atoms:
        system.addParticle(atom.element.mass)
    for i, j in BONDS:
        topology.addBond(atoms[i], atoms[j])
    force = openmm.NonbondedForce()
    for _ in atoms:
        force.addParticle(0.0, 0.3, 0.0)
    force.createExceptionsFromBonds(BONDS, 1.0, 1.0)
    system.addForce(force)
    add_terms(system, np.arange(len(atoms))[None])
    return system, topology


def box(box: NDArray[np.float64], *, n_copies: int = 1, n_waters: int = 60) -> Case:
    """Ethanols in a box of water, with the same terms."""
    case = make(box=box, n_copies=n_copies, n_waters=n_waters)
    add_terms(case.system, case.atoms)
    return case


def forcefield(**forms: object) -> ForceField:
    """The force field of `molecule`, edited; terms that start at zero get random parameters of plausible size."""
    read = ForceField.from_system(*molecule(), name="ethanol")
    return randomised(read.edit(**forms) if forms else read)  # type: ignore[arg-type]


def randomised(read: ForceField, seed: int = 0) -> ForceField:
    """The force field with random weights of output layers, splines and cross terms, kcal/mol."""
    rng = np.random.default_rng(seed)
    values = read.parameters.values.copy()
    for index, (name, fitted) in enumerate(zip(read.parameters.names, read.parameters.fitted, strict=True)):
        group, _, column = name.split("/")
        if column.startswith("w3") or (fitted and ("spline" in group or "cross" in group)):
            values[index] = rng.normal()
    return read.with_values(values)


def frames(n_frames: int, spread: float = 0.06, seed: int = 1) -> NDArray[np.float64]:
    """Distorted ethanols (n_frames, 9, 3), Å."""
    return ETHANOL + np.random.default_rng(seed).normal(scale=spread, size=(n_frames, 9, 3))


def predict(
    system: openmm.System, positions: NDArray[np.float64], platform: str = "Reference"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """OpenMM's energies (n_frames,) and forces at positions (n_frames, n_particles, 3), kcal/mol and Å."""
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName(platform))
    energies, forces = [], []
    for frame in positions:
        context.setPositions(frame / 10)
        state = context.getState(energy=True, forces=True)
        energies.append(state.getPotentialEnergy()._value / 4.184)
        forces.append(state.getForces(asNumpy=True)._value / 41.84)
    return np.array(energies), np.array(forces)


def bare() -> SimpleNamespace:
    """Ethanol's System without forces, and its topology."""
    system, topology = molecule()
    while system.getNumForces():
        system.removeForce(0)
    return SimpleNamespace(system=system, topology=topology)


def add_terms(system: openmm.System, copies: NDArray[np.int64]) -> None:
    """Bonds, angles, torsions and non-bonded parameters of ethanols on particles (n_copies, 9)."""
    graph = np.array(BONDS)
    (nonbonded,) = (force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    bonds, bends, torsions = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.PeriodicTorsionForce()
    for copy in copies.tolist():
        for i, j in BONDS:
            heavy = 1 not in (NUMBERS[i], NUMBERS[j])
            bonds.addBond(copy[i], copy[j], 0.147 if heavy else 0.105, 2.6e5 if heavy else 2.9e5)
        for i, j, k in angles(graph):
            bends.addAngle(copy[i], copy[j], copy[k], 1.9, 400.0 - 10 * sum(NUMBERS[a] for a in (i, k)))
        for i, j, k, last in chains(graph):
            particles = [copy[a] for a in (i, j, k, last)]
            torsions.addTorsion(*particles, 3, 0.0, 0.65)
            if 8 in (NUMBERS[i], NUMBERS[last]):
                torsions.addTorsion(*particles, 1, np.pi, 1.05)
        _set_pairs(nonbonded, copy, graph)
    for force in (bonds, bends, torsions):
        system.addForce(force)


def _set_pairs(force: openmm.NonbondedForce, copy: Sequence[int], graph: NDArray[np.int64]) -> None:
    known = {}
    for index in range(force.getNumExceptions()):
        i, j, *_ = force.getExceptionParameters(index)
        known[frozenset((i, j))] = index
    far = {frozenset((chain[0], chain[-1])) for chain in chains(graph)}
    for k, atom in enumerate(copy):
        force.setParticleParameters(atom, CHARGES[k], _SIGMAS[NUMBERS[k]], _WELLS[NUMBERS[k]])
    for i, j in combinations(range(len(copy)), 2):
        if frozenset((i, j)) in far:
            sigma = 0.5 * (_SIGMAS[NUMBERS[i]] + _SIGMAS[NUMBERS[j]])
            well = _SCALES[1] * np.sqrt(_WELLS[NUMBERS[i]] * _WELLS[NUMBERS[j]])
            index = known[frozenset((copy[i], copy[j]))]
            force.setExceptionParameters(
                index, copy[i], copy[j], _SCALES[0] * CHARGES[i] * CHARGES[j], sigma, float(well)
            )
