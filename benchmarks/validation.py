"""Checks of `openmm_hybrid.validate` for GAFF, cross terms and a hybrid of ethanol, in water and in vacuum.

python -m benchmarks.validation [--quick] [--only NAMES] [--keep FILE] [--threads N]

The force fields are GAFF 1.81, the shipped ethanol-cross, and ethanol-cross with an sGDML correction that is trained on
100 frames of ethanol_ccsd_t-train.npz (in OPENMM_HYBRID_DATA). The parts of each are

forces: platforms against Reference and forces against finite differences, in water;
opencl: OpenCL against Reference, in water, also where a processor emulates the GPU (PoCL);
drift: the drift of the energy on the CPU platform (single precision) in water;
double: the drift on Reference (double precision) in vacuum;
timestep: fluctuations of the energy at two time steps on Reference, in vacuum;
sampling: kinetic energies and ensembles, in vacuum.

A part takes at most a quarter of an hour on two cores. The figures are validation.PART.MODEL.CHECK, and
validation.failed and validation.open count checks of that status. The exit status is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import openmm
import torch

import openmm_hybrid as oh
from benchmarks.parts import Part, measured, part_options
from benchmarks.worker import data_folder
from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.core.result_document import document, to_json

MODELS = ("gaff", "cross", "hybrid")
FRAMES = "ethanol_ccsd_t-train.npz"
PADDING, CUTOFF = 9.0, 8.0  # Å; the box has about 200 waters
N_TRAIN = 100


def main() -> None:
    """Measure and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few steps: only to see that it runs")
    part_options(parser)
    options = parser.parse_args()
    os.environ["OPENMM_CPU_THREADS"] = str(options.threads)
    torch.set_num_threads(options.threads)
    tasks = {f"{part}.{model}": task(part, model, options.quick) for model in MODELS for part in settings(False)}
    parts = measured(options.only, tasks, options.keep)
    print(to_json(summary(parts, options.threads)))
    raise SystemExit(any(check["status"] == "failed" for part in parts.values() for check in part["checks"]))


def settings(quick: bool) -> dict[str, oh.ValidateSettings]:
    """Settings of each part."""
    drift = {"drift_ps": 0.2, "runs": 2} if quick else {"drift_ps": 15.0, "runs": 4}
    double = {"drift_ps": 0.2, "runs": 2} if quick else {"drift_ps": 200.0, "runs": 8}
    sampling = {"sample_ps": 4.0} if quick else {"sample_ps": 1000.0}
    make = oh.ValidateSettings
    return {
        "forces": make(checks=("platforms", "derivatives"), n_atoms=3 if quick else 20),
        "opencl": make(checks=("platforms",), platforms=("OpenCL",)),
        "drift": make(checks=("drift",), platforms=("CPU",), **drift),
        "double": make(checks=("drift",), platforms=("Reference",), **double),
        "timestep": make(checks=("timestep",), platforms=("Reference",), drift_ps=5.0, runs=2 if quick else 16),
        "sampling": make(checks=("kinetic", "ensemble"), platforms=("Reference",), **sampling),
    }


def task(part: str, model: str, quick: bool) -> Callable[[], Part]:
    """A function that makes one part."""

    def make() -> Part:
        system, positions = built(model, in_water=part in ("forces", "opencl", "drift"))
        found = oh.validate(system, positions, settings=settings(quick)[part], progress=False).as_dict()
        return {
            "particles": system.getNumParticles(),
            **{name: found[name] for name in ("checks", "settings", "notes")},
        }

    return make


def built(model: str, *, in_water: bool) -> tuple[openmm.System, Any]:
    """System and positions of ethanol with one of the models."""
    forcefield = oh.ForceField.load("ethanol-cross")
    frames = oh.Frames.load(data_folder() / FRAMES)
    molecule = oh.Molecule.from_geometry(frames.atomic_numbers, frames.positions[0], name="ethanol")
    assert forcefield.outer is not None
    gas = oh.gaff.build(molecule, version="1.81", charges=forcefield.outer.charges, progress=False)
    place: BuiltSystem = gas.solvate(padding=PADDING, cutoff=CUTOFF) if in_water else gas
    atoms = range(forcefield.n_atoms)
    if model != "gaff":
        oh.replace(place.system, place.topology, forcefield, atoms=atoms)
    if model == "hybrid":
        correction = oh.correction.train(
            forcefield, frames, n_train=N_TRAIN, n_valid=0, sigma=10.0, molecule=molecule, progress=False
        )
        oh.attach(place.system, place.topology, correction.model, atoms=atoms)
    return place.system, place.positions


def summary(parts: Mapping[str, Part], threads: int) -> dict[str, Any]:
    """The document: values of all checks, and counts of those that failed or are open."""
    figures: dict[str, tuple[float, str]] = {}
    statuses: Counter[str] = Counter()
    for name, part in parts.items():
        for check in part["checks"]:
            figures[f"validation.{name}.{check['name']}"] = (check["value"], check["unit"])
            if check["error"]:
                figures[f"validation.{name}.{check['name']}.error"] = (check["error"], check["unit"])
            statuses[check["status"]] += 1
    for status in ("failed", "open"):
        figures[f"validation.{status}"] = (statuses[status], "1")
    return document("validation", figures, threads=threads, parts=dict(parts))


if __name__ == "__main__":
    main()
