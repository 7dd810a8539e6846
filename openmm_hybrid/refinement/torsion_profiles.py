"""Torsion profiles of the rotors of a molecule: relaxed scans, and their deviations from reference energies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.core.units import KCAL_PER_KJ
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.diagnose.coordinates import rotatable_bonds, sampled_straight_angles
from openmm_hybrid.models import held_dihedrals
from openmm_hybrid.models.held_dihedrals import HeldDihedral
from openmm_hybrid.refinement.check_results import Rotor
from openmm_hybrid.sampling.minimize import minimize_context, positions_of, potential_energy, set_positions
from openmm_hybrid.sampling.platform import choose_platform

Floats = NDArray[np.float64]

_STIFFNESS = 1000.0  # of the restraint, kcal/mol/rad²: a slope of 15 kcal/mol/rad shifts the angle by 0.9°
_ASTRAY = np.radians(5.0)  # deviation from the wanted angle from which on a geometry does not count
_TOLERANCE = 0.02  # root mean square force of a relaxed geometry, kcal/mol/Å
_HIGH = 40.0  # largest energy of a training geometry above that of the others, kcal/mol
_FRICTION, _TIMESTEP, _APART = 10.0, 0.001, 200  # 1/ps, ps, and steps between frames of dynamics with a held dihedral
_GROUP = 31  # force group of the restraint


def rotors(molecule: Molecule, geometries: Floats) -> list[Rotor]:
    """Rotors of a molecule: single bonds outside rings with another heavy atom at both ends.

    Of topologically equivalent bonds, which share their parameters, only the first one is in the list. Bonds at a
    straight angle, as beside a triple bond, are not. The bonds that move the most heavy atoms come first.

    Parameters
    ----------
    molecule : Molecule
    geometries : (n_frames, n_atoms, 3), Å
        Geometries that tell which angles are straight.
    """
    heavy, classes = molecule.atomic_numbers > 1, molecule.symmetry_classes
    straight = sampled_straight_angles(geometries, molecule.bonds)
    centres = {middle for _, middle, _ in straight}
    found: dict[frozenset[int], Rotor] = {}
    for i, j, moved in rotatable_bonds(molecule.bonds, straight):
        around = [[atom for atom in molecule.neighbours[end] if heavy[atom] and atom not in (i, j)] for end in (i, j)]
        single = molecule.rdkit.GetBondBetweenAtoms(i, j).GetBondTypeAsDouble() == 1.0
        if not single or not all(around) or not heavy[[i, j]].all() or centres & {i, j}:
            continue
        ends = [max(atoms, key=lambda atom: (molecule.atomic_numbers[atom], -atom)) for atoms in around]
        name = "–".join(f"{molecule.elements[atom]}{atom}" for atom in sorted((i, j)))
        found.setdefault(frozenset(classes[[i, j]].tolist()), Rotor((ends[0], i, j, ends[1]), moved, name))
    return sorted(found.values(), key=lambda rotor: -int(heavy[list(rotor.moved)].sum()))


def grid(n_angles: int) -> Floats:
    """Dihedrals (n_angles,) of a profile, rad, at equal distances from −π on."""
    return np.linspace(-np.pi, np.pi, n_angles, endpoint=False)


@final
class Relaxation:
    """A force field whose energy is minimised at given dihedrals of rotors.

    It holds one OpenMM Context for all rotors, since a Context with cross terms takes seconds to make. Harmonic
    restraints hold the dihedrals; their energy is never counted.

    Parameters
    ----------
    system : openmm.System
        The molecule in vacuum.
    held : sequence of Rotor
    """

    def __init__(self, system: openmm.System, held: Sequence[Rotor]) -> None:
        copy = openmm.XmlSerializer.clone(system)
        force = openmm.CustomTorsionForce(f"0.5*stiffness*min(off, {2 * np.pi!r} - off)^2; off = abs(theta - wanted)")
        force.addGlobalParameter("wanted", 0.0)
        force.addPerTorsionParameter("stiffness")
        for rotor in held:
            force.addTorsion(*rotor.atoms, [0.0])
        force.setForceGroup(_GROUP)
        copy.addForce(force)
        self._held, self._force = tuple(held), force
        integrator = openmm.LangevinMiddleIntegrator(0.0, _FRICTION, _TIMESTEP)
        integrator.setRandomNumberSeed(1)
        self._context = openmm.Context(copy, integrator, *choose_platform(copy, "Reference"))

    def minimum(self, start: Floats) -> Floats:
        """The nearest minimum (n_atoms, 3), Å, without a restraint.

        Raises
        ------
        InputError, NumericalError
            The minimisation failed.
        """
        self._hold(None)
        set_positions(self._context, start)
        minimize_context(self._context, tolerance=_TOLERANCE)
        return positions_of(self._context.getState(positions=True))

    def scan(self, rotor: Rotor, start: Floats, n_angles: int) -> tuple[Floats, Floats]:
        """Geometries of low energy at each angle of the `grid`, reached from a start in small steps.

        The steps go around in both directions. Of the two geometries of an angle the one of lower energy is kept.

        Parameters
        ----------
        rotor : Rotor
        start : (n_atoms, 3), Å
        n_angles : int

        Returns
        -------
        positions : (n_angles, n_atoms, 3), Å
        energies : (n_angles,), kcal/mol
            Infinite where no geometry was found; its positions are zero.
        """
        self._hold(rotor)
        angles = grid(n_angles)
        began = geometry.dihedral(start[None], [rotor.atoms])[0, 0]
        first = int(np.argmin(np.abs(_wrapped(angles - began))))
        positions, energies = np.zeros((n_angles, *start.shape)), np.full(n_angles, np.inf)
        for direction in (1, -1):
            last = start
            for step in range(n_angles):
                index = (first + direction * step) % n_angles
                found, energy = self._relaxed(rotor, turned(last, rotor, angles[index]), angles[index])
                if np.isfinite(energy):
                    last = found
                if energy < energies[index]:
                    positions[index], energies[index] = found, energy
        return positions, energies

    def around(self, rotor: Rotor, start: Floats, n_angles: int, n_each: int, temperature: float) -> Floats:
        """Geometries (n_frames, n_atoms, 3), Å, of a scan, and `n_each` of short dynamics with each dihedral held.

        Angles whose energy is more than 40 kcal/mol above the lowest are left out.

        Parameters
        ----------
        rotor : Rotor
        start : (n_atoms, 3), Å
        n_angles, n_each : int
        temperature : float, K
        """
        positions, energies = self.scan(rotor, start, n_angles)
        integrator = self._context.getIntegrator()
        integrator.setTemperature(temperature)
        frames = [positions[:0]]
        for index in np.flatnonzero(np.isfinite(energies) & (energies <= energies.min() + _HIGH)).tolist():
            self._context.setParameter("wanted", float(grid(n_angles)[index]))
            set_positions(self._context, positions[index])
            self._context.setVelocitiesToTemperature(temperature, index + 1)
            frames.append(positions[index : index + 1])
            for _ in range(n_each):
                integrator.step(_APART)
                frames.append(positions_of(self._context.getState(positions=True))[None])
        return np.concatenate(frames)

    def energies(self, rotor: Rotor, positions: Floats, angles: Floats) -> Floats:
        """Energies (n_frames,), kcal/mol, of geometries relaxed at dihedrals (n_frames,), rad.

        Each geometry (n_frames, n_atoms, 3), Å, is relaxed on its own; the energy is infinite where that fails.
        """
        self._hold(rotor)
        pairs = zip(positions, angles.tolist(), strict=True)
        return np.array([self._relaxed(rotor, start, angle)[1] for start, angle in pairs])

    def _hold(self, held: Rotor | None) -> None:
        """Switch on the restraint of one rotor, or none."""
        for index, rotor in enumerate(self._held):
            self._force.setTorsionParameters(index, *rotor.atoms, [_STIFFNESS / KCAL_PER_KJ * (rotor == held)])
        if self._held:
            self._force.updateParametersInContext(self._context)

    def _relaxed(self, rotor: Rotor, start: Floats, angle: float) -> tuple[Floats, float]:
        """Relaxed geometry (n_atoms, 3), Å, and its energy, kcal/mol, which is infinite if the minimisation fails."""
        try:
            self._context.setParameter("wanted", float(angle))
            set_positions(self._context, start)
            minimize_context(self._context, tolerance=_TOLERANCE)
        except (InputError, NumericalError):  # atoms overlap at the start, or fuse on the way
            return start, float("inf")
        found = positions_of(self._context.getState(positions=True))
        reached = geometry.dihedral(found[None], [rotor.atoms])[0, 0]
        if abs(_wrapped(reached - angle)) > _ASTRAY:
            return start, float("inf")
        return found, potential_energy(self._context.getState(energy=True, groups=set(range(_GROUP))))


def turned(positions: Floats, rotor: Rotor, angle: float) -> Floats:
    """A geometry (n_atoms, 3), Å, with the dihedral of a rotor at an angle, rad, by a rotation about the bond."""
    held = HeldDihedral(rotor.atoms, rotor.moved)
    return held_dihedrals.turned(positions[None], [held], np.array([[angle]]))[0]


def _wrapped(angles: Any) -> Any:
    """Angles in [−π, π), rad."""
    return (np.asarray(angles) + np.pi) % (2.0 * np.pi) - np.pi
