"""`refine` for 26 molecules from their SMILES: errors, labels, time and memory, and 500 ps with each result.

python -m benchmarks.refine [--only caffeine,run.caffeine] [--keep PARTS.json] [--output runs/refine] [--threads 2]

Each part NAME runs `openmm-hybrid refine` with its defaults (GAFF 2.2.20, AM1-BCC charges, labels of GFN2-xTB, 500 K)
in a process of its own, in a new folder. own and unseen: force RMSE on frames of the force field's own dynamics and on
frames that the fit left out; base: that of GAFF; own_worst: the largest of all molecules; torsion and torsion_base: RMS
deviation of the rotors' profiles from the reference, kcal/mol, with the refined force field and with GAFF;
failed_checks: molecules with a failed check of `refine`; frequencies: RMS deviation of the harmonic frequencies, cm⁻¹;
minutes: from the SMILES to the result, for molecules of up to 35 and 70 atoms; cpu_minutes: the same in CPU time, which
other processes hardly change; peak_GB: the largest memory of the process. Each part run.NAME runs the result for 500 ps
at 500 K in vacuum and counts broken bonds: longer than 1.5 times their length in the start.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import openmm_hybrid as oh
from benchmarks.forcefield_stability import BROKEN, stretch
from benchmarks.parts import Part, measured, part_options
from benchmarks.worker import ROOT, use_settings
from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.result_document import document, to_json

MOLECULES = {
    "4-hydroxybenzoate": "[O-]C(=O)c1ccc(O)cc1",
    "salicylic acid": "OC(=O)c1ccccc1O",
    "phenylacetonitrile": "N#CCc1ccccc1",
    "4-bromoanisole": "COc1ccc(Br)cc1",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "metronidazole": "Cc1ncc([N+](=O)[O-])n1CCO",
    "alanine dipeptide": "CC(=O)N[C@@H](C)C(=O)NC",
    "protonated dopamine": "[NH3+]CCc1ccc(O)c(O)c1",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "azobenzene": "c1ccc(cc1)/N=N/c1ccccc1",
    "glucose": "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "pargyline": "CN(CC#C)Cc1ccccc1",
    "triethyl phosphate": "CCOP(=O)(OCC)OCC",
    "acetylcholine": "CC(=O)OCC[N+](C)(C)C",
    "nicotine": "CN1CCC[C@H]1c1cccnc1",
    "sulfamethoxazole": "Cc1cc(NS(=O)(=O)c2ccc(N)cc2)no1",
    "captopril": "C[C@H](CS)C(=O)N1CCC[C@H]1C(=O)O",
    "diclofenac": "OC(=O)Cc1ccccc1Nc1c(Cl)cccc1Cl",
    "ibuprofen": "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O",
    "melatonin": "COc1ccc2[nH]cc(CCNC(C)=O)c2c1",
    "lidocaine": "CCN(CC)C(=O)Nc1c(C)cccc1C",
    "warfarin": "CC(=O)C[C@@H](c1ccccc1)c1c(O)c2ccccc2oc1=O",
    "fluoxetine": "CNCC[C@@H](Oc1ccc(cc1)C(F)(F)F)c1ccccc1",
    "18-crown-6": "C1COCCOCCOCCOCCOCCO1",
    "imatinib": "Cc1ccc(cc1Nc1nccc(n1)-c1cccnc1)NC(=O)c1ccc(CN2CCN(C)CC2)cc1",
}
"""An anion, two cations, halogens, a nitro and an azo compound, a nitrile and an alkyne, a sulfonamide, a
phosphate ester, a thiol, an inner hydrogen bond, a capped amino acid, a sugar, a macrocycle; 15 to 68 atoms."""

TEMPERATURE, PICOSECONDS = 500.0, 500.0


def refined(name: str, output: Path) -> Part:
    """The errors of a refinement, or the message that ended it."""
    folder = output / name.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "openmm_hybrid.cli", "refine", MOLECULES[name], "-o", str(folder), "--json"]
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        found: Part = {
            "smiles": MOLECULES[name],
            "n_atoms": oh.Molecule.from_smiles(MOLECULES[name]).n_atoms,
            "minutes": (time.perf_counter() - began) / 60.0,
            "cpu_minutes": (usage.ru_utime + usage.ru_stime) / 60.0,
            "peak_GB": usage.ru_maxrss * 1024 / 1e9,
        }
        out.seek(0)
        log.seek(0)
        if process.returncode:
            return found | {"error": log.read()[-2000:]}
        result: dict[str, Any] = json.loads(out.read())
    return found | {key: value for key, value in result.items() if key != "versions"} | {"fits": fits(folder)}


def fits(folder: Path) -> list[float]:
    """Minutes of each fit."""
    files = sorted(folder.glob("round-*/fit.json"))
    return [json.loads(file.read_text(encoding="utf-8"))["seconds"] / 60.0 for file in files]


def run(name: str, output: Path) -> Part:
    """500 ps of the refined molecule in vacuum."""
    folder = output / name.replace(" ", "-")
    system, topology, start = oh.load_system(folder / "system")
    bonds = np.array([[bond[0].index, bond[1].index] for bond in topology.bonds()])
    with tempfile.TemporaryDirectory() as scratch:
        failure = ""
        try:
            oh.sample(
                system, topology, start, output=Path(scratch) / "run", duration=PICOSECONDS, temperature=TEMPERATURE,
                timestep=1.0, interval=500, minimize=True, progress=False,
            )  # fmt: skip
        except NumericalError as error:
            failure = str(error)
        result = oh.SampleResult.open(Path(scratch) / "run")
        longest = stretch(result.positions, bonds, start)
    return {
        "picoseconds": PICOSECONDS,
        "largest_stretch": float(longest.max()),
        "broken_bonds": int((longest > BROKEN).sum()),
        "failure": failure,
    }


def summary(parts: dict[str, Part]) -> dict[str, tuple[float, str]]:
    """Medians and worst values over the molecules with a result."""
    done = {name: part["rounds"][part["chosen"] - 1] | part for name, part in parts.items() if "rounds" in part}
    figures: dict[str, tuple[float, str]] = {
        "molecules": (sum(name in MOLECULES for name in parts), "1"),
        "failed": (sum("error" in part for part in parts.values()), "1"),
        "broken_runs": (sum(bool(part.get("broken_bonds") or part.get("failure")) for part in parts.values()), "1"),
    }
    if done:
        own = {name: part["own_force"] for name, part in done.items()}
        figures |= {
            "own_median": (float(np.median(list(own.values()))), "kcal/mol/Å"),
            "own_worst": (max(own.values()), "kcal/mol/Å"),
            "base_median": (float(np.median([part["base_force"] for part in done.values()])), "kcal/mol/Å"),
            "own_over_unseen_median": (
                float(np.median([own[name] / part["unseen_force"] for name, part in done.items()])),
                "1",
            ),
        }
    profiles = [profile for part in done.values() for profile in part["checks"]["profiles"]]
    if profiles:
        figures |= {
            "torsion_median": (float(np.median([profile["rms"] for profile in profiles])), "kcal/mol"),
            "torsion_base_median": (float(np.median([profile["base_rms"] for profile in profiles])), "kcal/mol"),
            "failed_checks": (sum(bool(part["checks"]["failures"]) for part in done.values()), "1"),
        }
    modes = [found for part in done.values() if (found := part["checks"]["frequencies"])]
    if modes:
        figures["frequencies_median"] = float(np.median([found["rms"] for found in modes])), "cm⁻¹"
        figures["frequencies_base_median"] = float(np.median([found["base_rms"] for found in modes])), "cm⁻¹"
    for limit in (35, 70):
        some = [part for part in done.values() if part["n_atoms"] <= limit]
        for kind in ("minutes", "cpu_minutes") if some else ():
            figures[f"{kind}_{limit}"] = max(part[kind] for part in some), "min"
    if "imatinib" in done:
        figures["fit_minutes_68"] = max(done["imatinib"]["fits"]), "min"
    return figures


def main() -> None:
    """Run the parts and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    part_options(parser)
    parser.add_argument("--output", type=Path, default=Path("runs/refine"), help="folder of the refinements")
    options = parser.parse_args()
    use_settings("benchmarks.refine", options.threads)
    tasks: dict[str, Any] = {name: partial(refined, name, options.output) for name in MOLECULES}
    tasks |= {f"run.{name}": partial(run, name, options.output) for name in MOLECULES}
    parts = measured(options.only, tasks, options.keep)
    print(to_json(document("refine", summary(parts), threads=options.threads, parts=parts)))


if __name__ == "__main__":
    main()
