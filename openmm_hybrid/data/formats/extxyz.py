"""Extended XYZ: many geometries of one molecule, with one block of text for each.

A block holds the number of atoms, a comment line with ``key=value`` pairs, and one line per atom, whose columns are
named by the key ``Properties``. We read ``energy``, the columns ``species`` (or ``Z``), ``pos`` and ``forces``, and the
keys ``name``, ``theory``, ``r_unit`` and ``e_unit``. Other usual names of energies, forces and gradients (minus the
forces) are in the module `labels`. We write eV and Å, which ASE and most programs expect, and name the units.

Without ``Properties``, the first four columns are element and position, and the energy may be in the comment line:

- a number alone, as CREST writes it (hartree), or the MD17 files of 2017 (kcal/mol, with the force in columns five to
  seven). Only with forces is the unit known: MD17's;
- ``energy: -5.07 gnorm: ...`` of xtb and ``E -76.4`` of ORCA, in hartree; ``Energy: ...`` of other programs;
- the line of properties of QM9, whose energy is U0 minus the zero-point energy, in hartree; its charges in the fifth
  column and its last three lines are not read.

ASE reads these files. We do not use its reader and writer: they keep eight decimals, accept a key that occurs twice,
and do not name the frame of an error.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers as NUMBER_OF
from ase.data import chemical_symbols as SYMBOL_OF
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import KCAL_PER_EV, energy_factor
from openmm_hybrid.data.formats.comments import comment_energy, named_energies, unread_energies
from openmm_hybrid.data.formats.frame_arrays import FrameArrays
from openmm_hybrid.data.formats.labels import ENERGIES, FORCES, GRADIENTS, PAIR, warn_unread

_FORTRAN = re.compile(r"\*\^|(?<=[\d.])[dD](?=[-+\d])")  # exponents such as 1.2*^-6 (QM9) and 1.2D-6
_TEXTS = ("name", "theory", "r_unit", "e_unit")
_PLAIN = "species:S:1:pos:R:3"
_WITH_FORCES = "species:S:1:pos:R:3:forces:R:3"


def read(path: Path) -> dict[str, Any]:
    """Arrays and texts of a file by the keys of the sGDML layout, in the units of the file.

    ``usual_e_unit`` is the unit of energies that a file without ``e_unit`` has by its layout, and ``unit_hint`` what to
    do if there is none.

    Raises
    ------
    InputError
        The file is truncated or malformed; the message names file, frame and key.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file", expected="extended XYZ") from None
    blocks = [_block(path, frame, *raw) for frame, raw in enumerate(_split(path, lines))]
    if not blocks:
        raise InputError(f"{path} holds no frames")
    first = blocks[0]
    for frame, block in enumerate(blocks):
        _check_like_first(path, frame, block, first)
    names = {block.texts.get("name", "") for block in blocks}
    if len(names) > 1:
        warnings.warn(f"{path}: the frames have {len(names)} names; they are read as one molecule", stacklevel=2)
    content: dict[str, Any] = {"z": first.atomic_numbers, "R": np.array([block.positions for block in blocks])}
    if first.energy is not None:
        content["E"] = np.array([block.energy for block in blocks])
    if first.forces is not None:
        content["F"] = np.array([block.forces for block in blocks])
    unread = {name for block in blocks for name in block.unread}
    warn_unread(path, unread, energies="E" in content, forces="F" in content)
    content |= {"layout": first.layout, "usual_e_unit": first.usual_e_unit, "unit_hint": first.unit_hint}
    return content | {key: text for key, text in first.texts.items() if key != "name" or len(names) == 1}


def _check_like_first(path: Path, frame: int, block: _Block, first: _Block) -> None:
    if not np.array_equal(block.atomic_numbers, first.atomic_numbers):
        counts = len(block.atomic_numbers), len(first.atomic_numbers)
        what = "the atoms" if counts[0] == counts[1] else f"{counts[0]} atoms"
        raise MismatchError(
            f"{path}: frame {frame} has {what} in another order or of other elements than frame 0, {counts[1]} atoms",
            expected="one molecule in one atom order",
        )
    for key in ("energy", "forces"):
        if (getattr(block, key) is None) != (getattr(first, key) is None):
            raise MismatchError(f"{path}: frame {frame} differs from frame 0: only one of them has {key}")
    texts, others = ({**each.texts, "name": "", "layout": each.usual_e_unit} for each in (block, first))
    if texts != others:
        raise MismatchError(
            f"{path}: frame {frame} differs from frame 0 in name, theory or units: {block.texts}, {first.texts}",
            hint="write frames of each theory and unit to a file of their own",
        )


def to_bytes(frames: FrameArrays) -> bytes:
    """The bytes of the file, with energies in eV and forces in eV/Å; every number is exact."""
    properties = _PLAIN if frames.forces is None else _WITH_FORCES
    common = [f"Properties={properties}", f"name={_quoted(frames.name)}", f"theory={_quoted(frames.theory)}"]
    common += ["r_unit=Ang", "e_unit=eV", 'pbc="F F F"']
    symbols = [SYMBOL_OF[number] for number in frames.atomic_numbers]
    lines: list[str] = []
    for index in range(len(frames.positions)):
        energy = [] if frames.energies is None else [f"energy={frames.energies[index] / KCAL_PER_EV:.17g}"]
        columns = [frames.positions[index]]
        if frames.forces is not None:
            columns.append(frames.forces[index] / KCAL_PER_EV)
        rows = np.concatenate(columns, axis=1).tolist()
        lines += [str(len(frames.atomic_numbers)), " ".join([*energy, *common])]
        lines += [" ".join([s, *map(repr, row)]) for s, row in zip(symbols, rows, strict=True)]
    return ("\n".join(lines) + "\n").encode()


@dataclass(frozen=True)
class _Block:
    atomic_numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    energy: float | None
    forces: NDArray[np.float64] | None
    texts: dict[str, str]
    unread: tuple[str, ...]
    usual_e_unit: str
    unit_hint: str
    layout: str


def _split(path: Path, lines: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Comment line and atom lines of each frame."""
    at = frame = 0
    while at < len(lines):
        if not lines[at].strip():
            if any(line.strip() for line in lines[at:]):
                raise InputError(f"{path}: an empty line {at + 1} before frame {frame}", expected="a number of atoms")
            return
        try:
            n_atoms = int(lines[at])
        except ValueError:
            raise InputError(
                f"{path}: line {at + 1}, the start of frame {frame}, is {lines[at][:40]!r}",
                expected="a number of atoms",
            ) from None
        rows = lines[at + 2 : at + 2 + n_atoms] if n_atoms <= len(lines) else []
        if n_atoms < 1 or len(rows) < n_atoms:
            raise InputError(f"{path}: frame {frame} is cut off or empty", expected=f"{n_atoms} lines of atoms")
        yield lines[at + 1], rows
        at, frame = at + 2 + n_atoms + (3 if _qm9(lines[at + 1]) else 0), frame + 1


def _qm9(comment: str) -> list[str]:
    """The 17 properties on the comment line of a QM9 file; empty for other files.

    Their order is that of the files' description (Ramakrishnan et al., Sci. Data 1, 140022 (2014), table 3).
    """
    cells = comment.split()
    return cells if cells[:1] == ["gdb"] and len(cells) == 17 else []


def _block(path: Path, frame: int, comment: str, rows: Sequence[str]) -> _Block:
    where = f"{path}: frame {frame}"
    header, cells = _header(where, comment), [row.split() for row in rows]
    if header.keys() & {"lattice", "pbc"} and _periodic(header):
        raise InputError(f"{where} is periodic", expected="a molecule in vacuum", hint="remove Lattice and pbc")
    header = named_energies(comment, header, where)
    properties, key = header.get("properties", _PLAIN), _only(where, header, ENERGIES)
    energy = header[key] if key else None
    usual, hint, layout, unread = "", "add e_unit=eV to every comment line, or give e_unit (--e-unit)", "", ()
    qm9 = _qm9(comment)
    stated = None if qm9 or key or "properties" in header else comment_energy(comment, where)
    if qm9:
        electronic = _reals(where, "zpve", [[qm9[12], qm9[11]]], slice(0, 2))[0]
        energy = repr(float(electronic[0] - electronic[1]))
        header = {"name": " ".join(qm9[:2]), "theory": "B3LYP/6-31G(2df,p)", "e_unit": "hartree"}
    elif stated:
        energy, hint = stated.value, stated.hint
        if stated.e_unit and energy_factor(header.get("e_unit", stated.e_unit)) != energy_factor(stated.e_unit):
            raise InputError(f"{where} has an energy in {stated.e_unit} and e_unit={header['e_unit']}")
        header |= {"e_unit": stated.e_unit} if stated.e_unit and "e_unit" not in header else {}
        if stated.bare and len(cells[0]) >= 7:
            properties, usual, layout = _WITH_FORCES, "kcal/mol", "MD17"
    if "properties" not in header and energy is None:
        unread = (*unread_energies(comment), *(("forces in columns 5 to 7",) if len(cells[0]) == 7 else ()))
    columns = _columns(where, properties)
    width = max(part.stop for part in columns.values())
    for atom, cell in enumerate(cells):
        if len(cell) < width:
            raise InputError(f"{where}, atom {atom} has {len(cell)} columns", expected=f"{width}")
    forces = _only(where, columns, (*FORCES, *GRADIENTS))
    sign = -1.0 if forces in GRADIENTS else 1.0
    return _Block(
        atomic_numbers=_elements(where, cells, columns),
        positions=_reals(where, "pos", cells, columns["pos"]),
        energy=None if energy is None else _energy(where, key, energy),
        forces=sign * _reals(where, forces, cells, columns[forces]) if forces else None,
        texts={key: header[key] for key in _TEXTS if key in header},
        unread=(*unread, *((header.keys() | columns.keys()) - {key, forces, "free_energy"})),
        usual_e_unit=usual,
        unit_hint=hint,
        layout=layout,
    )


def _only(where: str, found: Mapping[str, Any], names: Sequence[str]) -> str:
    """The one key among `names`, or an empty text. Two of them are allowed if they have the same value."""
    present = [name for name in names if name in found]
    if len({str(found[name]) for name in present}) > 1:
        raise InputError(
            f"{where} has {' and '.join(map(repr, present))}, which mean the same", hint="keep one of them"
        )
    return present[0] if present else ""


def _header(where: str, comment: str) -> dict[str, str]:
    """The pairs of a comment line, keys in lower case."""
    header: dict[str, str] = {}
    for key, value in PAIR.findall(comment):
        if key.lower() in header:
            raise InputError(f"{where} has the key {key!r} twice", hint="keep one of them")
        quoted = value.startswith('"')
        header[key.lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if quoted else value
    return header


def _columns(where: str, properties: str) -> dict[str, slice]:
    """Name → columns, from a text such as species:S:1:pos:R:3."""
    parts = properties.split(":")
    columns: dict[str, slice] = {}
    at = 0
    for name, count in zip(parts[::3], parts[2::3], strict=False):
        key = {"positions": "pos", "numbers": "z"}.get(name.lower(), name.lower())
        if key in columns:
            raise InputError(f"{where} has the column {name!r} twice", hint="keep one of them")
        if not count.isdecimal() or len(count) > 4:
            raise InputError(f"{where}: key 'Properties' is {properties!r}", expected="name:type:count and so on")
        columns[key] = slice(at, at + int(count))
        at += int(count)
    lacking = "pos" not in columns or not columns.keys() & {"species", "z"}
    vectors = ("pos", *FORCES, *GRADIENTS)
    wrong = any(key in columns and columns[key].stop - columns[key].start != 3 for key in vectors)
    if len(parts) % 3 or lacking or wrong:
        raise InputError(f"{where}: key 'Properties' is {properties!r}", expected=f"such as {_WITH_FORCES}")
    return columns


def _periodic(header: dict[str, str]) -> bool:
    return any(flag in "Tt1" for flag in header.get("pbc", "T" if "lattice" in header else "F").replace(" ", ""))


def _energy(where: str, key: str, text: str) -> float:
    try:
        return float(_FORTRAN.sub("e", text))
    except ValueError:
        raise InputError(f"{where}: key {key!r} is {text!r}", expected="a number") from None


def _elements(where: str, cells: list[list[str]], columns: dict[str, slice]) -> NDArray[np.int64]:
    column = columns["species"] if "species" in columns else columns["z"]
    names = [cell[column.start] for cell in cells]
    atomic_numbers = [
        int(name) if name.isdecimal() and len(name) < 4 else NUMBER_OF.get(name.capitalize(), 0) for name in names
    ]
    if 0 in atomic_numbers:
        atom = atomic_numbers.index(0)
        raise InputError(f"{where}, atom {atom}: {names[atom]!r} is not an element")
    return np.array(atomic_numbers, dtype=np.int64)


def _reals(where: str, key: str, cells: list[list[str]], part: slice) -> NDArray[np.float64]:
    try:
        return np.array([cell[part] for cell in cells], dtype=np.float64)
    except ValueError:
        pass
    try:
        return np.array([[_FORTRAN.sub("e", text) for text in cell[part]] for cell in cells], dtype=np.float64)
    except ValueError:
        raise InputError(f"{where}: the column {key!r} holds a word that is not a number") from None


def _quoted(value: str) -> str:
    plain = " ".join(value.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'
