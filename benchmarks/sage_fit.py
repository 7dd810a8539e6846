"""Fits that start from OpenFF's Sage beside fits that start from GAFF, for ethanol and aspirin.

python -m benchmarks.sage_fit [--keep PARTS.json] [--frames 1100] [--only "aspirin openff-2.3.0"]

For each molecule and base force field the result contains the errors on 1000 test frames of MD17 before the fit, after
a fit of all parameters, and after a fit with cross terms, whose pairs inside the molecule have parameters of their own.
Charges start from NAGL's, and terms of equal GAFF types share parameters, for both bases.
OPENMM_HYBRID_DATA names the folder of the reference data.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np

import openmm_hybrid as oh
from benchmarks.parts import Part, measured, part_options
from benchmarks.worker import data_folder, use_settings
from openmm_hybrid.analysis.error_table import error_table
from openmm_hybrid.core.result_document import document, to_json

MOLECULES = ("ethanol", "aspirin")
BASES = ("gaff-1.81", "openff-2.3.0")


def fits(name: str, base: str, n_train: int) -> Part:
    """Errors on the test frames before and after the fits of one molecule."""
    frames = oh.Frames.load(data_folder() / f"md17_{name}.npz")
    lowest = int(np.argmin(frames.labels()[0]))
    molecule = oh.Molecule.from_geometry(frames.atomic_numbers, frames.positions[lowest], name=name)
    built = oh.build(molecule, base=base, charges="nagl", progress=False)
    types = oh.build(molecule, base=BASES[0], charges="nagl", progress=False).atom_types
    start = oh.ForceField.from_system(built.system, built.topology, types=types, name=name)
    part: Part = {}
    for kind, cross in (("refitted", False), ("cross", True)):
        fit = oh.fit(start.edit(cross=cross), frames, n_train=n_train, progress=False)
        test = frames[fit.molecules[0].split.test]
        part.setdefault("before", error_table(test, start.predict(test.positions)).as_dict())
        part[kind] = error_table(test, fit.model.predict(test.positions)).as_dict() | {"checks_passed": fit.passed}
    return part


def main() -> None:
    """Fit and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    part_options(parser)
    parser.add_argument("--frames", type=int, default=1100, help="to train on")
    options = parser.parse_args()
    use_settings("benchmarks.sage_fit", options.threads)
    tasks: dict[str, Any] = {
        f"{name} {base}": partial(fits, name, base, options.frames) for name in MOLECULES for base in BASES
    }
    parts = measured(options.only, tasks, options.keep)
    figures: dict[str, tuple[float, str]] = {}
    for task, part in parts.items():
        name, base = task.split()
        for kind in ("before", "refitted", "cross"):
            figures[f"force_rmse.{name}.{base}.{kind}"] = part[kind]["force_rmse"], "kcal/mol/Å"
            figures[f"energy_rmse.{name}.{base}.{kind}"] = part[kind]["energy_rmse"], "kcal/mol"
    print(to_json(document("sage_fit", figures, frames=options.frames, threads=options.threads, parts=parts)))


if __name__ == "__main__":
    main()
