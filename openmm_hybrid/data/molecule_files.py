"""Molecule files: SDF, MOL, MOL2 and PDB, with all conformers of one molecule and the reasons of RDKit's refusals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data import mol2
from openmm_hybrid.data.bond_orders import with_template
from openmm_hybrid.data.conformers import checked_integer

if TYPE_CHECKING:
    from rdkit import Chem

ENDINGS = (".sdf", ".mol", ".mol2", ".pdb")
"""Endings of the names of molecule files."""


def read_molecule(path: Path, record: int | None = None, template: str = "") -> Chem.Mol:
    """The molecule of a file, with a conformer for each record or model.

    Parameters
    ----------
    path : Path
    record : int, optional
        Record of an SDF or MOL2 file, or model of a PDB file, from 0. By default all; they must be one molecule.
    template : str
        SMILES whose bond orders and charges are used instead of the file's; empty for the file's own.

    Raises
    ------
    InputError
        The file is missing, of another format or unreadable, a valence is impossible, or the records are different
        molecules.
    MismatchError
        The template is another molecule.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{path} is not a molecule file", expected=f"a name that ends in {', '.join(ENDINGS)}")
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    text = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n").replace("\0", " ")
    records = {".mol2": mol2.records, ".pdb": lambda whole: [whole]}.get(ending, sdf_records)(text)
    numbers = range(len(records))
    if record is not None and ending != ".pdb":
        numbers = range(_checked(path, record, len(records)), record + 1)
    if not numbers:
        raise _unreadable(str(path))
    first = _parsed(path, records, numbers[0], template)
    for number in numbers[1:]:
        _add_conformers(path, first, _parsed(path, records, number, template), number, len(records))
    if record is not None and ending == ".pdb":
        models = [model.GetId() for model in first.GetConformers()]
        kept = models[_checked(path, record, len(models))]
        for model in models:
            if model != kept:
                first.RemoveConformer(model)
    return first


def _checked(path: Path, record: int, count: int) -> int:
    if checked_integer("record", record, 0, 2**31) >= count:
        raise InputError(f"{path} has no record {record}", expected=f"0 to {count - 1}")
    return record


def sdf_records(text: str) -> list[str]:
    """The records of the text of an SDF."""
    records = re.split(r"^\$\$\$\$.*\n?", text, flags=re.MULTILINE)
    return records if len(records) == 1 or records[-1].strip() else records[:-1]


def _parsed(path: Path, records: Sequence[str], number: int, template: str) -> Chem.Mol:
    from rdkit import Chem, rdBase

    where = f"{path}, record {number}" if len(records) > 1 else str(path)
    sanitize, text = not template, records[number]
    with rdBase.BlockLogs():
        if path.suffix.lower() == ".mol2":
            mol = mol2.read(text, where, sanitize=sanitize)
        else:
            read = Chem.MolFromPDBBlock if path.suffix.lower() == ".pdb" else Chem.MolFromMolBlock
            try:
                mol = read(text, removeHs=False, sanitize=sanitize)
                raw = mol if mol is not None else read(text, removeHs=False, sanitize=False)
            except (RuntimeError, ValueError):
                mol = raw = None
            if mol is None and raw is not None and raw.GetNumAtoms():
                raise mol2.impossible(raw, where, "give its formal charge (the line M  CHG of an SDF)")
        if mol is None or not mol.GetNumAtoms():
            raise _unreadable(where)
        if template:
            return with_template(mol, template, where)
    atoms = list(mol.GetAtoms())
    lacking = [atom for atom in atoms if atom.GetNumRadicalElectrons()]
    if lacking and all(atom.GetAtomicNum() > 1 for atom in atoms):
        raise InputError(
            f"{where} has no hydrogens: atom {lacking[0].GetIdx()} ({lacking[0].GetSymbol()}) lacks them",
            expected="all hydrogens",
            hint='add them (obabel -h), or give template="SMILES"',
        )
    return mol


def _unreadable(where: str) -> InputError:
    return InputError(f"{where} holds no molecule that RDKit can read", hint="open and export it again as SDF")


def _add_conformers(path: Path, first: Chem.Mol, other: Chem.Mol, number: int, count: int) -> None:
    """Add the conformers of another record of the same molecule, in the first one's order of atoms."""
    from rdkit import Chem

    names = [Chem.MolToSmiles(mol) for mol in (first, other)]
    match = (
        range(other.GetNumAtoms()) if _same_order(first, other) else other.GetSubstructMatch(first, useChirality=True)
    )
    if names[0] != names[1] or len(match) != first.GetNumAtoms():
        shown = [Chem.MolToSmiles(Chem.RemoveHs(mol, sanitize=False)) for mol in (first, other)]
        raise MismatchError(
            f"{path} holds {count} records of different molecules: record 0 is {shown[0]}, record {number} {shown[1]}",
            expected="one molecule, or conformers of one",
            hint="choose a record: Molecule.from_file(path, record=0)",
        )
    ordered = Chem.RenumberAtoms(other, list(match))
    if ordered.GetNumConformers() and ordered.GetConformer().Is3D():
        if first.GetNumConformers() and not first.GetConformer().Is3D():
            first.RemoveAllConformers()
        first.AddConformer(ordered.GetConformer(), assignId=True)


def _same_order(first: Chem.Mol, other: Chem.Mol) -> bool:
    """Whether two records have the same elements, stereo marks and bonds in the same order of atoms."""
    described = [
        (
            [(atom.GetAtomicNum(), atom.GetPropsAsDict().get("_CIPCode", "")) for atom in mol.GetAtoms()],
            sorted((*sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())), str(b.GetBondType())) for b in mol.GetBonds()),
        )
        for mol in (first, other)
    ]
    return described[0] == described[1]
