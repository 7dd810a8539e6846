"""GAFF built here against the AMBER prmtop files of FreeSolv, per energy term.

python -m benchmarks.gaff_freesolv --freesolv PATH   [--version 1.7] [--molecules 642]   (PATH: a checkout of FreeSolv)

FreeSolv (D. L. Mobley, J. P. Guthrie, J. Comput. Aided Mol. Des. 28, 711 (2014)) was made with LEaP, GAFF 1.7 and
AM1-BCC charges. Each molecule (bond orders from the SMILES in database.txt) is typed and parametrised here, with the
charges of its prmtop, and both systems are evaluated at the geometry of its inpcrd: once with the types and the
parmchk2 found here and, where that differs, with the prmtop's types and FreeSolv's own frcmod file.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import AllChem

from openmm_hybrid import Molecule, gaff
from openmm_hybrid.bases.gaff.dat_parameters import load_gaff, read_frcmod
from openmm_hybrid.bases.gaff.gaff import make_template
from openmm_hybrid.bases.system import assemble
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.core.units import KJ_PER_KCAL, positions_to_angstrom

TOLERANCES = {"bonds": 1e-5, "angles": 5e-4, "propers": 1e-4, "impropers": 0.05, "nonbonded": 1e-5}
"""kJ/mol; the largest difference that counts as agreement."""


def compare(folder: Path, name: str, smiles: str, version: str) -> dict[str, Any]:
    """Types and differences of energy, here minus AMBER, kJ/mol, of one molecule."""
    reference = gaff.from_prmtop(folder / "amber" / f"{name}.prmtop", folder / "amber" / f"{name}.inpcrd")
    positions = positions_to_angstrom(reference.positions)
    molecule = molecule_of(reference, smiles, name)
    expected = reference.model().energy_terms(positions)
    built = gaff.build(molecule, version=version, charges=reference.charges)
    result: dict[str, Any] = {
        "name": name,
        "smiles": molecule.smiles,
        "other_types": sum(a != b for a, b in zip(reference.atom_types, built.atom_types, strict=True)),
        "differences": _differences(built, expected),
    }
    if result["other_types"] or not agrees(result["differences"]):
        extra = read_frcmod((folder / "amber" / f"{name}.frcmod").read_text(encoding="utf-8"))
        parameters = load_gaff(version).with_extra(extra)
        template = make_template(molecule, reference.atom_types, parameters, version).with_charges(reference.charges)
        result["differences_with_their_types_and_frcmod"] = _differences(assemble([template], positions), expected)
    return result


def agrees(differences: dict[str, float]) -> bool:
    """Whether every term is within its tolerance."""
    return all(abs(differences[term]) <= tolerance for term, tolerance in TOLERANCES.items())


def molecule_of(reference: gaff.BuiltSystem, smiles: str, name: str) -> Molecule:
    """The molecule of a SMILES in the atom order and the geometry of a prmtop."""
    skeleton = Chem.RWMol()
    for atom in reference.topology.atoms():
        added = Chem.Atom(atom.element.atomic_number)
        added.SetNoImplicit(True)
        skeleton.AddAtom(added)
    for first, second in reference.topology.bonds():
        skeleton.AddBond(first.index, second.index, Chem.BondType.SINGLE)
    conformer = Chem.Conformer(skeleton.GetNumAtoms())
    conformer.SetPositions(positions_to_angstrom(reference.positions))
    skeleton.AddConformer(conformer)
    pattern = Chem.AddHs(Chem.MolFromSmiles(smiles))
    with rdBase.BlockLogs():  # it warns where symmetry allows several matches, which are all alike
        ordered = AllChem.AssignBondOrdersFromTemplate(pattern, skeleton.GetMol())
    return Molecule.from_rdkit(ordered, name=name)


def _differences(built: gaff.BuiltSystem, expected: dict[str, float]) -> dict[str, float]:
    found = built.model().energy_terms(positions_to_angstrom(built.positions))
    return {term: (found.get(term, 0.0) - expected.get(term, 0.0)) * KJ_PER_KCAL for term in TOLERANCES}


def summarise(results: list[dict[str, Any]], version: str) -> dict[str, Any]:
    """The document that is printed."""
    figures: dict[str, tuple[float, str]] = {
        "molecules": (len(results), "1"),
        "molecules_typed_alike": (sum(not result["other_types"] for result in results), "1"),
        "molecules_within_tolerances": (sum(agrees(result["differences"]) for result in results), "1"),
    }
    for term, tolerance in TOLERANCES.items():
        values = np.abs([result["differences"][term] for result in results])
        figures[f"{term}_largest_difference"] = (float(values.max()), "kJ/mol")
        figures[f"{term}_within_tolerance"] = (int((values <= tolerance).sum()), "1")
    outliers = [result for result in results if "differences_with_their_types_and_frcmod" in result]
    left = [agrees(result["differences_with_their_types_and_frcmod"]) for result in outliers]
    figures["outliers_explained_by_their_types_and_frcmod"] = (sum(left), "1")
    return document("gaff_freesolv", figures, gaff=version, tolerances_kJ_per_mol=TOLERANCES, outliers=outliers)


def main() -> None:
    """Compare and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--freesolv", type=Path, required=True, help="folder with FreeSolv's tar files")
    parser.add_argument("--version", default="1.7", help="version of GAFF")
    parser.add_argument("--molecules", type=int, default=None, help="compare only this many")
    options = parser.parse_args()
    database = (options.freesolv / "database.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(";") for line in database if not line.startswith("#")][: options.molecules]
    with tempfile.TemporaryDirectory(prefix="freesolv-") as name:
        with tarfile.open(options.freesolv / "amber.tar.gz") as tar:
            tar.extractall(name, filter="data")
        results = [compare(Path(name), row[0].strip(), row[1].strip(), options.version) for row in rows]
    print(to_json(summarise(results, options.version)))


if __name__ == "__main__":
    main()
