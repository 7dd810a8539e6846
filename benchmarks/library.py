"""A library of 24 small molecules refined by one command, with two workers.

python -m benchmarks.library [--output runs/library] [--workers 2]

It runs `openmm-hybrid refine-batch` with the defaults (GAFF 2.2.20, AM1-BCC charges, labels of GFN2-xTB, 500 K) on a
.smi file of the molecules. A second call goes on where the first one stopped; with the same output folder, the page and
the tables stay there. verdicts: molecules with a verdict on the page; failed: molecules without a force field;
failed_checks: force fields with a failed check; force, unseen and base: medians of the force RMSE on the force fields'
own dynamics, on unseen training frames, and of GAFF on these; worst: the largest force RMSE on own dynamics; torsion
and torsion_base: medians of the RMS deviation of the worst torsion profile; minutes: sum over the molecules of the time
from the last start of each; files and MB: medians over the folders of the molecules.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.tasks.perform import thread_settings

MOLECULES = {
    "acetic acid": "CC(=O)O",
    "acetamide": "CC(N)=O",
    "N-methylacetamide": "CNC(C)=O",
    "methyl acetate": "COC(C)=O",
    "acetone": "CC(C)=O",
    "acetonitrile": "CC#N",
    "urea": "NC(N)=O",
    "glycine": "NCC(=O)O",
    "ethylene glycol": "OCCO",
    "trifluoroethanol": "OCC(F)(F)F",
    "1,2-dichloroethane": "ClCCCl",
    "nitroethane": "CC[N+](=O)[O-]",
    "ethylammonium": "CC[NH3+]",
    "propionate": "CCC(=O)[O-]",
    "dimethyl sulfoxide": "CS(C)=O",
    "dimethyl disulfide": "CSSC",
    "methanesulfonamide": "CS(N)(=O)=O",
    "trimethyl phosphate": "COP(=O)(OC)OC",
    "butane": "CCCC",
    "phenol": "Oc1ccccc1",
    "aniline": "Nc1ccccc1",
    "pyridine": "c1ccncc1",
    "imidazole": "c1c[nH]cn1",
    "indole": "c1ccc2[nH]ccc2c1",
}


def main() -> None:
    """Refine the library and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/library"), help="folder of the library and the batch")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    library, batch = options.output / "library.smi", options.output / "batch"
    library.write_text("".join(f"{smiles} {name}\n" for name, smiles in MOLECULES.items()), encoding="utf-8")
    command = [
        "-m",
        "openmm_hybrid.cli",
        "refine-batch",
        str(library),
        "-o",
        str(batch),
        "--workers",
        str(options.workers),
    ]
    status = subprocess.run(
        [sys.executable, *command], stdout=sys.stderr, env=os.environ | thread_settings(1), check=False
    ).returncode
    if not (batch / "result.json").is_file():
        raise SystemExit(status or 1)
    result = json.loads((batch / "result.json").read_text(encoding="utf-8"))
    details = {name: result[name] for name in ("verdict", "molecules")}
    found = figures(result["molecules"]) | sizes([batch / each["folder"] for each in result["molecules"]])
    print(to_json(document("library", found, workers=options.workers, **details)))


def figures(molecules: Sequence[dict[str, Any]]) -> dict[str, tuple[float, str]]:
    """The figures of the molecules of a batch."""
    done = [each for each in molecules if each["state"] == "refined"]
    found: dict[str, tuple[float, str]] = {
        "library.molecules": (len(molecules), "1"),
        "library.verdicts": (sum(each["state"] in ("refined", "failed") for each in molecules), "1"),
        "library.failed": (sum(each["state"] == "failed" for each in molecules), "1"),
        "library.failed_checks": (sum(bool(each["failed_checks"]) for each in done), "1"),
        "library.minutes": (sum(each["minutes"] for each in molecules), "min"),
    }
    if done:
        for name, key in (("force", "force"), ("unseen", "unseen_force"), ("base", "base_force")):
            found[f"library.{name}"] = (median(each[key] for each in done), "kcal/mol/Å")
        found["library.worst"] = (max(each["force"] for each in done), "kcal/mol/Å")
        for name, key in (("torsion", "torsion_rms"), ("torsion_base", "base_torsion_rms")):
            values = [each[key] for each in done if each[key] is not None]
            if values:
                found[f"library.{name}"] = (median(values), "kcal/mol")
    return found


def sizes(folders: Sequence[Path]) -> dict[str, tuple[float, str]]:
    """Number and size of the files of a molecule, medians."""
    files = [[path.stat().st_size for path in folder.rglob("*") if path.is_file()] for folder in folders]
    return {
        "library.files": (median(map(len, files)), "1"),
        "library.MB": (median(sum(each) / 1e6 for each in files), "MB"),
    }


if __name__ == "__main__":
    main()
