"""Trioxidane, H–O–O–O–H, with a force field whose relaxed energy is a known function of its two dihedrals."""

from __future__ import annotations

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

import openmm_hybrid as oh
from openmm_hybrid.core.units import KCAL_PER_KJ

DIHEDRALS = ((3, 0, 1, 2), (0, 1, 2, 4))
HEIGHTS = (2.0, 1.0)
"""Half of the barriers of the torsional terms with two minima, kcal/mol."""
TILT = 0.6
"""Half height of the terms with one minimum, kcal/mol."""


def trioxidane() -> oh.Molecule:
    """The molecule, in the order O O O H H."""
    return oh.Molecule.from_smiles("OOO", name="trioxidane", n_conformers=2)


def cosine_forcefield(tilt: float = TILT, heights: tuple[float, float] = HEIGHTS) -> oh.ForceField:
    """Harmonic bonds and angles, and two torsions: nothing couples them, so that bonds and angles relax to their rest.

    E(φ₁, φ₂) = Σ height (1 + cos 2φ) + tilt (1 + cos φ).
    """
    molecule = trioxidane()
    system, topology = openmm.System(), app.Topology()
    residue = topology.addResidue("TRI", topology.addChain())
    for number, symbol in enumerate(molecule.elements):
        element = app.Element.getBySymbol(symbol)
        system.addParticle(element.mass)
        topology.addAtom(f"{symbol}{number}", element, residue)
    atoms = list(topology.atoms())
    bonds, angles, torsions = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.PeriodicTorsionForce()
    for i, j in molecule.bonds.tolist():
        topology.addBond(atoms[i], atoms[j])
        length = 1.42 if j < 3 else 0.97
        bonds.addBond(i, j, 0.1 * length, 600.0 * 100.0 / KCAL_PER_KJ)
    for chain in ((3, 0, 1), (0, 1, 2), (1, 2, 4)):
        angles.addAngle(*chain, np.radians(105.0), 120.0 / KCAL_PER_KJ)
    for chain, height in zip(DIHEDRALS, heights, strict=True):
        torsions.addTorsion(*chain, 2, 0.0, height / KCAL_PER_KJ)
        torsions.addTorsion(*chain, 1, 0.0, tilt / KCAL_PER_KJ)
    for force in (bonds, angles, torsions):
        system.addForce(force)
    return oh.ForceField.from_system(system, topology, name="cosines")


def cosine_energy(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """The relaxed energy at dihedrals (n, 2), rad, kcal/mol."""
    return sum(
        height * (1.0 + np.cos(2.0 * angle)) + TILT * (1.0 + np.cos(angle))
        for height, angle in zip(HEIGHTS, angles.T, strict=True)
    )
