"""Extended XYZ: many geometries of one molecule, with one block of text for each.

A block holds the number of atoms, a comment line with ``key=value`` pairs, and one line per atom, whose columns are
named by the key ``Properties``. We read ``energy``, the columns ``species`` (or ``Z``), ``pos`` and ``forces``, and the
keys ``name``, ``theory``, ``r_unit`` and ``e_unit``. We also read the older form of the MD17 files: the comment line is
the energy alone, and the columns are element, position and force, in Å and kcal/mol. We write eV and Å, which ASE and
most programs expect, and name the units.

ASE reads these files. We do not use its reader and writer: they keep eight decimals, accept a key that occurs twice,
and do not name the frame of an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers as NUMBER_OF
from ase.data import chemical_symbols as SYMBOL_OF
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import KCAL_PER_EV
from openmm_hybrid.data.formats.frame_arrays import FrameArrays

_PAIR = re.compile(r'([^\s=]+)\s*=\s*("(?:[^"\\]|\\.)*"|\S+)')
_TEXTS = ("name", "theory", "r_unit", "e_unit")
_PLAIN = "species:S:1:pos:R:3"
_WITH_FORCES = "species:S:1:pos:R:3:forces:R:3"


def read(path: Path) -> dict[str, Any]:
    """Arrays and texts of a file by the keys of the sGDML layout, in the units of the file.

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
        if not np.array_equal(block.atomic_numbers, first.atomic_numbers):
            what = (
                "the atoms"
                if len(block.atomic_numbers) == len(first.atomic_numbers)
                else f"{len(block.atomic_numbers)} atoms"
            )
            raise MismatchError(
                f"{path}: frame {frame} has {what} in another order or of other elements than frame 0, "
                f"{len(first.atomic_numbers)} atoms",
                expected="one molecule in one atom order",
            )
        for key in ("energy", "forces"):
            if (getattr(block, key) is None) != (getattr(first, key) is None):
                raise MismatchError(f"{path}: frame {frame} differs from frame 0: only one of them has {key}")
        if block.texts != first.texts:
            raise MismatchError(
                f"{path}: frame {frame} differs from frame 0 in name, theory or units: {block.texts}, {first.texts}"
            )
    content: dict[str, Any] = {"z": first.atomic_numbers, "R": np.array([block.positions for block in blocks])}
    if first.energy is not None:
        content["E"] = np.array([block.energy for block in blocks])
    if first.forces is not None:
        content["F"] = np.array([block.forces for block in blocks])
    return content | first.texts


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
        rows = lines[at + 2 : at + 2 + n_atoms]
        if n_atoms < 1 or len(rows) < n_atoms:
            raise InputError(f"{path}: frame {frame} is cut off or empty", expected=f"{n_atoms} lines of atoms")
        yield lines[at + 1], rows
        at, frame = at + 2 + n_atoms, frame + 1


def _block(path: Path, frame: int, comment: str, rows: Sequence[str]) -> _Block:
    where = f"{path}: frame {frame}"
    header = _header(where, comment)
    cells = [row.split() for row in rows]
    if header.keys() & {"lattice", "pbc"} and _periodic(header):
        raise InputError(f"{where} is periodic", expected="a molecule in vacuum", hint="remove Lattice and pbc")
    if "properties" not in header:
        bare = _bare_number(comment)
        columns = _columns(where, _PLAIN if bare is None or len(cells[0]) == 4 else _WITH_FORCES)
        header |= {} if bare is None else {"energy": comment, "r_unit": "Ang", "e_unit": "kcal/mol"}
    else:
        columns = _columns(where, header["properties"])
    width = max(part.stop for part in columns.values())
    for atom, cell in enumerate(cells):
        if len(cell) < width:
            raise InputError(f"{where}, atom {atom} has {len(cell)} columns", expected=f"{width}")
    forces = columns.get("forces")
    return _Block(
        atomic_numbers=_elements(where, cells, columns),
        positions=_reals(where, "pos", cells, columns["pos"]),
        energy=_energy(where, header),
        forces=None if forces is None else _reals(where, "forces", cells, forces),
        texts={key: header[key] for key in _TEXTS if key in header},
    )


def _header(where: str, comment: str) -> dict[str, str]:
    """The pairs of a comment line, keys in lower case."""
    header: dict[str, str] = {}
    for key, value in _PAIR.findall(comment):
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
        key = {"force": "forces"}.get(name, name)
        if key in columns:
            raise InputError(f"{where} has the column {name!r} twice", hint="keep one of them")
        if not count.isdigit():
            raise InputError(f"{where}: key 'Properties' is {properties!r}", expected="name:type:count and so on")
        columns[key] = slice(at, at + int(count))
        at += int(count)
    lacking = "pos" not in columns or not columns.keys() & {"species", "Z"}
    wrong = any(key in columns and columns[key].stop - columns[key].start != 3 for key in ("pos", "forces"))
    if len(parts) % 3 or lacking or wrong:
        raise InputError(f"{where}: key 'Properties' is {properties!r}", expected=f"such as {_WITH_FORCES}")
    return columns


def _periodic(header: dict[str, str]) -> bool:
    return any(flag in "Tt1" for flag in header.get("pbc", "T" if "lattice" in header else "F").replace(" ", ""))


def _bare_number(comment: str) -> float | None:
    try:
        return float(comment)
    except ValueError:
        return None


def _energy(where: str, header: dict[str, str]) -> float | None:
    if "energy" not in header:
        return None
    value = _bare_number(header["energy"])
    if value is None:
        raise InputError(f"{where}: key 'energy' is {header['energy']!r}", expected="a number")
    return value


def _elements(where: str, cells: list[list[str]], columns: dict[str, slice]) -> NDArray[np.int64]:
    column = columns["species"] if "species" in columns else columns["Z"]
    names = [cell[column.start] for cell in cells]
    atomic_numbers = [int(name) if name.isdigit() else NUMBER_OF.get(name.capitalize(), 0) for name in names]
    if 0 in atomic_numbers:
        atom = atomic_numbers.index(0)
        raise InputError(f"{where}, atom {atom}: {names[atom]!r} is not an element")
    return np.array(atomic_numbers, dtype=np.int64)


def _reals(where: str, key: str, cells: list[list[str]], part: slice) -> NDArray[np.float64]:
    try:
        return np.array([cell[part] for cell in cells], dtype=np.float64)
    except ValueError:
        raise InputError(f"{where}: the column {key!r} holds a word that is not a number") from None


def _quoted(value: str) -> str:
    plain = " ".join(value.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'
