"""Templates: a molecule with its GAFF terms written out atom by atom, also as an OpenMM residue template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core import ffxml
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.ffxml import HarmonicTerm, TorsionTerm
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.core.units import ANGSTROM_PER_NM, KJ_PER_KCAL, NM_PER_ANGSTROM
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.gaff.assign import atom_names
from openmm_hybrid.gaff.dat_parameters import SCEE, SCNB, Cosine, LennardJones, Parameters, order_improper

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Template:
    """A molecule's particles and GAFF terms in OpenMM's units: nm, rad, kJ/mol, e, amu.

    Parameters
    ----------
    name : str
        Name of the residue template, derived from SMILES, bonds, types and charges: only equal templates share it.
    molecule : Molecule
    atom_names, types : (n_atoms,) str
        `types` are GAFF types.
    charges, masses, sigmas, epsilons : (n_atoms,)
    bonds, angles, propers, impropers : terms
        Terms with atoms, force constants and equilibrium values; torsions without a barrier are left out.
    """

    name: str
    molecule: Molecule
    atom_names: tuple[str, ...]
    types: tuple[str, ...]
    charges: NDArray[np.float64] = field(repr=False)
    masses: NDArray[np.float64] = field(repr=False)
    sigmas: NDArray[np.float64] = field(repr=False)
    epsilons: NDArray[np.float64] = field(repr=False)
    bonds: tuple[HarmonicTerm, ...] = field(repr=False)
    angles: tuple[HarmonicTerm, ...] = field(repr=False)
    propers: tuple[TorsionTerm, ...] = field(repr=False)
    impropers: tuple[TorsionTerm, ...] = field(repr=False)

    def residue(self) -> ffxml.ResidueTemplate:
        """This template in the form that `ffxml` writes to OpenMM ForceField files."""
        return ffxml.ResidueTemplate(
            name=self.name,
            comment=f"{self.molecule.smiles}: {' '.join(self.types)}",
            elements=self.molecule.elements,
            atom_names=self.atom_names,
            graph=self.molecule.bonds,
            charges=self.charges,
            masses=self.masses,
            sigmas=self.sigmas,
            epsilons=self.epsilons,
            bonds=self.bonds,
            angles=self.angles,
            propers=self.propers,
            impropers=self.impropers,
        )


def make_template(
    molecule: Molecule, types: Sequence[str], charges: NDArray[np.float64], parameters: Parameters, version: str
) -> Template:
    """The template of a molecule whose atoms have these GAFF types (n_atoms,) and charges (n_atoms,) in e.

    Raises
    ------
    InputError
        A term has no parameters in the tables; the message names types and atoms.
    """
    types = tuple(types)
    particles = [_found(parameters.lennard_jones.get(kind), molecule, types, (i,)) for i, kind in enumerate(types)]
    neighbours = _neighbours(molecule)
    key = repr((version, molecule.smiles, molecule.bonds.tolist(), types, charges.tolist()))
    return Template(
        name=f"gaff-{version}-{fingerprint(key)[:10]}",
        molecule=molecule,
        atom_names=atom_names(molecule),
        types=types,
        charges=charges,
        masses=np.array([parameters.masses[kind] for kind in types]),
        sigmas=np.array([_sigma(particle) for particle in particles]),
        epsilons=np.array([particle.epsilon * KJ_PER_KCAL for particle in particles]),
        bonds=tuple(_bonds(molecule, types, parameters)),
        angles=tuple(_angles(molecule, types, parameters, neighbours)),
        propers=tuple(_propers(molecule, types, parameters, neighbours)),
        impropers=tuple(_impropers(types, parameters, neighbours)),
    )


def to_xml(templates: Iterable[Template]) -> str:
    """A self-contained OpenMM ForceField file with these templates, each name once."""
    return ffxml.to_xml([template.residue() for template in templates], 1.0 / SCEE, 1.0 / SCNB)


def _bonds(molecule: Molecule, types: tuple[str, ...], parameters: Parameters) -> Iterator[HarmonicTerm]:
    for i, j in molecule.bonds.tolist():
        bond = _found(parameters.bond((types[i], types[j])), molecule, types, (i, j))
        k = 2.0 * bond.k * KJ_PER_KCAL * ANGSTROM_PER_NM**2
        yield HarmonicTerm((i, j), bond.equilibrium * NM_PER_ANGSTROM, k)


def _angles(
    molecule: Molecule, types: tuple[str, ...], parameters: Parameters, neighbours: list[list[int]]
) -> Iterator[HarmonicTerm]:
    for apex, around in enumerate(neighbours):
        for i, k in combinations(around, 2):
            angle = _found(parameters.angle((types[i], types[apex], types[k])), molecule, types, (i, apex, k))
            yield HarmonicTerm((i, apex, k), angle.equilibrium, 2.0 * angle.k * KJ_PER_KCAL)


def _propers(
    molecule: Molecule, types: tuple[str, ...], parameters: Parameters, neighbours: list[list[int]]
) -> Iterator[TorsionTerm]:
    for j, k in molecule.bonds.tolist():
        for i in neighbours[j]:
            for m in neighbours[k]:
                if i in (k, m) or m == j:
                    continue
                atoms = (i, j, k, m)
                series = _found(parameters.proper([types[atom] for atom in atoms]), molecule, types, atoms)
                yield from (_torsion(atoms, term) for term in series if term.k)


def _impropers(types: tuple[str, ...], parameters: Parameters, neighbours: list[list[int]]) -> Iterator[TorsionTerm]:
    for centre, around in enumerate(neighbours):
        for outer in combinations(around, 3):
            rule = parameters.improper(types[centre], [types[atom] for atom in outer])
            if rule and rule.term.k:
                yield _torsion(order_improper(rule, centre, outer, types), rule.term)


def _torsion(atoms: tuple[int, ...], term: Cosine) -> TorsionTerm:
    return TorsionTerm(atoms, term.periodicity, term.phase, term.k * KJ_PER_KCAL)


def _neighbours(molecule: Molecule) -> list[list[int]]:
    neighbours: list[list[int]] = [[] for _ in range(molecule.n_atoms)]
    for i, j in molecule.bonds.tolist():
        neighbours[i].append(j)
        neighbours[j].append(i)
    return [sorted(around) for around in neighbours]


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
