"""Ethanol relabelled with PBE-D3(BJ): frames of GAFF's dynamics and of sGDML's, labelled by PySCF.

python -m benchmarks.ethanol_pbe --output runs/ethanol_pbe [--to benchmarks/data]

The frames are those of the study relabel at 500 K: of dynamics of GAFF 2.2.20, and of dynamics of the sGDML model of
ethanol that its authors published in 2018, trained on MD17 (PBE with Tkatchenko-Scheffler dispersion). Dynamics at the
level of the labels would take weeks here, so the latter stand for those of the accurate method. PySCF labels all of
them with PBE-D3(BJ)/def2-SVP, and the study trains sGDML models on both kinds and tests each on both. The output
folder has the result of the study in relabel_pbe. The labelled frames and a manifest go to the folder --to.

It takes two hours on one core. Every label is kept, and the same command resumes. OPENMM_HYBRID_DATA is the folder of
the reference data.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

import openmm_hybrid as oh
from benchmarks.worker import ROOT, data_folder
from openmm_hybrid.core.result_document import commit, versions, write_json
from openmm_hybrid.studies.relabel import RelabelSettings, RelabelStudy

SMILES = "C(C)O"  # in the order of the published model
MODEL = "sgdml_model_2018_ethanol"
ENGINE = "pyscf:pbe-d3bj/def2-svp?density_fit=true&grid=3"
NAME = "ethanol_pbe"
_KINDS, _LABELS = ("train", "test"), "ethanol_pbe_d3bj"


def main() -> None:
    """Make the labels and the study, or go on with them, and write the labelled frames with their manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/ethanol_pbe"), help="folder of everything on the way")
    parser.add_argument("--to", type=Path, default=ROOT / "benchmarks" / "data", help="folder of the labelled frames")
    options = parser.parse_args()
    home: Path = options.output
    common = RelabelSettings(
        SMILES, teacher=str(data_folder() / f"{MODEL}.npz"), n_train=(50, 100), n_test=100, repeats=2
    )
    RelabelStudy().run(common, home / "model_teacher")
    unlabelled = [oh.Frames.load(home / "model_teacher" / "frames" / f"{MODEL}-{kind}.npz") for kind in _KINDS]
    molecule = oh.Molecule.from_smiles(SMILES, name="ethanol")
    own = oh.reference.label(
        oh.reference.engine(ENGINE), molecule, oh.Frames.concatenate(unlabelled).positions,
        output=home / f"{_LABELS}.npz", name=_LABELS, order_known=True,
    ).frames  # fmt: skip
    study = RelabelStudy().run(replace(common, teacher=ENGINE, frames=home / f"{_LABELS}.npz"), home / "relabel_pbe")
    print(study.table())
    study.save(home / "relabel_pbe")
    labelled = sorted((home / "relabel_pbe" / "frames").glob("gaff-*.npz"), reverse=True)  # train before test
    gaff = oh.Frames.concatenate([oh.Frames.load(path) for path in labelled])
    options.to.mkdir(parents=True, exist_ok=True)
    path = options.to / f"{NAME}.npz"
    replace(oh.Frames.concatenate([replace(gaff, name=NAME), replace(own, name=NAME)]), name=NAME).save(path)
    manifest = {
        "what": f"{len(gaff)} frames of dynamics of GAFF 2.2.20, then {len(own)} of dynamics of {MODEL}, at 500 K",
        "theory": own.theory,
        "engine": ENGINE,
        "command": "python -m benchmarks.ethanol_pbe --output runs/ethanol_pbe",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "commit": commit(),
        "versions": versions(),
    }
    write_json(options.to / f"{NAME}.json", manifest)


if __name__ == "__main__":
    main()
