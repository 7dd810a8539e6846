"""Libraries: files with many molecules, one for each line or record, as SMILES, SDF or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded
from openmm_hybrid.data.molecule_files import sdf_records

LIBRARY_ENDINGS = (".smi", ".sdf", ".csv")
"""Endings of the names of libraries."""


@final
@dataclass(frozen=True)
class LibraryEntry:
    """One molecule of a library.

    Parameters
    ----------
    name : str
        Name in the file, or a name made of the place.
    place : str
        Where it is, such as "line 3" or "record 0".
    smiles : str
        SMILES of the file; empty for an SDF.
    block : str
        Text of the record of an SDF, with its coordinates.
    canonical : str
        Canonical SMILES of RDKit, the same for equal molecules; empty if it cannot be read.
    problem : str
        Why it cannot be read; empty if it can.
    """

    name: str
    place: str
    smiles: str = ""
    block: str = ""
    canonical: str = ""
    problem: str = ""


def read_library(path: str | Path) -> tuple[LibraryEntry, ...]:
    """The molecules of a file, those that cannot be read too.

    Parameters
    ----------
    path : path
        A ``.smi`` file has a SMILES and a name in each line, with a space or tab between them; empty lines, lines that
        begin with # and a head line "SMILES Name" are left out. A ``.csv`` file has a head line with the columns smiles
        and, if there are names, name. The names of an ``.sdf`` file are the titles of its records.

    Raises
    ------
    InputError
        The file is missing, of another format, or empty, a CSV file has no column "smiles", or a name is there twice.
    """
    path = expanded(path)
    readers = {".smi": _smi, ".csv": _csv, ".sdf": _sdf}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path} is not a library", expected=f"a name that ends in {', '.join(LIBRARY_ENDINGS)}")
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    text = path.read_bytes().decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\0", " ")
    entries = tuple(map(_checked, readers[path.suffix.lower()](text, path)))
    if not entries:
        raise InputError(f"{path} holds no molecules")
    places: dict[str, str] = {}
    for entry in entries:
        if entry.name in places:
            raise InputError(
                f"{path} has the name {entry.name!r} in {places[entry.name]} and {entry.place}",
                expected="a name of its own for each molecule",
                hint="rename one of them",
            )
        places[entry.name] = entry.place
    return entries


def _smi(text: str, path: Path) -> Iterator[LibraryEntry]:
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split(maxsplit=1)
        if not words or words[0].startswith("#") or (number == 1 and words[0].lower() == "smiles"):
            continue
        name = words[1].strip() if len(words) > 1 else f"molecule-{number}"
        yield LibraryEntry(name, f"line {number}", smiles=words[0])


def _csv(text: str, path: Path) -> Iterator[LibraryEntry]:
    rows = csv.DictReader(io.StringIO(text))
    columns = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
    if "smiles" not in columns:
        raise InputError(
            f"{path} has the columns {', '.join(columns) or 'of no head line'}",
            expected="a head line with the columns smiles and name",
        )
    for row in rows:
        smiles, name = (str(row.get(columns.get(each, ""), "") or "").strip() for each in ("smiles", "name"))
        if smiles or name:
            yield LibraryEntry(name or f"molecule-{rows.line_num}", f"line {rows.line_num}", smiles=smiles)


def _sdf(text: str, path: Path) -> Iterator[LibraryEntry]:
    for number, record in enumerate(sdf_records(text)):
        if record.strip():
            title = record.split("\n", 1)[0].strip()
            yield LibraryEntry(title or f"molecule-{number}", f"record {number}", block=record)


def _checked(entry: LibraryEntry) -> LibraryEntry:
    """The entry with its canonical SMILES, or with the reason why RDKit cannot read it."""
    from rdkit import Chem, rdBase

    from openmm_hybrid.data.bond_orders import read_smiles

    if not entry.block:
        try:
            mol = read_smiles(entry.smiles)
        except InputError as error:
            return replace(entry, problem=str(error))
    else:
        with rdBase.BlockLogs():
            try:
                mol = Chem.MolFromMolBlock(entry.block, removeHs=False)
            except (RuntimeError, ValueError):
                mol = None
    if mol is None or not mol.GetNumAtoms():
        return replace(entry, problem="RDKit cannot read it: it is no molecule, or has impossible valences")
    with rdBase.BlockLogs():
        return replace(entry, canonical=Chem.MolToSmiles(Chem.RemoveHs(mol)))
