"""Hydrogen chloride with a harmonic bond or a Morse bond, whose frequencies are known."""

from __future__ import annotations

import numpy as np
import openmm
from numpy.typing import NDArray
from scipy import constants

import openmm_hybrid as oh
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.studies.subject import masses
from tests.helpers.oscillators import topology_of

K = 600.0  # kcal/mol/Å²
LENGTH = 1.2  # Å
CHLORIDE = oh.Molecule.from_smiles("Cl")
WEIGHTS = masses(CHLORIDE)
WAVENUMBER = np.sqrt(K * 4184.0 * 1e20 / constants.N_A / (WEIGHTS.prod() / WEIGHTS.sum() * constants.atomic_mass)) / (
    200.0 * np.pi * constants.speed_of_light
)
"""cm⁻¹: √(k/μ)/2πc."""


def harmonic(charge: float = 0.2) -> oh.ForceField:
    """Hydrogen chloride with a harmonic bond."""
    system, force = openmm.System(), openmm.HarmonicBondForce()
    nonbonded = openmm.NonbondedForce()
    for weight, sign in zip(WEIGHTS, (-1, 1), strict=True):
        system.addParticle(weight)
        nonbonded.addParticle(sign * charge, 0.3, 0.0)
    nonbonded.addException(0, 1, 0.0, 0.1, 0.0)
    force.addBond(0, 1, 0.1 * LENGTH, K * 418.4)
    system.addForce(force)
    system.addForce(nonbonded)
    topology = topology_of(["Cl", "H"])
    topology.addBond(*topology.atoms())
    return oh.ForceField.from_system(system, topology)


class Morse(EnergyModel):
    """E = D (1 − exp(−a (r − r0)))² of hydrogen chloride."""

    depth = 100.0

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        return CHLORIDE.atomic_numbers

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        a = np.sqrt(K / (2 * self.depth))
        difference = positions[:, 1] - positions[:, 0]
        r = np.linalg.norm(difference, axis=-1)
        decay = np.exp(-a * (r - LENGTH))
        pull = (2 * a * self.depth * (1 - decay) * decay / r)[:, None] * difference
        return self.depth * (1 - decay) ** 2, np.stack([pull, -pull], axis=1)
