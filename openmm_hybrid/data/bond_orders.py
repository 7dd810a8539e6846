"""Bond orders and charges for a geometry: perceived from elements and connectivity, or taken from a template."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError

if TYPE_CHECKING:
    from rdkit import Chem

_TRIES = 20  # orders of atoms; RDKit finds the bond orders of nitro groups in about half of them
_SDF = "or give an SDF (Molecule.from_file)"


def without_bonds(atomic_numbers: ArrayLike, positions: ArrayLike) -> Chem.RWMol:
    """Atoms with one conformer and without bonds."""
    from rdkit import Chem

    mol = plain_graph(atomic_numbers, ())
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(np.array(positions, dtype=np.float64))
    mol.AddConformer(conformer)
    return mol


def plain_graph(atomic_numbers: ArrayLike, bonds: ArrayLike) -> Chem.RWMol:
    """A molecule of elements and single bonds (n_bonds, 2), without charges and implicit hydrogens."""
    from rdkit import Chem

    graph = Chem.RWMol()
    for atomic_number in np.asarray(atomic_numbers).tolist():
        atom = Chem.Atom(atomic_number)
        atom.SetNoImplicit(True)
        graph.AddAtom(atom)
    for i, j in np.asarray(bonds).tolist():
        graph.AddBond(i, j, Chem.BondType.SINGLE)
    graph.UpdatePropertyCache(strict=False)
    return graph


def perceived(mol: Chem.Mol, charge: int, title: str, most: int = 0) -> Chem.Mol:
    """The molecule with bond orders for its net charge, without stereochemistry.

    The connectivity comes from the distances if it has no bonds. RDKit (`rdDetermineBonds`, after Kim and Kim, Bull.
    Korean Chem. Soc. 36, 1769 (2015)) fails for some orders of the atoms, so several are tried.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
    charge : int
        Net charge, e.
    title : str
        Name for messages.
    most : int
        Largest number of combinations of valences for one order of the atoms; 0 for all of them.

    Raises
    ------
    InputError
        No bonds fit the geometry and the charge.
    NumericalError
        There are more than `most` combinations.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDetermineBonds

    random, reason = np.random.default_rng(0), ""
    with rdBase.BlockLogs():
        for trial in range(_TRIES):
            n_atoms = mol.GetNumAtoms()
            order = random.permutation(n_atoms) if trial else np.arange(n_atoms)
            shuffled = Chem.RWMol(Chem.RenumberAtoms(Chem.Mol(mol), order.tolist()))
            for atom in shuffled.GetAtoms():
                atom.SetNoImplicit(False)
            try:
                if not mol.GetNumBonds():
                    rdDetermineBonds.DetermineConnectivity(shuffled)
                rdDetermineBonds.DetermineBondOrders(shuffled, charge=charge, maxIterations=most)
                found = Chem.RenumberAtoms(shuffled, np.argsort(order).tolist())
            except (ValueError, RuntimeError) as error:
                if "Max Iterations" in str(error):
                    raise NumericalError(f"{title} has more than {most} combinations of valences") from None
                reason = reason or str(error).splitlines()[0]
                continue
            Chem.RemoveStereochemistry(found)
            return found
    raise InputError(
        f"no bonds fit the geometry of {title} with charge {charge} ({reason})",
        hint=f'give the right charge, a template (template="SMILES"), a geometry near a minimum, {_SDF}',
    )


def with_template(mol: Chem.Mol, smiles: str, title: str) -> Chem.Mol:
    """The molecule's atoms, order and conformers with the bond orders and charges of a SMILES.

    Atoms are matched by elements and connectivity: the molecule's own bonds, or where they do not match, those of the
    distances. A molecule without any hydrogen gets those of the template (RDKit's AddHs), with a warning.
    Stereochemistry comes from the geometry.

    Raises
    ------
    InputError
        The SMILES cannot be read.
    MismatchError
        The elements or the connectivity differ, or the geometry is another stereoisomer.
    """
    from rdkit import Chem

    template = read_smiles(smiles)
    elements = _elements(mol)
    bare = 1 not in elements and 1 in _elements(template)
    if bare:
        template = Chem.RemoveAllHs(template)
    if Counter(elements) != Counter(_elements(template)):
        raise MismatchError(
            f"{title} has the atoms {_formula(elements)}",
            expected=f"{_formula(_elements(template))}, those of the template {smiles!r}",
            hint="give all hydrogens or none, and no other molecule",
        )
    made = Chem.RenumberAtoms(template, _matched(mol, template, smiles, title))
    made.RemoveAllConformers()
    for conformer in mol.GetConformers():
        made.AddConformer(conformer, assignId=True)
    if bare:
        made = Chem.AddHs(made, addCoords=True)
        warnings.warn(f"{title} has no hydrogens; RDKit added {made.GetNumAtoms() - len(elements)}", stacklevel=3)
    if made.GetNumConformers() and made.GetConformer().Is3D():
        stated = Chem.Mol(made)
        Chem.AssignStereochemistryFrom3D(made)
        if not made.HasSubstructMatch(stated, useChirality=True):
            raise MismatchError(
                f"{title} is the stereoisomer {Chem.MolToSmiles(Chem.RemoveHs(made))}",
                expected=f"{smiles!r}, the template",
                hint="give the template of this isomer, or one without stereo marks",
            )
    return made


def read_smiles(smiles: str) -> Chem.Mol:
    """The RDKit molecule of a SMILES, with hydrogens.

    Raises
    ------
    InputError
        The text cannot be read, or is no text.
    """
    from rdkit import Chem, rdBase

    if not isinstance(smiles, str):
        raise InputError(f"the SMILES is {smiles!r}", expected='a text, such as "CCO"')
    with rdBase.BlockLogs():
        parsed = Chem.MolFromSmiles(smiles)
    if parsed is None and len(smiles.split()) > 1:
        raise InputError(
            f"cannot read the SMILES {smiles!r}",
            expected="no blank",
            hint='give a name by name="…", not behind a blank',
        )
    if parsed is None or parsed.GetNumAtoms() == 0:
        raise InputError(f"cannot read the SMILES {smiles!r}", hint="check brackets, ring closures and valences")
    return Chem.AddHs(parsed)


def _matched(mol: Chem.Mol, template: Chem.Mol, smiles: str, title: str) -> list[int]:
    """For each atom of the molecule the atom of the template."""
    from rdkit import Chem
    from rdkit.Chem import rdDetermineBonds

    wanted = plain_graph(_elements(template), _bonds(template))
    counts = []
    for perceive in (False, True):
        graph = Chem.RWMol(plain_graph(_elements(mol), () if perceive else _bonds(mol)))
        if perceive:
            graph.AddConformer(Chem.Conformer(mol.GetConformer()))
            rdDetermineBonds.DetermineConnectivity(graph)
        counts.append(graph.GetNumBonds())
        if graph.GetNumBonds() == wanted.GetNumBonds():
            match = wanted.GetSubstructMatch(plain_graph(_elements(mol), _bonds(graph)))
            if match:
                return list(match)
    raise MismatchError(
        f"{title}: the bonds from its distances ({counts[1]}) do not connect the atoms as the template {smiles!r} does",
        expected=f"{wanted.GetNumBonds()} bonds",
        hint="check the SMILES, and the geometry for broken bonds or atoms that overlap",
    )


def _elements(mol: Chem.Mol) -> list[int]:
    return [atom.GetAtomicNum() for atom in mol.GetAtoms()]


def _bonds(mol: Chem.Mol) -> list[tuple[int, int]]:
    return [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]


def _formula(elements: list[int]) -> str:
    from ase.data import chemical_symbols

    counts = Counter(chemical_symbols[number] for number in elements)
    return "".join(f"{symbol}{count if count > 1 else ''}" for symbol, count in sorted(counts.items()))
