"""Partial charges in a file of a study's folder, with a note of the molecule that they are of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.files import fingerprint, read_json, read_npy, replacing, sha256
from openmm_hybrid.data.molecule import Molecule

_AGAIN = "remove it: it is made again"


def kept_charges(path: Path, molecule: Molecule, make: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
    """The charges of a molecule from a file; they are computed if the file has none, or those of another molecule.

    A JSON file of the same name notes the molecule, its order of atoms and its net charge. Charges without a note do
    not count.

    Parameters
    ----------
    path : Path
        npy file.
    molecule : Molecule
    make : function
        Computes the charges (n_atoms,), e, which take long.

    Raises
    ------
    InputError
        A file is damaged.
    """
    note = path.with_suffix(".json")
    described = {"molecule": _described(molecule)}
    if path.is_file():
        found: NDArray[np.float64] = read_npy(path, hint=_AGAIN)
        if note.is_file() and _noted(note) == described | {"sha256": sha256(path)}:
            return found
    charges = make()
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, charges, allow_pickle=False)
    with replacing(note) as temporary:
        temporary.write_text(json.dumps(described | {"sha256": sha256(path)}) + "\n", encoding="utf-8")
    return charges


def _described(molecule: Molecule) -> str:
    atoms = fingerprint(molecule.atomic_numbers, molecule.bonds)
    return fingerprint(f"{molecule.smiles} {molecule.charge} {atoms}")


def _noted(note: Path) -> dict[str, Any]:
    return read_json(note, expected="the molecule of the charges", hint=_AGAIN)
