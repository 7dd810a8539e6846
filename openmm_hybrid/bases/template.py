"""Templates: a molecule with the terms of a base force field written out atom by atom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core import ffxml
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.ffxml import HarmonicTerm, TorsionTerm
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.data.molecule import Molecule

SCEE, SCNB = 1.2, 2.0
"""Divisors of the Coulomb and Lennard-Jones interactions between atoms three bonds apart, in AMBER, GAFF and OpenFF."""


def atom_names(molecule: Molecule) -> tuple[str, ...]:
    """Atom names (n_atoms,), unique in the molecule: the element and a count, such as C1, C2, CL1.

    Raises
    ------
    InputError
        A name would have more than four letters, the limit of PDB files and AMBER's programs.
    """
    counts: dict[str, int] = {}
    names = []
    for element in molecule.elements:
        counts[element] = counts.get(element, 0) + 1
        names.append(f"{element.upper()}{counts[element]}")
    if max(map(len, names)) > 4:
        raise InputError(
            f"{molecule.name} has {max(counts.values())} atoms of one element", expected="names of up to four letters"
        )
    return tuple(names)


@dataclass(frozen=True, eq=False)
class Template:
    """A molecule's particles and terms in OpenMM's units: nm, rad, kJ/mol, e, amu.

    Parameters
    ----------
    name : str
        Name of the residue template: the base force field and, once charges are known, a fingerprint of SMILES, bonds,
        types and charges. Only equal templates share it.
    molecule : Molecule
    atom_names, types : (n_atoms,) str
        `types` are the atom types of the base force field: GAFF types, or the identifiers of OpenFF's Lennard-Jones
        parameters.
    charges, masses, sigmas, epsilons : (n_atoms,)
    bonds, angles, propers, impropers : terms
        Terms with atoms, force constants and equilibrium values; torsions without a barrier are left out.
    coulomb14 : float
        Scale of the Coulomb interaction between atoms three bonds apart.
    notes : tuple of str
        What was guessed, and what the force field is known to get wrong for this molecule; one sentence each.
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
    coulomb14: float = 1.0 / SCEE
    notes: tuple[str, ...] = ()

    def with_charges(self, charges: NDArray[np.float64]) -> Template:
        """The same template with these charges (n_atoms,) in e, under a name of its own."""
        key = repr((self.name, self.molecule.smiles, self.molecule.bonds.tolist(), self.types, charges.tolist()))
        return replace(self, charges=charges, name=f"{self.name}-{fingerprint(key)[:10]}")

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


def to_xml(templates: Iterable[Template]) -> str:
    """A self-contained OpenMM ForceField file with these templates, each name once."""
    return ffxml.to_xml([template.residue() for template in templates], 1.0 / SCEE, 1.0 / SCNB)
