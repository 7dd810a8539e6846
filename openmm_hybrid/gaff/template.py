"""One molecule with its GAFF terms written out atom by atom, and the same as an OpenMM residue template.

Every atom of a template has an atom type of its own in the ffxml, and every term is written for exactly the atoms it
joins: nothing is left to wildcards, and no type can clash with those of another force field.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.errors import InputError
from openmm_hybrid.gaff.assign import atom_names
from openmm_hybrid.gaff.parameters import SCEE, SCNB, Cosine, LennardJones, Parameters, order_improper
from openmm_hybrid.molecule import Molecule
from openmm_hybrid.units import ANGSTROM_PER_NM, KJ_PER_KCAL, NM_PER_ANGSTROM

T = TypeVar("T")


class HarmonicTerm(NamedTuple):
    """A bond (two atoms) or an angle (three, the apex in the middle), in OpenMM's convention ½ K (q − q₀)²."""

    atoms: tuple[int, ...]
    equilibrium: float
    k: float


class TorsionTerm(NamedTuple):
    """A torsion k (1 + cos(nφ − δ)) along four atoms; the central atom of an improper is the third."""

    atoms: tuple[int, ...]
    periodicity: int
    phase: float
    k: float


@dataclass(frozen=True, eq=False)
class Template:
    """A molecule's particles and GAFF terms in OpenMM's units: nm, rad, kJ/mol, e, amu.

    Parameters
    ----------
    name : str
        Of the residue template; made of SMILES, bonds, types and charges, so that only equal templates share it.
    molecule : Molecule
    atom_names, types : (n_atoms,) str
        `types` are GAFF's.
    charges, masses, sigmas, epsilons : (n_atoms,)
    bonds, angles, propers, impropers : terms
        Torsions with a zero barrier are left out.
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


def make_template(
    molecule: Molecule, types: Sequence[str], charges: NDArray[np.float64], parameters: Parameters, version: str
) -> Template:
    """Write out the GAFF terms of a molecule whose atoms have these types (n_atoms,) and charges (n_atoms,) in e.

    Raises
    ------
    InputError
        The tables lack a term; the message names types and atoms.
    """
    types = tuple(types)
    particles = [_found(parameters.lennard_jones.get(kind), molecule, types, (i,)) for i, kind in enumerate(types)]
    neighbours = _neighbours(molecule)
    key = repr((version, molecule.smiles, molecule.bonds.tolist(), types, charges.tolist()))
    return Template(
        name=f"gaff-{version}-{hashlib.sha256(key.encode()).hexdigest()[:10]}",
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
    """An OpenMM ForceField file with the templates, each name once, complete in itself."""
    root = ElementTree.Element("ForceField")
    atom_types = ElementTree.SubElement(root, "AtomTypes")
    residues = ElementTree.SubElement(root, "Residues")
    bonds = ElementTree.SubElement(root, "HarmonicBondForce")
    angles = ElementTree.SubElement(root, "HarmonicAngleForce")
    torsions = ElementTree.SubElement(root, "PeriodicTorsionForce", ordering="amber")
    nonbonded = ElementTree.SubElement(
        root, "NonbondedForce", coulomb14scale=repr(1.0 / SCEE), lj14scale=repr(1.0 / SCNB)
    )
    ElementTree.SubElement(nonbonded, "UseAttributeFromResidue", name="charge")
    for template in {template.name: template for template in templates}.values():
        names = [f"{template.name}-{atom}" for atom in template.atom_names]
        _write_residue(residues, template, names)
        for i, name in enumerate(names):
            mass, element = repr(float(template.masses[i])), template.molecule.elements[i]
            ElementTree.SubElement(atom_types, "Type", {"name": name, "class": name, "element": element, "mass": mass})
            sigma, epsilon = repr(float(template.sigmas[i])), repr(float(template.epsilons[i]))
            ElementTree.SubElement(nonbonded, "Atom", type=name, sigma=sigma, epsilon=epsilon)
        for term in template.bonds:
            values = {"length": repr(term.equilibrium), "k": repr(term.k)}
            ElementTree.SubElement(bonds, "Bond", _type_attributes(names, term.atoms) | values)
        for term in template.angles:
            values = {"angle": repr(term.equilibrium), "k": repr(term.k)}
            ElementTree.SubElement(angles, "Angle", _type_attributes(names, term.atoms) | values)
        for atoms, values in _series_attributes(template.propers):
            ElementTree.SubElement(torsions, "Proper", _type_attributes(names, atoms) | values)
        for (a, b, centre, d), values in _series_attributes(template.impropers):
            ElementTree.SubElement(torsions, "Improper", _type_attributes(names, (centre, a, b, d)) | values)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _write_residue(residues: ElementTree.Element, template: Template, types: Sequence[str]) -> None:
    residues.append(
        ElementTree.Comment(f" {template.molecule.smiles}: {' '.join(template.types)} ".replace("--", "- -"))
    )
    residue = ElementTree.SubElement(residues, "Residue", name=template.name)
    for name, kind, charge in zip(template.atom_names, types, template.charges, strict=True):
        ElementTree.SubElement(residue, "Atom", name=name, type=kind, charge=repr(float(charge)))
    for i, j in template.molecule.bonds:
        ElementTree.SubElement(residue, "Bond", atomName1=template.atom_names[i], atomName2=template.atom_names[j])


def _type_attributes(names: Sequence[str], atoms: Iterable[int]) -> dict[str, str]:
    return {f"type{place}": names[atom] for place, atom in enumerate(atoms, 1)}


def _series_attributes(terms: Iterable[TorsionTerm]) -> Iterator[tuple[tuple[int, ...], dict[str, str]]]:
    """The terms on the same four atoms together: the atoms, and attributes periodicity1, phase1, k1, periodicity2, …"""
    series: dict[tuple[int, ...], list[TorsionTerm]] = {}
    for term in terms:
        series.setdefault(term.atoms, []).append(term)
    for atoms, members in series.items():
        values = {}
        for place, term in enumerate(members, 1):
            values[f"periodicity{place}"] = str(term.periodicity)
            values[f"phase{place}"] = repr(term.phase)
            values[f"k{place}"] = repr(term.k)
        yield atoms, values


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
    """The parameters, or an error that names the atoms which lack them."""
    if value is None:
        kinds = "-".join(types[atom] for atom in atoms)
        raise InputError(
            f"{molecule.name}: GAFF has no parameters for {kinds} (atoms {'-'.join(map(str, atoms))})",
            mend="check bond orders and charges, or give a prmtop (gaff.from_prmtop)",
        )
    return value


def _sigma(particle: LennardJones) -> float:
    """2^(−1/6) times the distance of the minimum; 1 Å where there is no well, and it has no effect."""
    rmin = 2.0 * particle.rmin_half if particle.epsilon else 2.0 ** (1.0 / 6.0)
    return rmin / 2.0 ** (1.0 / 6.0) * NM_PER_ANGSTROM
