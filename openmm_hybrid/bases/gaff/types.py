"""GAFF atom types by antechamber, and parameters that GAFF's own tables lack by parmchk2."""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from openmm_hybrid.bases.gaff.conjugation import consistent_types, kekule
from openmm_hybrid.bases.gaff.dat_parameters import Parameters, gaff_dat, load_gaff, read_frcmod
from openmm_hybrid.bases.template import atom_names
from openmm_hybrid.core.ambertools import mol2_atoms, programs_on_path, run_program
from openmm_hybrid.core.errors import HybridError, InputError, MissingDependencyError
from openmm_hybrid.core.openff import needs_openff, openff_toolkit
from openmm_hybrid.data.elements import check_gaff_elements
from openmm_hybrid.data.molecule import Molecule

PARENTS = {"c5": "c3", "c6": "c3", "ni": "n", "nj": "n", "nk": "n4", "nl": "n4", "nm": "nh", "nn": "nh", "np": "n3"}
PARENTS |= {"nq": "n3", "n5": "n7", "n6": "n7", "op": "os", "oq": "os", "sp": "ss", "sq": "ss"}
"""Ring types that later versions of GAFF added → the types of the same atoms in earlier versions."""


def antechamber_types(molecule: Molecule, version: str) -> tuple[str, ...]:
    """GAFF types (n_atoms,) by antechamber, which reads the bond orders and the geometry from an SDF.

    J. Wang et al., J. Mol. Graph. Model. 25, 247 (2006). Versions 1.x have the types of GAFF 1, versions 2.x those of
    GAFF 2. If the types contradict the bond orders in conjugated parts, `consistent_types` corrects them.

    Raises
    ------
    MissingDependencyError
        AmberTools are not installed.
    HybridError
        antechamber failed, or changed the order of the atoms.
    """
    from rdkit import Chem

    check_gaff_elements(molecule)
    known = load_gaff(version).masses
    structure = kekule(molecule)
    conformer = Chem.Conformer(molecule.n_atoms)
    conformer.SetPositions(np.array(molecule.positions))
    structure.AddConformer(conformer)
    with tempfile.TemporaryDirectory(prefix="gaff-") as name:
        folder = Path(name)
        Chem.MolToMolFile(structure, str(folder / "in.sdf"), kekulize=False)
        arguments = ["-i", "in.sdf", "-fi", "mdl", "-o", "out.mol2", "-fo", "mol2", "-at", _family(version)]
        arguments += ["-nc", str(molecule.charge), "-j", "5", "-dr", "no", "-seq", "no"]
        try:
            run_program("antechamber", arguments, folder)
            rows = mol2_atoms(folder / "out.mol2")
            types = tuple(words[5] for words in rows)
            positions = np.array([[float(word) for word in words[2:5]] for words in rows])
        except MissingDependencyError:
            raise
        except (HybridError, OSError, ValueError, IndexError) as error:
            raise HybridError(
                f"antechamber could not type {molecule.name}: {error}",
                hint="check its bond orders and formal charges",
            ) from error
    if positions.shape != (molecule.n_atoms, 3) or np.abs(positions - molecule.positions).max() > 2e-3:
        raise HybridError(f"antechamber changed the order of the atoms of {molecule.name}")
    types = tuple(kind if kind in known else PARENTS.get(kind, kind) for kind in types)
    unknown = sorted(set(types) - set(known))
    if unknown:
        raise InputError(
            f"{molecule.name}: GAFF {version} does not know the type {', '.join(unknown)} of atom "
            + ", ".join(str(i) for i, kind in enumerate(types) if kind in unknown),
            hint="use a later version of GAFF",
        )
    return consistent_types(types, structure)


def openff_types(molecule: Molecule, version: str) -> tuple[str, ...]:
    """GAFF types (n_atoms,) by the GAFFTemplateGenerator of openmmforcefields, which needs openff-toolkit.

    Raises
    ------
    MissingDependencyError
        openff-toolkit, ParmEd or AmberTools are not installed.
    InputError
        GAFFTemplateGenerator does not have this version of GAFF.
    """
    check_gaff_elements(molecule)
    openff_toolkit("typing='openff'")
    try:
        import parmed  # noqa: F401  (GAFFTemplateGenerator imports it late)
        from openmmforcefields.generators import GAFFTemplateGenerator
    except ImportError as error:
        raise needs_openff("typing='openff'", error) from error
    name = f"gaff-{version}"
    if name not in GAFFTemplateGenerator.INSTALLED_FORCEFIELDS:
        raise InputError(
            f"GAFFTemplateGenerator has no {name}", expected=", ".join(GAFFTemplateGenerator.INSTALLED_FORCEFIELDS)
        )
    charges = np.full(molecule.n_atoms, molecule.charge / molecule.n_atoms)
    charges[[0, -1]] += [0.1, -0.1]  # nonzero charges spare a calculation of charges
    with programs_on_path("antechamber", "parmchk2"):
        xml = GAFFTemplateGenerator(forcefield=name).generate_residue_template(molecule.to_openff(charges))
    types = tuple(atom.attrib["type"] for atom in ElementTree.fromstring(xml).findall("./Residues/Residue/Atom"))
    if len(types) != molecule.n_atoms:
        raise HybridError(
            f"GAFFTemplateGenerator typed {len(types)} of the {molecule.n_atoms} atoms of {molecule.name}"
        )
    return types


def molecule_parameters(molecule: Molecule, types: Sequence[str], version: str) -> Parameters:
    """GAFF's tables, completed by parmchk2 for this molecule.

    Raises
    ------
    InputError
        GAFF has neither parameters for a term nor similar ones; the message names the types and the atoms.
    MissingDependencyError
        AmberTools are not installed.
    """
    with tempfile.TemporaryDirectory(prefix="gaff-") as name:
        folder = Path(name)
        (folder / "gaff.dat").write_text(gaff_dat(version), encoding="utf-8")
        _write_mol2(folder / "in.mol2", molecule, types)
        run_program("parmchk2", ["-i", "in.mol2", "-f", "mol2", "-o", "out.frcmod", "-p", "gaff.dat"], folder)
        try:
            frcmod = (folder / "out.frcmod").read_text(encoding="utf-8")
        except FileNotFoundError:
            raise HybridError(f"parmchk2 wrote no parameters for {molecule.name}") from None
    _refuse_attn(frcmod, molecule, types)
    return load_gaff(version).with_extra(read_frcmod(frcmod))


def _refuse_attn(frcmod: str, molecule: Molecule, types: Sequence[str]) -> None:
    """Raise an error for each term that parmchk2 could not estimate: it writes zeros and the word ATTN."""
    for line in frcmod.splitlines():
        if "ATTN" in line:
            term = [word.strip() for word in line[:11].split("  ")[0].split("-")]
            atoms = [f"{i} ({kind})" for i, kind in enumerate(types) if kind in term]
            raise InputError(
                f"{molecule.name}: GAFF has no parameters for {'-'.join(term)}, nor similar ones; "
                f"atoms {', '.join(atoms)}",
                hint="check the bond orders and charges, or give a prmtop with parameters of your own",
            )


def _family(version: str) -> str:
    return "gaff2" if version.startswith("2") else "gaff"


def _write_mol2(path: Path, molecule: Molecule, types: Sequence[str]) -> None:
    """Write the mol2 file for parmchk2, which reads only types and connections."""
    lines = [
        "@<TRIPOS>MOLECULE",
        "MOL",
        f"{molecule.n_atoms} {len(molecule.bonds)} 1 0 0",
        "SMALL",
        "No Charge or Current Charge",
        "",
    ]
    lines += ["", "@<TRIPOS>ATOM"]
    for i, (name, (x, y, z), kind) in enumerate(zip(atom_names(molecule), molecule.positions, types, strict=True), 1):
        lines.append(f"{i:7d} {name:<8s} {x:10.4f} {y:10.4f} {z:10.4f} {kind:<6s} 1 MOL 0.000000")
    lines.append("@<TRIPOS>BOND")
    lines += [f"{n:6d} {i + 1:5d} {j + 1:5d} 1" for n, (i, j) in enumerate(molecule.bonds, 1)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
