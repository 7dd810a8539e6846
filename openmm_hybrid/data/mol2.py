"""MOL2 files that RDKit cannot read: Open Babel's formal charges, and antechamber's GAFF types.

RDKit knows SYBYL's types only, and ends at the section ``UNITY_ATOM_ATTR``, in which Open Babel writes the formal
charges. antechamber writes all bonds of delocalised groups (nitro, sulfonate) as single, from which RDKit makes a wrong
net charge. So the bond orders are found from the connectivity and the net charge, the sum of the partial charges, in
files with GAFF types, and where that sum is not RDKit's net charge.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.bond_orders import perceived, plain_graph

if TYPE_CHECKING:
    from rdkit import Chem

_MOLECULE = "@<TRIPOS>MOLECULE"
_HINT = 'write it with SYBYL types (antechamber -at sybyl), as SDF, or give template="SMILES"'
_WHOLE = 0.05  # e, largest difference of the sum of the partial charges from a whole number
_GAFF = re.compile(r"cl|br|[chnospfi][0-9a-z+]?")


@dataclass(frozen=True)
class _Content:
    """Atoms, bonds (i, j, SYBYL's bond type) and charges of a record; charges are None where it has none."""

    types: list[str]
    atomic_numbers: list[int]
    positions: NDArray[np.float64]
    bonds: list[tuple[int, int, str]]
    net_charge: int | None
    formal: dict[int, int] | None
    title: str
    is_gaff: bool


def records(text: str) -> list[str]:
    """The texts of the molecules in a file."""
    return [_MOLECULE + part for part in text.split(_MOLECULE)[1:]]


def read(text: str, where: str, *, sanitize: bool) -> Chem.Mol | None:
    """The molecule of a record with its coordinates; None if it is not a MOL2 file.

    Raises
    ------
    InputError
        A type of atom or a valence is impossible, or the net charge is unknown.
    """
    from rdkit import Chem

    known = None
    if "UNITY_ATOM_ATTR" not in text:
        try:
            known = Chem.MolFromMol2Block(text, removeHs=False, sanitize=sanitize)
        except (RuntimeError, ValueError):
            known = None
    try:
        content = _content(text, where)
    except (ValueError, LookupError, OverflowError) as error:
        if isinstance(error, InputError) and known is None:
            raise
        return known
    if content is None or (
        known is not None and (not sanitize or 1 not in content.atomic_numbers or _agrees(known, content))
    ):
        return known
    mol = _drawn(content)
    if not sanitize:
        return mol
    if known is None and not content.is_gaff:
        checked = Chem.Mol(mol)
        try:
            Chem.SanitizeMol(checked)
        except (ValueError, RuntimeError):
            raise impossible(mol, where, "export it again with the formal charges, as SDF") from None
        if content.formal or _agrees(checked, content):
            Chem.AssignStereochemistryFrom3D(checked)
            return checked
    if content.net_charge is None:
        raise InputError(
            f"{where} has {'GAFF types' if content.is_gaff else 'delocalised groups with single bonds'} and no partial "
            "charges that add up to a whole net charge",
            hint=_HINT,
        )
    graph = plain_graph(content.atomic_numbers, [(i, j) for i, j, _ in content.bonds])
    graph.AddConformer(Chem.Conformer(mol.GetConformer()))
    try:
        made = perceived(graph, content.net_charge, f"{where}, whose partial charges add up to {content.net_charge},")
    except InputError:
        if known is None or _has_single_oxygen(known, content):
            raise
        warnings.warn(
            f"{where}: the partial charges add up to {content.net_charge}, the formal charges of the bonds to "
            f"{Chem.GetFormalCharge(known)}, which is used",
            stacklevel=2,
        )
        return known
    made.SetProp("_Name", content.title)
    Chem.AssignStereochemistryFrom3D(made)
    return made


def _agrees(mol: Chem.Mol, content: _Content) -> bool:
    """Whether a molecule's net charge is that of the partial charges, if there are any."""
    from rdkit import Chem

    if content.net_charge is None:
        return not _has_single_oxygen(mol, content)
    return bool(content.net_charge == Chem.GetFormalCharge(mol))


def _has_single_oxygen(mol: Chem.Mol, content: _Content) -> bool:
    """Whether an oxygen of the type O.2, which has a double bond, got a charge because its bond is single."""
    atoms = zip(mol.GetAtoms(), content.types, strict=True)
    return any(atom.GetFormalCharge() < 0 and kind == "O.2" for atom, kind in atoms)


def impossible(mol: Chem.Mol, where: str, hint: str) -> InputError:
    """The error for a molecule that RDKit reads but cannot sanitise, with the reason and the atom."""
    from rdkit import Chem

    try:
        problems = Chem.DetectChemistryProblems(mol)
    except RuntimeError:
        problems = ()
    if not problems:
        return InputError(f"{where} holds no molecule that RDKit can read", hint="open and export it again as SDF")
    problem = problems[0]
    named = ""
    if hasattr(problem, "GetAtomIdx"):
        atom = mol.GetAtomWithIdx(problem.GetAtomIdx())
        named = f"atom {atom.GetIdx()} ({atom.GetSymbol()}) with {atom.GetDegree()} neighbours is impossible: "
    return InputError(f"{where}: {named}{problem.Message()}", hint=f'{hint}, or template="SMILES"')


def _content(text: str, where: str) -> _Content | None:
    sections: dict[str, list[str]] = {}
    for part in text.split("@<TRIPOS>")[1:]:
        name, *lines = part.split("\n")
        sections.setdefault(name.strip(), []).extend(line for line in lines if not line.startswith("#"))
    atoms = [line.split() for line in sections.get("ATOM", []) if line.strip()]
    if not atoms or any(len(cells) < 6 for cells in atoms):
        return None
    index = {cells[0]: number for number, cells in enumerate(atoms)}
    types = [cells[5] for cells in atoms]
    is_gaff = all(_GAFF.fullmatch(kind) for kind in types)
    cells = [line.split() for line in sections.get("BOND", []) if line.strip()]
    bonds = {frozenset((index[row[1]], index[row[2]])): row[3].lower() for row in cells if row[3].lower() != "nc"}
    if any(len(pair) != 2 for pair in bonds):
        return None
    return _Content(
        types=types,
        atomic_numbers=[_element(kind, number, where, is_gaff) for number, kind in enumerate(types)],
        positions=np.array([cells[2:5] for cells in atoms], dtype=np.float64),
        bonds=[(min(pair), max(pair), kind) for pair, kind in bonds.items()],
        net_charge=_net_charge([cells[8] for cells in atoms if len(cells) > 8], len(atoms)),
        formal=_formal(sections, index),
        title=sections["MOLECULE"][0].strip(),
        is_gaff=is_gaff,
    )


def _element(kind: str, number: int, where: str, is_gaff: bool) -> int:
    from ase.data import atomic_numbers

    symbol = kind if kind in ("cl", "br") or not is_gaff else kind[0]
    symbol = symbol.partition(".")[0]
    if symbol.capitalize() not in atomic_numbers or (not is_gaff and symbol not in atomic_numbers):
        raise InputError(f"{where}: atom {number} has the type {kind!r}", expected="SYBYL or GAFF types", hint=_HINT)
    return int(atomic_numbers[symbol.capitalize()])


def _net_charge(partial: list[str], n_atoms: int) -> int | None:
    """The sum of the partial charges, if all atoms have one and it is whole."""
    charges = [float(charge) for charge in partial]
    total = sum(charges)
    whole = len(charges) == n_atoms and any(charges) and abs(total - round(total)) < _WHOLE
    return round(total) if whole else None


def _formal(sections: dict[str, list[str]], index: dict[str, int]) -> dict[int, int] | None:
    """Formal charges from lines "atom number-of-attributes" and "charge value"; None without the section."""
    if "UNITY_ATOM_ATTR" not in sections:
        return None
    charges, atom = {}, -1
    for cells in (line.split() for line in sections["UNITY_ATOM_ATTR"] if line.strip()):
        if cells[0] == "charge":
            charges[atom] = int(cells[1])
        elif cells[0] in index:
            atom = index[cells[0]]
    return charges


def _drawn(content: _Content) -> Chem.Mol:
    """The molecule with the bonds and formal charges as they are written, not sanitised."""
    from rdkit import Chem

    mol = plain_graph(content.atomic_numbers, ())
    formal = content.formal or {}
    for atom, charge in formal.items():
        mol.GetAtomWithIdx(atom).SetFormalCharge(charge)
    types = {"2": Chem.BondType.DOUBLE, "3": Chem.BondType.TRIPLE, "ar": Chem.BondType.AROMATIC}
    for i, j, kind in content.bonds:
        mol.AddBond(i, j, types.get(kind, Chem.BondType.SINGLE))
    Chem.FastFindRings(mol)
    for atom in mol.GetAtoms():
        atom.SetIsAromatic(False)
    for bond in mol.GetBonds():
        if bond.GetBondType() == Chem.BondType.AROMATIC and not bond.IsInRing():
            # Open Babel's carboxylates: the oxygen with the charge is single, the other double.
            ends = (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
            single = any(formal.get(end, 0) < 0 for end in ends)
            bond.SetBondType(Chem.BondType.SINGLE if single else Chem.BondType.DOUBLE)
        aromatic = bond.GetBondType() == Chem.BondType.AROMATIC
        bond.SetIsAromatic(aromatic)
        for atom in (bond.GetBeginAtom(), bond.GetEndAtom()):
            atom.SetIsAromatic(atom.GetIsAromatic() or aromatic)
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.SetPositions(content.positions)
    mol.AddConformer(conformer)
    mol.SetProp("_Name", content.title)
    return Chem.Mol(mol)
