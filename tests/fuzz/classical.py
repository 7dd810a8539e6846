"""A random classical force field for a molecule, with values near those of GAFF, as an OpenMM System in vacuum.

Equilibrium values come from the geometry, force constants and barriers from ranges that contain most of GAFF's, charges
from Gasteiger's method, and Lennard-Jones parameters from GAFF's values for the element. No program for atom types is
needed, so that a System takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

from openmm_hybrid import Molecule
from openmm_hybrid.charges.equivalent import symmetrized
from openmm_hybrid.core.geometry import angle, distance
from openmm_hybrid.core.units import ANGSTROM_PER_NM, KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.forcefield.paths import angles, chains
from tests.fuzz.draw import Classical
from tests.helpers.gaff_molecules import gasteiger

WELLS = {
    1: (2.6, 0.0157), 6: (3.4, 0.109), 7: (3.25, 0.17), 8: (2.96, 0.21), 9: (3.12, 0.061), 15: (3.74, 0.2),
    16: (3.56, 0.25), 17: (3.47, 0.265), 35: (3.61, 0.393), 53: (3.84, 0.495),
}  # fmt: skip
"""σ (Å) and ε (kcal/mol) by element."""
STRAIGHT = np.radians(165.0)
"""Angles above it count as straight, so that hardly any proper goes through them, as in GAFF."""


def types_of(molecule: Molecule, style: str) -> tuple[str, ...] | None:
    """Types of the atoms; None for those that `ForceField.from_system` makes."""
    if style == "classes":
        return None
    return tuple(
        f"{symbol.lower()}{len(near)}" for symbol, near in zip(molecule.elements, molecule.neighbours, strict=True)
    )


def make_topology(molecule: Molecule) -> app.Topology:
    """Topology of the molecule alone."""
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    atoms = [
        topology.addAtom(f"{symbol}{k}", app.Element.getBySymbol(symbol), residue)
        for k, symbol in enumerate(molecule.elements)
    ]
    for i, j in molecule.bonds.tolist():
        topology.addBond(atoms[i], atoms[j])
    return topology


def make_system(molecule: Molecule, style: Classical, rng: np.random.Generator) -> openmm.System:
    """The System of the molecule alone."""
    system = openmm.System()
    for symbol in molecule.elements:
        system.addParticle(app.Element.getBySymbol(symbol).mass)
    drawn = _Drawn(molecule, style, rng)
    for force in (_bonds(molecule, drawn), _angles(molecule, drawn), _torsions(molecule, style, drawn)):
        system.addForce(force)
    system.addForce(_pairs(molecule, style, drawn))
    return system


class _Drawn:
    """Random rows of parameters, equal for equivalent terms unless the style says otherwise."""

    def __init__(self, molecule: Molecule, style: Classical, rng: np.random.Generator) -> None:
        self.rng, self._per_term = rng, style.per_term
        self._classes = molecule.symmetry_classes.tolist()
        self._known: dict[tuple[object, ...], tuple[float, ...]] = {}

    def row(self, noun: str, atoms: Sequence[int], make: Callable[[], tuple[float, ...]]) -> tuple[float, ...]:
        """The parameters of a term."""
        classes = tuple(self._classes[atom] for atom in atoms)
        key = (noun, *(atoms if self._per_term else min(classes, classes[::-1])))
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]


def _bonds(molecule: Molecule, drawn: _Drawn) -> openmm.HarmonicBondForce:
    force, r = openmm.HarmonicBondForce(), molecule.positions
    for i, j in molecule.bonds.tolist():

        def make(i: int = i, j: int = j) -> tuple[float, ...]:
            length = float(distance(r[None], [[i, j]])[0, 0]) * drawn.rng.normal(1.0, 0.01)
            return length * NM_PER_ANGSTROM, drawn.rng.uniform(400.0, 1200.0) * KJ_PER_KCAL * ANGSTROM_PER_NM**2

        force.addBond(i, j, *drawn.row("bond", (i, j), make))
    return force


def _angles(molecule: Molecule, drawn: _Drawn) -> openmm.HarmonicAngleForce:
    force = openmm.HarmonicAngleForce()
    for atoms in angles(molecule.bonds):

        def make(atoms: tuple[int, ...] = atoms) -> tuple[float, ...]:
            there = _angle(molecule, atoms)
            equilibrium = np.pi if there > STRAIGHT else there + drawn.rng.normal(scale=0.03)
            return min(equilibrium, np.pi), drawn.rng.uniform(60.0, 180.0) * KJ_PER_KCAL

        force.addAngle(*atoms, *drawn.row("angle", atoms, make))
    return force


def _torsions(molecule: Molecule, style: Classical, drawn: _Drawn) -> openmm.PeriodicTorsionForce:
    force = openmm.PeriodicTorsionForce()
    for atoms in chains(molecule.bonds):
        straight = max(_angle(molecule, atoms[k : k + 3]) for k in (0, 1)) > STRAIGHT
        for n in (1, 2, 3, 4):

            def make(straight: bool = straight) -> tuple[float, ...]:
                present = drawn.rng.random() < (0.05 if straight else 0.45)
                phase = drawn.rng.uniform(-3.0, 3.0) if style.phases else float(drawn.rng.choice([0.0, np.pi]))
                return phase, KJ_PER_KCAL * drawn.rng.gamma(1.0, 1.0) if present else 0.0

            phase, k = drawn.row(f"proper{n}", atoms, make)
            if k:
                force.addTorsion(*atoms, n, phase, k)
    for centre, near in enumerate(molecule.neighbours):
        if len(near) == 3 and style.improper_style != "none":
            _add_impropers(force, centre, sorted(near), style, drawn)
    return force


def _add_impropers(
    force: openmm.PeriodicTorsionForce, centre: int, near: list[int], style: Classical, drawn: _Drawn
) -> None:
    def make() -> tuple[float, ...]:
        return (drawn.rng.uniform(0.5, 10.0) * KJ_PER_KCAL,)

    (k,) = drawn.row("improper", (centre,), make)
    i, j, last = near
    if style.improper_style == "amber":
        force.addTorsion(i, j, centre, last, 2, np.pi, k)
        return
    for order in ((i, j, last), (j, last, i), (last, i, j)):
        force.addTorsion(centre, *order, 2, np.pi, k / 3.0)


def _pairs(molecule: Molecule, style: Classical, drawn: _Drawn) -> openmm.NonbondedForce:
    force, rng = openmm.NonbondedForce(), drawn.rng
    charges = gasteiger(molecule) * rng.uniform(0.8, 1.6) + rng.normal(scale=0.02, size=molecule.n_atoms)
    charges = symmetrized(charges, molecule)
    if style.per_term:
        moved = charges + rng.normal(scale=0.02, size=molecule.n_atoms)
        charges = moved + (molecule.charge - moved.sum()) / molecule.n_atoms
    for atom, (number, charge) in enumerate(zip(molecule.atomic_numbers.tolist(), charges.tolist(), strict=True)):
        sigma, epsilon = drawn.row("well", (atom,), lambda number=number: _well(number, rng))  # type: ignore[misc]
        bare = number == 1 and molecule.atomic_numbers[molecule.neighbours[atom][0]] == 8
        force.addParticle(charge, sigma, 0.0 if bare else epsilon)
    force.createExceptionsFromBonds(molecule.bonds.tolist(), *style.scales)
    return force


def _well(number: int, rng: np.random.Generator) -> tuple[float, float]:
    sigma, epsilon = WELLS[number]
    return sigma * rng.uniform(0.95, 1.05) * NM_PER_ANGSTROM, epsilon * rng.uniform(0.7, 1.3) * KJ_PER_KCAL


def _angle(molecule: Molecule, atoms: Sequence[int]) -> float:
    return float(angle(molecule.positions[None], [list(atoms)])[0, 0])


def distorted(molecule: Molecule, by: float, n_frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Distorted geometries (n_frames, n_atoms, 3), Å."""
    return molecule.positions + rng.normal(scale=by, size=(n_frames, molecule.n_atoms, 3))
