"""Building of a System, or of a template generator for an OpenMM ForceField, from molecules."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from openmm import app
from scipy.spatial import cKDTree

from openmm_hybrid.bases import DEFAULT, base_forcefield
from openmm_hybrid.bases.base import Base
from openmm_hybrid.bases.system import BuiltSystem, assemble, constraint_name, hydrogen_daltons
from openmm_hybrid.bases.template import Template, to_xml
from openmm_hybrid.charges.assign import assign_charges
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import positions_to_angstrom, strip
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.data.stereo import isomer_smiles

Charges = str | ArrayLike


def build(
    molecules: Molecule | Sequence[Molecule],
    *,
    base: str | Base = DEFAULT,
    charges: str | ArrayLike | Sequence[str | ArrayLike] = "resp",
    constraints: str | None = None,
    hydrogen_mass: Any = None,
    positions: Any = None,
    progress: bool = True,
) -> BuiltSystem:
    """One or several molecules with a base force field, in vacuum and without a cutoff.

    Coulomb and Lennard-Jones interactions between atoms three bonds apart are divided by 1.2 and 2.

    Parameters
    ----------
    molecules : Molecule, or a sequence of them
        Equal molecules (the same atoms in the same order) are parametrised and charged once.
    base : str or Base
        Base force field, such as "gaff-2.2.20", "gaff-1.81" or "openff-2.3.0"; `openmm_hybrid.bases.names` lists all.
    charges : {"resp", "am1-bcc", "nagl"} or array (n_atoms,) in e
        For a sequence of molecules: one method for all, or one entry per molecule.
    constraints : {None, "HBonds", "AllBonds"} or OpenMM's objects of these names
    hydrogen_mass : float, Da, or Quantity, optional
        Mass of hydrogen atoms; the atom that each is bonded to becomes lighter by the same amount. With constraints and
        3 Da, steps of 4 fs are possible. By default all atoms have their natural mass.
    positions : array (n_atoms, 3) in Å or Quantity, optional
        Positions of all atoms. By default the first conformer of each molecule, moved along x if molecules overlap.
    progress : bool
        Show a progress bar for calculations of charges.

    Returns
    -------
    BuiltSystem
        Its `positions` are an OpenMM Quantity.

    Raises
    ------
    InputError
        Elements or terms without parameters, charges with a wrong number or sum, an unknown option, or a mass of
        hydrogen that leaves another atom lighter than 1 Da.
    MissingDependencyError
        A program or package of the base force field or of the charge method is not installed.
    HybridError
        A program failed.

    Warns
    -----
    UserWarning
        Each of the notes of the result: parameters that were guessed, and known faults of the base force field.
    """
    members, entries = _members(molecules, charges)
    chosen = _checked(base, members)
    constraints, daltons = constraint_name(constraints), hydrogen_daltons(hydrogen_mass)
    coordinates = _row(members) if positions is None else _given_positions(members, positions)
    templates = make_templates(members, entries, chosen, progress=progress)
    built = assemble(templates, coordinates, constraints, daltons)
    for note in built.notes:
        warnings.warn(note, stacklevel=2)
    return built


def template_generator(
    molecules: Molecule | Sequence[Molecule],
    base: str | Base = DEFAULT,
    charges: Charges | Sequence[Charges] = "resp",
    *,
    progress: bool = True,
) -> Callable[[app.ForceField, Any], bool]:
    """A template generator for `openmm.app.ForceField.registerTemplateGenerator` that parametrises these molecules.

    Each molecule is parametrised and charged when ForceField first meets a residue with its elements and bonds.
    Parameters are those of `build`.

    Raises
    ------
    MismatchError
        Two molecules have the same elements and bonds, which is all that ForceField knows of a residue, but differ in
        stereochemistry, bond orders or charges. Mirror images and equal charge methods make no difference.
    HybridError
        The errors of `build`.
    """
    members, entries = _members(molecules, charges)
    chosen = _checked(base, members)
    _refuse_isomers(members, entries)
    made: dict[int, str] = {}

    def generate(forcefield: app.ForceField, residue: Any) -> bool:
        skeleton = _skeleton([atom.element for atom in residue.atoms()], _residue_bonds(residue))
        for index, (molecule, entry) in enumerate(zip(members, entries, strict=True)):
            elements = [app.Element.getBySymbol(symbol) for symbol in molecule.elements]
            if skeleton != _skeleton(elements, molecule.bonds.tolist()):
                continue
            if index not in made:
                made[index] = to_xml(make_templates([molecule], [entry], chosen, progress=progress))
            forcefield.loadFile(io.StringIO(made[index]))
            return True
        return False

    return generate


def _refuse_isomers(members: Sequence[Molecule], entries: Sequence[Charges]) -> None:
    """Refuse molecules that a residue cannot tell apart, unless they get the same parameters."""
    first: dict[str | None, int] = {}
    for index, (molecule, entry) in enumerate(zip(members, entries, strict=True)):
        elements = [app.Element.getBySymbol(symbol) for symbol in molecule.elements]
        other = first.setdefault(_skeleton(elements, molecule.bonds.tolist()), index)
        if _identity(molecule, entry) == _identity(members[other], entries[other]):
            continue
        named = isinstance(entry, str) and entry == entries[other]
        smiles, known = isomer_smiles(molecule.to_rdkit()), isomer_smiles(members[other].to_rdkit())
        if not named or known not in (smiles, _mirrored(smiles)):
            raise MismatchError(
                f"the molecules {other} ({known}) and {index} ({smiles}) have the same "
                "elements and bonds, but other parameters or charges: ForceField cannot tell their residues apart",
                hint="write each with build(…).to_ffxml, and name one template per residue in the residueTemplates of "
                "createSystem",
            )


def _mirrored(smiles: str) -> str:
    """Canonical SMILES of the mirror image."""
    from rdkit import Chem

    mirrored = Chem.MolFromSmiles(smiles)
    if mirrored is None:
        return smiles
    for atom in mirrored.GetAtoms():
        atom.InvertChirality()
    return str(Chem.MolToSmiles(mirrored))


def make_templates(
    molecules: Sequence[Molecule], charges: Sequence[Charges], base: Base, *, progress: bool
) -> tuple[Template, ...]:
    """One template per molecule; equal molecules with equal charges share one. Errors are those of `build`."""
    known: dict[tuple[Any, ...], Template] = {}
    templates = []
    for molecule, entry in zip(molecules, charges, strict=True):
        key = _identity(molecule, entry)
        if key not in known:
            # Charges come last: they may take minutes, and the terms may fail.
            template = base.template(molecule)
            known[key] = template.with_charges(assign_charges(molecule, entry, progress=progress))
        templates.append(known[key])
    return tuple(templates)


def _checked(base: str | Base, members: Sequence[Molecule]) -> Base:
    """The base force field, which covers all of these molecules."""
    chosen = base if isinstance(base, Base) else base_forcefield(base)
    for member in members:
        chosen.check(member)
    return chosen


def _members(
    molecules: Molecule | Sequence[Molecule], charges: Any
) -> tuple[tuple[Molecule, ...], tuple[Charges, ...]]:
    """The molecules, and one entry of charges for each."""
    if isinstance(molecules, Molecule):
        return (molecules,), (charges,)
    members = tuple(molecules)
    if not members:
        raise InputError("no molecules were given", expected="at least one Molecule")
    for member in members:
        if not isinstance(member, Molecule):
            raise InputError(f"a {type(member).__name__} was given", expected="openmm_hybrid.Molecule")
    if isinstance(charges, str):
        return members, (charges,) * len(members)
    entries = tuple(charges)
    if len(entries) != len(members):
        raise MismatchError(
            f"{len(entries)} entries of charges for {len(members)} molecules",
            expected="one method for all, or one method or array for each molecule",
        )
    return members, entries


def _identity(molecule: Molecule, charges: Charges) -> tuple[Any, ...]:
    """Key that is equal for molecules with the same atoms in the same order, stereochemistry and charges."""
    chosen = charges if isinstance(charges, str) else tuple(np.ravel(strip(charges, "charge")).tolist())
    bonds = tuple((b.GetBeginAtomIdx(), b.GetEndAtomIdx(), b.GetBondTypeAsDouble()) for b in molecule.rdkit.GetBonds())
    smiles = isomer_smiles(molecule.to_rdkit())  # a molecule from a geometry may not name its isomer
    return smiles, molecule.elements, tuple(molecule.formal_charges.tolist()), bonds, chosen


_GAP = 3.0
"""Distance in Å between molecules that were moved apart, along x."""
_OVERLAP = 1.5
"""Distance in Å between atoms of two molecules below which the molecules are moved apart."""


def _row(members: Sequence[Molecule]) -> NDArray[np.float64]:
    """First conformers (n_atoms, 3), Å; a molecule that overlaps with earlier ones is moved along x, past them."""
    placed = members[0].positions
    for member in members[1:]:
        positions = member.positions
        if cKDTree(placed).query(positions)[0].min() < _OVERLAP:
            shift = placed[:, 0].max() + _GAP - positions[:, 0].min()
            positions = positions + np.array([shift, 0.0, 0.0])
        placed = np.concatenate([placed, positions])
    return placed


def _given_positions(members: Sequence[Molecule], positions: Any) -> NDArray[np.float64]:
    coordinates = positions_to_angstrom(positions)
    n_atoms = sum(member.n_atoms for member in members)
    if coordinates.shape != (n_atoms, 3) or not np.isfinite(coordinates).all():
        raise MismatchError(f"positions have shape {coordinates.shape}", expected=f"({n_atoms}, 3), finite, Å")
    return coordinates


def _skeleton(elements: Sequence[app.Element | None], bonds: Sequence[Sequence[int]]) -> str | None:
    """Canonical text of the graph of elements and bonds; None if an atom has no element."""
    from rdkit import Chem

    graph = Chem.RWMol()
    for element in elements:
        if element is None:
            return None
        atom = Chem.Atom(element.atomic_number)
        atom.SetNoImplicit(True)
        graph.AddAtom(atom)
    for i, j in bonds:
        graph.AddBond(int(i), int(j), Chem.BondType.SINGLE)
    return str(Chem.MolToSmiles(graph, allBondsExplicit=True, allHsExplicit=True))


def _residue_bonds(residue: Any) -> list[tuple[int, int]]:
    local = {atom: index for index, atom in enumerate(residue.atoms())}
    return [(local[first], local[second]) for first, second in residue.internal_bonds()]
