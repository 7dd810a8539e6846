"""Small systems with known statistics, built from OpenMM's own forces."""

from __future__ import annotations

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


def topology_of(symbols: list[str]) -> app.Topology:
    """One residue with these elements."""
    topology = app.Topology()
    residue = topology.addResidue("TOY", topology.addChain())
    for number, symbol in enumerate(symbols):
        topology.addAtom(f"{symbol}{number}", app.Element.getBySymbol(symbol), residue)
    return topology


def water(stiffness: float = 3e5) -> tuple[openmm.System, app.Topology, NDArray[np.float64]]:
    """A flexible, uncharged, water-like molecule; `stiffness` of its bonds in kJ/mol/nm²."""
    system = openmm.System()
    for mass in (16.0, 1.0, 1.0):
        system.addParticle(mass)
    bonds, angles = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    bonds.addBond(0, 1, 0.096, stiffness)
    bonds.addBond(0, 2, 0.096, stiffness)
    angles.addAngle(1, 0, 2, 1.82, 300.0)
    system.addForce(bonds)
    system.addForce(angles)
    return system, topology_of(["O", "H", "H"]), WATER


def oscillators(number: int, stiffness: float) -> tuple[openmm.System, app.Topology, NDArray[np.float64]]:
    """Carbon atoms on springs to their own points along x: 3 · number oscillators of `stiffness` in kJ/mol/nm²."""
    system = openmm.System()
    springs = openmm.CustomExternalForce(f"0.5*{stiffness}*((x-x0)^2+y^2+z^2)")
    springs.addPerParticleParameter("x0")
    for particle in range(number):
        system.addParticle(12.0)
        springs.addParticle(particle, [0.5 * particle])
    system.addForce(springs)
    return system, topology_of(["C"] * number), np.outer(5.0 * np.arange(number), [1.0, 0.0, 0.0])
