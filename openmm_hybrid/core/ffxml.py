"""Residue templates in OpenMM's ForceField format, with every term written for exactly the atoms that it joins.

Every atom of a template has an atom type of its own, so there are no wildcards, and no type can clash with one of
another force field.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import MismatchError


class HarmonicTerm(NamedTuple):
    """A bond (two atoms) or an angle (three, the apex in the middle), in OpenMM's convention ½ K (q − q₀)²."""

    atoms: tuple[int, ...]
    equilibrium: float
    k: float


class MorseTerm(NamedTuple):
    """A bond D (1 − e^(−a (r − r₀)))² of two atoms."""

    atoms: tuple[int, ...]
    depth: float
    a: float
    r0: float


class TorsionTerm(NamedTuple):
    """A torsion k (1 + cos(nφ − δ)) along four atoms.

    The central atom of an improper is the third, as in AMBER, or the first, as in SMIRNOFF. In the second case there
    are three equal terms, one for each cyclic permutation of the outer atoms.
    """

    atoms: tuple[int, ...]
    periodicity: int
    phase: float
    k: float


@dataclass(frozen=True, eq=False)
class ResidueTemplate:
    """The particles and terms of one molecule in OpenMM's units: nm, rad, kJ/mol, e, amu.

    Parameters
    ----------
    name : str
        First part of the names of its atom types; only equal templates may share it.
    comment : str
        XML comment before the residue.
    elements, atom_names : (n_atoms,) str
    graph : (n_bonds, 2)
        Bonded atoms; OpenMM recognises the residue by them.
    charges, masses, sigmas, epsilons : (n_atoms,)
    bonds, angles, propers, impropers, morse : terms
    """

    name: str
    comment: str
    elements: tuple[str, ...]
    atom_names: tuple[str, ...]
    graph: NDArray[np.int64]
    charges: NDArray[np.float64]
    masses: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    epsilons: NDArray[np.float64]
    bonds: tuple[HarmonicTerm, ...] = field(repr=False)
    angles: tuple[HarmonicTerm, ...] = field(repr=False)
    propers: tuple[TorsionTerm, ...] = field(repr=False)
    impropers: tuple[TorsionTerm, ...] = field(repr=False)
    morse: tuple[MorseTerm, ...] = field(default=(), repr=False)

    @property
    def type_names(self) -> list[str]:
        """Names (n_atoms,) of the atom types."""
        return [f"{self.name}-{atom}" for atom in self.atom_names]


def to_xml(templates: Iterable[ResidueTemplate], coulomb14: float, lj14: float, *, morse_energy: str = "") -> str:
    """The text of an OpenMM ForceField file with the templates; it needs no other file.

    Parameters
    ----------
    templates : iterable of ResidueTemplate
        Templates of the same name are written once.
    coulomb14, lj14 : float
        Factors of the interactions between atoms three bonds apart.
    morse_energy : str
        Energy of a Morse bond as OpenMM's CustomBondForce takes it, with the length r and the parameters D, a and r0.
        Needed if a template has Morse bonds.

    Raises
    ------
    ValueError
        A template has Morse bonds, and `morse_energy` is missing.
    MismatchError
        Impropers of a template cannot be written in this format.
    """
    root = ElementTree.Element("ForceField")
    atom_types = ElementTree.SubElement(root, "AtomTypes")
    residues = ElementTree.SubElement(root, "Residues")
    bonds = ElementTree.SubElement(root, "HarmonicBondForce")
    angles = ElementTree.SubElement(root, "HarmonicAngleForce")
    torsions = ElementTree.SubElement(root, "PeriodicTorsionForce", ordering="amber")
    smirnoff = ElementTree.SubElement(root, "PeriodicTorsionForce", ordering="smirnoff")
    nonbonded = ElementTree.SubElement(root, "NonbondedForce", coulomb14scale=repr(coulomb14), lj14scale=repr(lj14))
    ElementTree.SubElement(nonbonded, "UseAttributeFromResidue", name="charge")
    unique = list({template.name: template for template in templates}.values())
    for template in unique:
        names = template.type_names
        _write_residue(residues, template, names)
        for i, name in enumerate(names):
            mass, element = repr(float(template.masses[i])), template.elements[i]
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
        amber, trefoils = _impropers(template)
        for (a, b, centre, d), values in _series_attributes(amber):
            ElementTree.SubElement(torsions, "Improper", _type_attributes(names, (centre, a, b, d)) | values)
        for atoms, values in _series_attributes(trefoils):
            ElementTree.SubElement(smirnoff, "Improper", _type_attributes(names, atoms) | values)
    if not len(smirnoff):
        root.remove(smirnoff)
    _write_morse(root, bonds, [template for template in unique if template.morse], morse_energy)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _write_residue(residues: ElementTree.Element, template: ResidueTemplate, types: Sequence[str]) -> None:
    residues.append(ElementTree.Comment(f" {template.comment} ".replace("--", "- -")))
    residue = ElementTree.SubElement(residues, "Residue", name=template.name)
    for name, kind, charge in zip(template.atom_names, types, template.charges, strict=True):
        ElementTree.SubElement(residue, "Atom", name=name, type=kind, charge=repr(float(charge)))
    for i, j in template.graph:
        ElementTree.SubElement(residue, "Bond", atomName1=template.atom_names[i], atomName2=template.atom_names[j])


def _write_morse(
    root: ElementTree.Element, harmonic: ElementTree.Element, templates: Sequence[ResidueTemplate], energy: str
) -> None:
    """Write Morse bonds, each with a harmonic bond of k = 0, from which OpenMM takes the length of a constraint."""
    if not templates:
        return
    if not energy:
        raise ValueError("templates with Morse bonds need the energy of one")
    force = ElementTree.SubElement(root, "CustomBondForce", energy=energy)
    for name in ("D", "a", "r0"):
        ElementTree.SubElement(force, "PerBondParameter", name=name)
    for template in templates:
        for term in template.morse:
            types = _type_attributes(template.type_names, term.atoms)
            values = {"D": repr(term.depth), "a": repr(term.a), "r0": repr(term.r0)}
            ElementTree.SubElement(force, "Bond", types | values)
            ElementTree.SubElement(harmonic, "Bond", types | {"length": repr(term.r0), "k": "0.0"})


def _type_attributes(names: Sequence[str], atoms: Iterable[int]) -> dict[str, str]:
    return {f"type{number}": names[atom] for number, atom in enumerate(atoms, 1)}


def _impropers(template: ResidueTemplate) -> tuple[list[TorsionTerm], list[TorsionTerm]]:
    """Impropers with the central atom third, and one of each three with the central atom first.

    Raises
    ------
    MismatchError
        No atom of an improper is bonded to the other three, or terms with the central atom first are not three equal
        ones. ForceField applies one improper to four atoms, or three in SMIRNOFF's ordering.
    """
    bonded = {frozenset(pair) for pair in template.graph.tolist()}
    amber: list[TorsionTerm] = []
    trefoils: dict[tuple[int, ...], list[TorsionTerm]] = {}
    for term in template.impropers:
        centres = [a for a in term.atoms if all(frozenset((a, b)) in bonded for b in term.atoms if b != a)]
        position = term.atoms.index(centres[0]) if centres else -1
        if position in (1, 3):  # a torsion read backwards has the same angle
            term = term._replace(atoms=term.atoms[::-1])
            position = 3 - position
        if position == 2:
            amber.append(term)
        elif position == 0:
            centre, *outer = term.atoms
            turn = outer.index(min(outer))
            trefoils.setdefault((centre, *outer[turn:], *outer[:turn]), []).append(term)
        else:
            raise _unwritable(template, term.atoms)
    kept = []
    for atoms, terms in trefoils.items():
        per_permutation: dict[tuple[int, ...], list[tuple[int, float, float]]] = {}
        for term in terms:
            per_permutation.setdefault(term.atoms, []).append((term.periodicity, term.phase, term.k))
        series = [np.array(sorted(cosines)) for cosines in per_permutation.values()]
        if len(series) != 3 or not all(_equal(cosines, series[0]) for cosines in series):
            raise _unwritable(template, atoms)
        kept += [TorsionTerm(atoms, n, phase, k) for n, phase, k in per_permutation[terms[0].atoms]]
    return amber, kept


def _equal(cosines: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    return cosines.shape == others.shape and bool(np.allclose(cosines, others, rtol=1e-12, atol=0.0))


def _unwritable(template: ResidueTemplate, atoms: tuple[int, ...]) -> MismatchError:
    named = "-".join(template.atom_names[atom] for atom in atoms)
    return MismatchError(
        f"the improper {named} of {template.name} cannot be written to a ForceField file",
        expected="one term with the central atom third, or three equal terms with it first",
        hint="save the System instead (openmm_hybrid.save_system)",
    )


def _series_attributes(terms: Iterable[TorsionTerm]) -> Iterator[tuple[tuple[int, ...], dict[str, str]]]:
    """For each four atoms, the attributes of all their terms: periodicity1, phase1, k1, periodicity2, …"""
    series: dict[tuple[int, ...], list[TorsionTerm]] = {}
    for term in terms:
        series.setdefault(term.atoms, []).append(term)
    for atoms, members in series.items():
        values = {}
        for number, term in enumerate(members, 1):
            values[f"periodicity{number}"] = str(term.periodicity)
            values[f"phase{number}"] = repr(term.phase)
            values[f"k{number}"] = repr(term.k)
        yield atoms, values
