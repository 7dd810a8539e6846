"""Snapshots: positions, energies and forces of each start that a context steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_hybrid.core.units import ANGSTROM_PER_NM, KCAL_PER_KJ
from openmm_hybrid.sampling.minimize import forces_of, minimize_context, potential_energy, set_positions

FAR = 10.0
"""Distance from the origin, nm, beyond which a replica is moved back; farther away single precision loses digits."""


@dataclass(frozen=True)
class Snapshot:
    """Positions, energies and forces of the starts that one context steps, at one moment.

    Parameters
    ----------
    positions : (n_starts, n_atoms, 3), nm
    box : three Vec3, nm
    potential, kinetic : (n_starts,), kcal/mol
    forces : (n_starts, n_atoms, 3), kJ/mol/nm
    """

    positions: NDArray[np.float64]
    box: Any
    potential: NDArray[np.float64]
    kinetic: NDArray[np.float64]
    forces: NDArray[np.float64]

    def finite(self, start: int) -> bool:
        """Whether all numbers of a start are finite."""
        parts = (self.positions[start], self.forces[start], self.potential[start], self.kinetic[start])
        return all(bool(np.isfinite(part).all()) for part in parts)


def observe(context: openmm.Context) -> Snapshot:
    """Snapshot of a context that steps one start."""
    state = context.getState(positions=True, energy=True, forces=True)
    kinetic = float(state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)) * KCAL_PER_KJ
    return Snapshot(
        positions=_numbers(state.getPositions(asNumpy=True), unit.nanometer)[None],
        box=state.getPeriodicBoxVectors(),
        potential=np.array([potential_energy(state)]),
        kinetic=np.array([kinetic]),
        forces=forces_of(state)[None],
    )


@final
class Copies:
    """Observer of the replicas in one context, for which OpenMM computes only the sum of the energies.

    The potential energy of each copy is computed for the molecule alone, in a second context. Kinetic energies come
    from the velocities, as in OpenMM's Langevin integrators.

    Parameters
    ----------
    alone : openmm.Context
        Context of one copy, with the same global parameters.
    """

    def __init__(self, alone: openmm.Context) -> None:
        self._alone, system = alone, alone.getSystem()
        self._masses = np.array([system.getParticleMass(i)._value for i in range(system.getNumParticles())])

    def minimized(self, starts: NDArray[np.float64], topology: app.Topology) -> NDArray[np.float64]:
        """Local minimum (n_starts, n_atoms, 3), Å, of each start (n_starts, n_atoms, 3), Å."""
        found = []
        for start in starts:
            set_positions(self._alone, start)
            minimize_context(self._alone, topology=topology)
            positions = self._alone.getState(positions=True).getPositions(asNumpy=True)
            found.append(_numbers(positions, unit.nanometer) * ANGSTROM_PER_NM)
        return np.array(found)

    def observe(self, context: openmm.Context) -> Snapshot:
        """Snapshot of all replicas of a context."""
        state = context.getState(positions=True, velocities=True, forces=True)
        shape = (-1, len(self._masses), 3)
        positions = _numbers(state.getPositions(asNumpy=True), unit.nanometer).reshape(shape)
        velocities = _numbers(state.getVelocities(asNumpy=True), unit.nanometer / unit.picosecond).reshape(shape)
        return Snapshot(
            positions=positions,
            box=state.getPeriodicBoxVectors(),
            potential=np.array([self._potential(copy) for copy in positions]),
            kinetic=0.5 * KCAL_PER_KJ * np.einsum("raj,raj,a->r", velocities, velocities, self._masses),
            forces=forces_of(state).reshape(shape),
        )

    def _potential(self, positions: NDArray[np.float64]) -> float:
        if not np.isfinite(positions).all():
            return np.nan
        self._alone.setPositions(positions)
        return potential_energy(self._alone.getState(energy=True))


def recentre(context: openmm.Context, snapshot: Snapshot) -> None:
    """Move replicas that have diffused far away back to the origin; no force depends on where a replica is."""
    centres = snapshot.positions.mean(axis=1, keepdims=True)
    away = np.linalg.norm(centres, axis=-1, keepdims=True) > FAR
    if away.any():
        context.setPositions((snapshot.positions - np.where(away, centres, 0.0)).reshape(-1, 3))


def _numbers(quantity: Any, target: unit.Unit) -> NDArray[np.float64]:
    return np.asarray(quantity.value_in_unit(target), dtype=np.float64)
