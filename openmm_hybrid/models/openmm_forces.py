"""Layout of the terms in OpenMM's bonded forces, for everything that reads, writes or copies Systems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import openmm
from openmm import unit


class Term(NamedTuple):
    """Particles of one term, and its other arguments as numbers in OpenMM's units (nm, kJ/mol, rad)."""

    particles: tuple[int, ...]
    values: tuple[Any, ...]


@final
@dataclass(frozen=True)
class TermLayout:
    """Names of a force's methods for its terms, and the order of their arguments.

    Parameters
    ----------
    noun : {"Bond", "Angle", "Torsion", "Particle"}
        Name of the terms in the force's methods, such as getNumBonds and addBond.
    n_particles : int
        Particles of a term; 0 where they are one argument, a list.
    first : int
        Index of the first particle among the arguments.
    """

    noun: str
    n_particles: int
    first: int = 0

    def terms(self, force: openmm.Force) -> Iterator[Term]:
        """All terms of a force, without units."""
        get = getattr(force, f"get{self.noun}Parameters")
        for index in range(getattr(force, f"getNum{self.noun}s")()):
            arguments = [item._value if unit.is_quantity(item) else item for item in get(index)]
            if not self.n_particles:
                yield Term(tuple(arguments[0]), tuple(arguments[1:]))
                continue
            end = self.first + self.n_particles
            yield Term(tuple(arguments[self.first : end]), (*arguments[: self.first], *arguments[end:]))

    def add(self, force: openmm.Force, particles: Sequence[int], values: Sequence[Any]) -> None:
        """Add one term to a force."""
        getattr(force, f"add{self.noun}")(*self._arguments(particles, values))

    def set(self, force: openmm.Force, index: int, particles: Sequence[int], values: Sequence[Any]) -> None:
        """Replace the term `index` of a force."""
        getattr(force, f"set{self.noun}Parameters")(index, *self._arguments(particles, values))

    def _arguments(self, particles: Sequence[int], values: Sequence[Any]) -> list[Any]:
        if not self.n_particles:
            return [list(particles), *values]
        return [*values[: self.first], *particles, *values[self.first :]]


LAYOUTS: dict[type[openmm.Force], TermLayout] = {
    openmm.HarmonicBondForce: TermLayout("Bond", 2),
    openmm.HarmonicAngleForce: TermLayout("Angle", 3),
    openmm.PeriodicTorsionForce: TermLayout("Torsion", 4),
    openmm.RBTorsionForce: TermLayout("Torsion", 4),
    openmm.CMAPTorsionForce: TermLayout("Torsion", 8, first=1),
    openmm.CustomBondForce: TermLayout("Bond", 2),
    openmm.CustomAngleForce: TermLayout("Angle", 3),
    openmm.CustomTorsionForce: TermLayout("Torsion", 4),
    openmm.CustomCompoundBondForce: TermLayout("Bond", 0),
    openmm.CustomExternalForce: TermLayout("Particle", 1),
}
"""Layout of each kind of force whose terms act on a few particles."""


def terms_of(force: openmm.Force) -> Iterator[Term]:
    """All terms of a force of one of the kinds in `LAYOUTS`, without units."""
    return LAYOUTS[type(force)].terms(force)
