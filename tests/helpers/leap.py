"""Systems that AmberTools' tleap makes of a molecule: a peer for everything that is written in AMBER's formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid import Molecule
from openmm_hybrid.bases.gaff.dat_parameters import gaff_dat
from openmm_hybrid.bases.template import atom_names
from openmm_hybrid.core.ambertools import find_program, run_program


def run_tleap(
    folder: Path,
    molecule: Molecule,
    types: Sequence[str],
    charges: NDArray[np.float64],
    version: str,
    frcmod: Path | None = None,
) -> Path:
    """A prmtop file of one molecule with GAFF's tables, parmchk2's additions and, last, a frcmod file of our own."""
    family = "gaff2" if version.startswith("2") else "gaff"
    (folder / "gaff.dat").write_text(gaff_dat(version), encoding="utf-8")
    _write_mol2(folder / "m.mol2", molecule, types, charges)
    commands = [_atom_types(family), "g = loadamberparams gaff.dat"]
    if frcmod is None:
        run_program("parmchk2", ["-i", "m.mol2", "-f", "mol2", "-o", "m.frcmod", "-p", "gaff.dat"], folder)
        commands.append("loadamberparams m.frcmod")
    else:
        commands += [_new_types(types, molecule), f"loadamberparams {frcmod}"]
    commands += ["m = loadmol2 m.mol2", "saveamberparm m m.prmtop m.inpcrd", "quit", ""]
    (folder / "leap.in").write_text("\n".join(commands), encoding="utf-8")
    output = run_program("tleap", ["-f", "leap.in"], folder)
    prmtop = folder / "m.prmtop"
    assert prmtop.is_file(), output
    return prmtop


def _atom_types(family: str) -> str:
    """leaprc.gaff without the lines that load AmberTools' own GAFF."""
    leaprc = find_program("tleap").resolve().parent.parent / "dat" / "leap" / "cmd" / f"leaprc.{family}"
    lines = leaprc.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if "loadamberparams" not in line and not line.startswith("log"))


def _new_types(types: Sequence[str], molecule: Molecule) -> str:
    """Elements and hybridisation of the types that a fit has split; sp2 lets tleap look for impropers."""
    pairs = dict(zip(types, molecule.elements, strict=True))
    return "addAtomTypes {\n" + "\n".join(f'{{ "{kind}" "{e}" "sp2" }}' for kind, e in pairs.items()) + "\n}"


def _write_mol2(path: Path, molecule: Molecule, types: Sequence[str], charges: NDArray[np.float64]) -> None:
    lines = ["@<TRIPOS>MOLECULE", "MOL", f"{molecule.n_atoms} {len(molecule.bonds)} 1 0 0", "SMALL", "USER_CHARGES", ""]
    lines += ["", "@<TRIPOS>ATOM"]
    rows = zip(atom_names(molecule), molecule.positions, types, charges, strict=True)
    for i, (name, (x, y, z), kind, charge) in enumerate(rows, 1):
        lines.append(f"{i} {name} {x:.4f} {y:.4f} {z:.4f} {kind} 1 MOL {charge:.6f}")
    lines.append("@<TRIPOS>BOND")
    lines += [f"{n} {i + 1} {j + 1} 1" for n, (i, j) in enumerate(molecule.bonds, 1)]
    lines += ["@<TRIPOS>SUBSTRUCTURE", "1 MOL 1 TEMP 0 **** **** 0 ROOT"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
