"""GAFF as a base force field: types, then parameters from GAFF's tables for every bond, angle and torsion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TypeVar, final

import numpy as np

from openmm_hybrid.bases.base import Base
from openmm_hybrid.bases.gaff.dat_parameters import (
    VERSIONS,
    Cosine,
    LennardJones,
    Parameters,
    load_gaff,
    order_improper,
)
from openmm_hybrid.bases.gaff.notes import notes
from openmm_hybrid.bases.gaff.types import antechamber_types, molecule_parameters, openff_types
from openmm_hybrid.bases.template import Template, atom_names
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.ffxml import HarmonicTerm, TorsionTerm
from openmm_hybrid.core.units import ANGSTROM_PER_NM, KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.data.elements import check_gaff_elements
from openmm_hybrid.data.molecule import Molecule

T = TypeVar("T")

TYPINGS = ("antechamber", "openff")


@final
class Gaff(Base):
    """GAFF: types from antechamber, parameters from GAFF's tables, missing ones by analogy from parmchk2.

    J. Wang et al., J. Comput. Chem. 25, 1157 (2004).

    Parameters
    ----------
    version : {"1.81", "2.11", "2.2.20"}, also "1.4", "1.7", "1.8", "2.1"
    typing : {"antechamber", "openff"}
        Program that assigns the atom types; "openff" is the GAFFTemplateGenerator of openmmforcefields, which needs
        openff-toolkit.

    Raises
    ------
    InputError
        Unknown version or typing.
    """

    family = "gaff"

    def __init__(self, version: str = "1.81", *, typing: str = "antechamber") -> None:
        load_gaff(version)
        if typing not in TYPINGS:
            raise InputError(f"unknown typing {typing!r}", expected=" or ".join(map(repr, TYPINGS)))
        self.version = version
        self.typing = typing

    @classmethod
    def versions(cls) -> tuple[str, ...]:
        """See `Base.versions`."""
        return VERSIONS

    def check(self, molecule: Molecule) -> None:
        """See `Base.check`."""
        check_gaff_elements(molecule)

    def template(self, molecule: Molecule) -> Template:
        """See `Base.template`."""
        types = (openff_types if self.typing == "openff" else antechamber_types)(molecule, self.version)
        parameters = molecule_parameters(molecule, types, self.version)
        template = make_template(molecule, types, parameters, self.version)
        return replace(template, notes=tuple(notes(molecule, types, parameters, self.version)))


def make_template(molecule: Molecule, types: Sequence[str], parameters: Parameters, version: str) -> Template:
    """The template, without charges, of a molecule whose atoms have these GAFF types (n_atoms,).

    Raises
    ------
    InputError
        A term has no parameters in the tables; the message names types and atoms.
    """
    types = tuple(types)
    particles = [_found(parameters.lennard_jones.get(kind), molecule, types, (i,)) for i, kind in enumerate(types)]
    neighbours = molecule.neighbours
    return Template(
        name=f"gaff-{version}",
        molecule=molecule,
        atom_names=atom_names(molecule),
        types=types,
        charges=np.zeros(molecule.n_atoms),
        masses=np.array([parameters.masses[kind] for kind in types]),
        sigmas=np.array([_sigma(particle) for particle in particles]),
        epsilons=np.array([particle.epsilon * KJ_PER_KCAL for particle in particles]),
        bonds=tuple(_bonds(molecule, types, parameters)),
        angles=tuple(_angles(molecule, types, parameters, neighbours)),
        propers=tuple(_propers(molecule, types, parameters, neighbours)),
        impropers=tuple(_impropers(types, parameters, neighbours)),
    )


def _bonds(molecule: Molecule, types: tuple[str, ...], parameters: Parameters) -> Iterator[HarmonicTerm]:
    for i, j in molecule.bonds.tolist():
        bond = _found(parameters.bond((types[i], types[j])), molecule, types, (i, j))
        k = 2.0 * bond.k * KJ_PER_KCAL * ANGSTROM_PER_NM**2
        yield HarmonicTerm((i, j), bond.equilibrium * NM_PER_ANGSTROM, k)


def _angles(
    molecule: Molecule, types: tuple[str, ...], parameters: Parameters, neighbours: Sequence[Sequence[int]]
) -> Iterator[HarmonicTerm]:
    for apex, around in enumerate(neighbours):
        for i, k in combinations(around, 2):
            angle = _found(parameters.angle((types[i], types[apex], types[k])), molecule, types, (i, apex, k))
            yield HarmonicTerm((i, apex, k), angle.equilibrium, 2.0 * angle.k * KJ_PER_KCAL)


def _propers(
    molecule: Molecule, types: tuple[str, ...], parameters: Parameters, neighbours: Sequence[Sequence[int]]
) -> Iterator[TorsionTerm]:
    for j, k in molecule.bonds.tolist():
        for i in neighbours[j]:
            for m in neighbours[k]:
                if i in (k, m) or m == j:
                    continue
                atoms = (i, j, k, m)
                series = _found(parameters.proper([types[atom] for atom in atoms]), molecule, types, atoms)
                yield from (_torsion(atoms, term) for term in series if term.k)


def _impropers(
    types: tuple[str, ...], parameters: Parameters, neighbours: Sequence[Sequence[int]]
) -> Iterator[TorsionTerm]:
    for centre, around in enumerate(neighbours):
        for outer in combinations(around, 3):
            rule = parameters.improper(types[centre], [types[atom] for atom in outer])
            if rule and rule.term.k:
                yield _torsion(order_improper(rule, centre, outer, types), rule.term)


def _torsion(atoms: tuple[int, ...], term: Cosine) -> TorsionTerm:
    return TorsionTerm(atoms, term.periodicity, term.phase, term.k * KJ_PER_KCAL)


def _found(value: T | None, molecule: Molecule, types: Sequence[str], atoms: Sequence[int]) -> T:
    """`value`, or, if it is None, an error that names the atoms without parameters."""
    if value is None:
        kinds = "-".join(types[atom] for atom in atoms)
        raise InputError(
            f"{molecule.name}: GAFF has no parameters for {kinds} (atoms {'-'.join(map(str, atoms))})",
            hint="check bond orders and charges, or give a prmtop (gaff.from_prmtop)",
        )
    return value


def _sigma(particle: LennardJones) -> float:
    """σ in nm: 2^(−1/6) times the distance at the minimum. Without a well it has no effect and is set to 1 Å."""
    rmin = 2.0 * particle.rmin_half if particle.epsilon else 2.0 ** (1.0 / 6.0)
    return rmin / 2.0 ** (1.0 / 6.0) * NM_PER_ANGSTROM
