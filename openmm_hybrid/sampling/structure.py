"""Faults of a geometry that a chemist recognises: fused atoms, broken bonds, straight angles under a dihedral."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit
from scipy.spatial import cKDTree

from openmm_hybrid.core.units import ANGSTROM_PER_NM

NEAREST = 0.5
"""Distance below which two atoms have fused, Å (the shortest bond, H-H, has 0.74 Å)."""

STRETCHED = 1.5
"""Length above which a bond has broken, relative to its length in the start."""

BARE = "has a charge but no Lennard-Jones repulsion, so that nothing keeps it from an opposite charge"
BETTER = "build with a force field that gives this hydrogen a Lennard-Jones term, such as gaff-2.2.20"

_AT_LEAST = 0.5  # smallest increase of a broken bond, Å
_DIHEDRAL = r"dihedral\(" + r"\s*,\s*".join([r"p(\d+)"] * 4)  # in an expression of OpenMM
_STRAIGHT = 1e-4  # sine of an angle whose dihedral has no direction
_NAMED = 6  # largest number of atoms that a message names
_HYDROGEN = 4.5  # largest mass of a hydrogen, with the repartitioned masses too, amu


@final
@dataclass(frozen=True, eq=False)
class Structure:
    """Names and bonds of the atoms of a System, and the faults that a geometry of them has.

    Parameters
    ----------
    system : openmm.System
    names : (n_atoms,) str
        Names for messages, such as "H5 (atom 9)".
    bonds : (n_bonds, 2)
        Bonds of the topology, harmonic bonds of the System, and its constraints.
    """

    system: openmm.System
    names: tuple[str, ...]
    bonds: NDArray[np.int64]

    @classmethod
    def of(cls, system: openmm.System, topology: app.Topology | None = None) -> Structure:
        """The structure of a System; without a topology the elements follow from the masses."""
        masses = [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())]
        known = None if topology is None or topology.getNumAtoms() != len(masses) else list(topology.atoms())
        if known is not None:
            names = tuple(f"{atom.name} (atom {atom.index})" for atom in known)
        else:
            names = tuple(f"{i} ({_symbol(mass)})" for i, mass in enumerate(masses))
        pairs = set(_bonds_of_system(system))
        if known is not None and topology is not None:
            pairs |= {(bond[0].index, bond[1].index) for bond in topology.bonds()}
        ordered = sorted({(min(pair), max(pair)) for pair in pairs})
        return cls(system, names, np.array(ordered, dtype=np.int64).reshape(-1, 2))

    def named(self, atoms: Sequence[int]) -> str:
        """Names of some atoms for a message: the first six, and the number of the others."""
        few = ", ".join(self.names[atom] for atom in atoms[:_NAMED])
        return few + (f" and {len(atoms) - _NAMED} more" if len(atoms) > _NAMED else "")

    def fused(
        self, positions: NDArray[np.float64], box: Any = None, *, apart: float = NEAREST
    ) -> tuple[int, int, float] | None:
        """The two interacting atoms that are nearest to each other, and their distance in Å; None if none have fused.

        Parameters
        ----------
        positions : (n_atoms, 3), Å
        box : (3, 3), Å, optional
            Periodic box; images count if its edges are orthogonal.
        apart : float
            Smallest distance of two atoms without a bond, Å; for bonded atoms it is `NEAREST`.
        """
        real = np.flatnonzero([self.system.getParticleMass(i)._value > 0 for i in range(len(positions))])
        points, edges = positions[real], None
        if box is not None and np.count_nonzero(box - np.diag(np.diag(box))) == 0:
            edges = np.diag(box)
            points = np.mod(points, edges) % edges  # the second one turns a result of exactly one edge into 0
        if not np.isfinite(points).all():
            return None
        near = cKDTree(points, boxsize=edges).query_pairs(apart, output_type="ndarray")
        if not len(near):
            return None
        gaps = points[near[:, 0]] - points[near[:, 1]]
        if edges is not None:
            gaps -= edges * np.round(gaps / edges)
        distances = np.linalg.norm(gaps, axis=1)
        excluded = self._without_interaction()
        for row in np.argsort(distances, kind="stable"):
            i, j = sorted(real[near[row]].tolist())
            if not excluded(i, j) and (distances[row] < NEAREST or not self._bonded(i, j)):
                return i, j, float(distances[row])
        return None

    def fused_text(self, pair: tuple[int, int, float]) -> tuple[str, str]:
        """Sentence about two fused atoms, and a hint."""
        i, j, distance = pair
        kind = "bonded" if self._bonded(i, j) else "not bonded"
        met = "fused: they are" if distance < NEAREST else "collided: they came as close as"
        text = f"atoms {self.names[i]} and {self.names[j]}, which are {kind}, have {met} {distance:.2g} Å"
        text += " apart" if distance < NEAREST else ""
        bare = [atom for atom in (i, j) if self.bare(atom)]
        if not bare:
            return text, "check the nonbonded parameters of the two atoms, and the geometry"
        return f"{text}; {self.named(bare)} {BARE}", BETTER

    def broken(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[int, int, float, float] | None:
        """The bond (i, j) that is stretched most, with its lengths before and after, Å; None if no bond has broken.

        `before` and `after` are geometries (n_atoms, 3) in Å.
        """
        if not len(self.bonds) or not np.isfinite(after).all():
            return None
        first, second = self.bonds.T
        old = np.linalg.norm(before[first] - before[second], axis=1)
        new = np.linalg.norm(after[first] - after[second], axis=1)
        apart = (new > STRETCHED * old) & (new > old + _AT_LEAST)
        if not apart.any():
            return None
        worst = int(np.argmax(np.where(apart, new - old, -np.inf)))
        return int(first[worst]), int(second[worst]), float(old[worst]), float(new[worst])

    def straight(self, positions: NDArray[np.float64], atoms: Sequence[int]) -> tuple[int, ...] | None:
        """Three atoms in a line that a dihedral of some of `atoms` goes through; None if there are none."""
        wanted = set(atoms)
        for quartet in _dihedrals(self.system):
            for triple in (quartet[:3], quartet[1:]):
                arms = positions[list(triple[::2])] - positions[triple[1]]
                lengths = np.linalg.norm(arms, axis=1)
                sine = np.linalg.norm(np.cross(*arms)) / lengths.prod() if lengths.all() else 1.0
                if sine < _STRAIGHT and wanted.intersection(quartet):
                    return triple
        return None

    def why_not_finite(
        self, positions: NDArray[np.float64], forces: NDArray[np.float64], box: Any = None
    ) -> tuple[str, str]:
        """Cause of forces (n_atoms, 3) that are not finite at `positions` (n_atoms, 3) in Å, and a hint."""
        atoms = np.flatnonzero(~np.isfinite(forces).all(axis=1)).tolist()
        where = f"the forces on {self.named(atoms)} are not finite" if atoms else "the energy is not finite"
        pair = self.fused(positions, box)
        if pair is not None and pair[2] < _STRAIGHT:
            return (
                f"{where}: atoms {self.names[pair[0]]} and {self.names[pair[1]]} are at the same place",
                "correct the geometry",
            )
        if pair is not None:
            return f"{where}: {self.fused_text(pair)[0]}", "correct the geometry"
        line = self.straight(positions, atoms)
        if line is not None:
            return (
                f"{where}: {'-'.join(self.names[atom] for atom in line)} is a straight angle with a dihedral through "
                "it, and a dihedral has no direction there",
                "remove the torsion through this angle, or bend the angle by 0.01 degrees",
            )
        return where, "check the geometry there and the terms of these atoms"

    def _bonded(self, i: int, j: int) -> bool:
        return bool((self.bonds == (i, j)).all(axis=1).any())

    def bare(self, atom: int) -> bool:
        """Whether an atom has a charge and no Lennard-Jones term."""
        for force in self.system.getForces():
            if isinstance(force, openmm.NonbondedForce):
                charge, _, epsilon = force.getParticleParameters(atom)
                return bool(charge._value != 0.0 and epsilon._value == 0.0)
        return False

    def _without_interaction(self) -> Any:
        """Function that tells for two atoms whether no force of the System can act between them."""
        forces = self.system.getForces()
        pairwise = (openmm.NonbondedForce, openmm.CustomNonbondedForce, openmm.AmoebaVdwForce, openmm.CustomGBForce)
        if not any(isinstance(force, pairwise) for force in forces):
            parts = _components(self.bonds, len(self.names))
            return lambda i, j: parts[i] != parts[j]
        bonded = {tuple(pair) for pair in self.bonds.tolist()}
        off = set()
        for force in forces:
            if isinstance(force, openmm.NonbondedForce):
                for k in range(force.getNumExceptions()):
                    i, j, charge, _, epsilon = force.getExceptionParameters(k)
                    if charge._value == 0.0 and epsilon._value == 0.0:
                        off.add((min(i, j), max(i, j)))
        return lambda i, j: (i, j) in off and (i, j) not in bonded


def box_of(state: openmm.State) -> NDArray[np.float64]:
    """Periodic box vectors (3, 3) of a state, Å."""
    return np.array(state.getPeriodicBoxVectors().value_in_unit(unit.nanometer)) * ANGSTROM_PER_NM


def _symbol(mass: float) -> str:
    if mass <= 0:
        return "site without mass"
    if mass < _HYDROGEN:
        return "H"
    found = app.Element.getByMass(mass)
    return "?" if found is None else str(found.symbol)


def _bonds_of_system(system: openmm.System) -> Iterator[tuple[int, int]]:
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            for k in range(force.getNumBonds()):
                i, j, _, _ = force.getBondParameters(k)
                yield i, j
    for k in range(system.getNumConstraints()):
        i, j, _ = system.getConstraintParameters(k)
        yield i, j


def _dihedrals(system: openmm.System) -> Iterator[tuple[int, ...]]:
    """The four atoms of each term that contains a dihedral angle."""
    for force in system.getForces():
        if isinstance(force, openmm.PeriodicTorsionForce | openmm.RBTorsionForce | openmm.CustomTorsionForce):
            for k in range(force.getNumTorsions()):
                yield tuple(force.getTorsionParameters(k)[:4])
        elif isinstance(force, openmm.CMAPTorsionForce):
            for k in range(force.getNumTorsions()):
                atoms = force.getTorsionParameters(k)[1:]
                yield tuple(atoms[:4])
                yield tuple(atoms[4:])
        elif isinstance(force, openmm.CustomCompoundBondForce):
            found = set(re.findall(_DIHEDRAL, force.getEnergyFunction()))
            for k in range(force.getNumBonds() if found else 0):
                atoms = force.getBondParameters(k)[0]
                for points in found:
                    yield tuple(atoms[int(point) - 1] for point in points)


def _components(bonds: NDArray[np.int64], n_atoms: int) -> NDArray[np.int32]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n_atoms, n_atoms))
    return np.asarray(connected_components(graph, directed=False)[1])
