"""The folder of `openmm-hybrid build`: a System with its molecule, and how the System was made."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import replacing
from openmm_hybrid.core.result_document import write_json
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.data.stereo import isomer_smiles
from openmm_hybrid.systems.nonbonded_changes import particles_of
from openmm_hybrid.systems.system_files import load_system, save_system

MOLECULE, RESIDUES, BUILD = "molecule.sdf", "forcefield.xml", "build.json"
_AGAIN = "build it again"


@final
@dataclass(frozen=True, eq=False)
class BuildFolder:
    """The molecule in a folder of `build`, and how its System was made.

    Parameters
    ----------
    molecule : Molecule
    base : str
        Name of the base force field.
    method : str
        Method of the charges.
    charges : (n_atoms,), e
        Charges of the molecule in the System.
    """

    molecule: Molecule
    base: str
    method: str
    charges: NDArray[np.float64] = field(repr=False)


def write_build(folder: Path, built: BuiltSystem, *, base: str, method: str) -> None:
    """Write a molecule with its base force field, in vacuum or water: what `save_system` writes, and three more files.

    Parameters
    ----------
    folder : Path
    built : BuiltSystem
        One molecule.
    base, method : str
        Base force field and method of the charges, as given to `build`.

    Raises
    ------
    HybridError
        A file cannot be written.
    """
    from rdkit import Chem

    (molecule,) = built.molecules
    with replacing(folder / MOLECULE) as temporary:
        Chem.MolToMolFile(molecule.to_rdkit(), str(temporary))
    built.to_ffxml(folder / RESIDUES)
    write_json(folder / BUILD, {"base": base, "charges": method})
    save_system(folder, built.system, built.topology, built.positions)


def check_build_folder(folder: Path, molecule: Molecule) -> None:
    """Refuse a folder with files that are not of `build`, or with another molecule.

    Raises
    ------
    InputError
        There are other files.
    MismatchError
        The build there is of another molecule.
    """
    found = sorted(path.name for path in folder.glob("*") if not path.name.startswith("."))
    if found and BUILD not in found:
        raise InputError(
            f"{folder} holds {found[0]}, but no build",
            expected="an empty folder, or that of an earlier `build`",
            hint="choose another folder",
        )
    if MOLECULE in found:
        old, new = (isomer_smiles(each.to_rdkit()) for each in (Molecule.from_file(folder / MOLECULE), molecule))
        if old != new:
            raise MismatchError(
                f"{folder} holds a build of {old}", expected=new, hint="choose another folder, or remove this one"
            )


def read_build(folder: Path) -> BuildFolder:
    """The molecule, base force field and charges of a folder of `build`.

    Raises
    ------
    InputError
        A file is missing or damaged.
    MismatchError
        The System is of another molecule.
    """
    for name in (BUILD, MOLECULE):
        if not (folder / name).is_file():
            raise InputError(f"{folder} has no {name}", expected="a folder of `openmm-hybrid build`", hint=_AGAIN)
    try:
        content = json.loads((folder / BUILD).read_text(encoding="utf-8"))
        base, method = str(content["base"]), str(content["charges"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{folder / BUILD} is damaged ({error})", hint=_AGAIN) from None
    molecule = Molecule.from_file(folder / MOLECULE)
    system, topology, _ = load_system(folder)
    elements = [atom.element.atomic_number if atom.element else 0 for atom in topology.atoms()]
    forces = [force for force in system.getForces() if isinstance(force, openmm.NonbondedForce)]
    if elements[: molecule.n_atoms] != molecule.atomic_numbers.tolist() or len(forces) != 1:
        raise MismatchError(f"the System in {folder} does not start with the atoms of {MOLECULE}", hint=_AGAIN)
    return BuildFolder(molecule, base, method, particles_of(forces[0], range(molecule.n_atoms))[:, 0])
