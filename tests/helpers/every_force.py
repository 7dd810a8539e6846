"""Ethanol with one force of every kind that replicas can copy."""

from __future__ import annotations

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

from tests.helpers.boxes import BONDS, ETHANOL, NUMBERS
from tests.helpers.oscillators import topology_of


def ethanol() -> tuple[openmm.System, app.Topology]:
    """Every kind of force that can be copied, with arbitrary numbers, on ethanol's nine atoms."""
    system = openmm.System()
    topology = topology_of([app.Element.getByAtomicNumber(number).symbol for number in NUMBERS])
    atoms = list(topology.atoms())
    for i, j in BONDS:
        topology.addBond(atoms[i], atoms[j])
    for number in NUMBERS:
        system.addParticle(app.Element.getByAtomicNumber(number).mass)
    bonds, angles, torsions = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.PeriodicTorsionForce()
    for i, j in BONDS:
        bonds.addBond(i, j, np.linalg.norm(ETHANOL[i] - ETHANOL[j]) / 10, 2e5 + 1e3 * i)
    angles.addAngle(0, 1, 2, 1.9, 500.0)
    torsions.addTorsion(0, 1, 2, 8, 3, 0.1, 2.0)
    nonbonded = openmm.NonbondedForce()
    for k in range(9):
        nonbonded.addParticle(0.1 * (-1) ** k + 0.01 * k, 0.25 + 0.01 * k, 0.1 + 0.05 * k)
    nonbonded.createExceptionsFromBonds(BONDS, 1 / 1.2, 0.5)
    nonbonded.setForceGroup(2)
    ryckaert, cmap, compound = (
        openmm.RBTorsionForce(),
        openmm.CMAPTorsionForce(),
        openmm.CustomCompoundBondForce(3, "k*(distance(p1,p2)-distance(p2,p3))"),
    )
    ryckaert.addTorsion(3, 0, 1, 2, 1.0, 0.5, 0.2, 0.0, 0.1, 0.3)
    cmap.addMap(4, np.sin(np.arange(16.0)).tolist())
    cmap.addTorsion(0, 3, 0, 1, 2, 0, 1, 2, 8)
    compound.addPerBondParameter("k")
    compound.addBond([3, 0, 4], [7.0])
    stretch, bend = openmm.CustomBondForce("s*(r-r0)^4"), openmm.CustomAngleForce("a*theta")
    stretch.addGlobalParameter("s", 3.0)
    stretch.addPerBondParameter("r0")
    stretch.addBond(0, 2, [0.2])
    bend.addPerAngleParameter("a")
    bend.addAngle(3, 0, 4, [2.0])
    twist = openmm.CustomTorsionForce("cos(theta)")
    twist.addTorsion(4, 0, 1, 6)
    pull = openmm.CustomExternalForce("10*x^2")
    pull.addParticle(8)
    for force in (bonds, angles, torsions, nonbonded, ryckaert, cmap, compound, stretch, bend, twist, pull):
        system.addForce(force)
    return system, topology


def geometries(number: int, seed: int = 0) -> NDArray[np.float64]:
    """Distorted ethanols, all in the same place."""
    return ETHANOL + np.random.default_rng(seed).normal(scale=0.05, size=(number, 9, 3))
