"""Put a correction of populations into forcefields/: what a force field misses along two dihedrals.

python tools/ship_corrections.py FRAMES STUDY NAME --level THEORY [--base aspirin-gaff] [--output forcefields]

STUDY is the folder of a finished `openmm-hybrid study sampling FRAMES -o STUDY`. The force field `--base`, a ready one
or "gaff" for the study's own, is sampled as the study sampled GAFF; the ratio of populations in the reference's runs
and in the base's is the correction NAME. Of the reference this takes the study's training run and half of the starts of
the run that it compares with; base and corrected base, sampled from other starts, are compared with the other half, and
how far each is from it goes into the manifest. Runs are kept in STUDY/NAME.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import openmm_hybrid as oh
from openmm_hybrid import analysis
from openmm_hybrid.correction import match_populations
from openmm_hybrid.forcefield import write_set
from openmm_hybrid.studies import conformations
from openmm_hybrid.studies.potentials import Bench, Settings, bench_of
from openmm_hybrid.studies.sampling import PLAIN


def compared(bench: Bench, runs: dict[str, oh.SampleResult]) -> dict[str, Any]:
    """Divergence and free-energy difference from the reference's starts that nothing was fitted to, beyond noise."""
    atoms = bench.case.dihedral_atoms(bench.molecule)
    starts = {name: run.starts for name, run in runs.items()}
    starts["reference"] = bench.run("reference").starts[bench.settings.starts // 2 :]
    densities = {
        name: [conformations.density(conformations.values(start.positions, atoms)) for start in each]
        for name, each in starts.items()
    }
    measures = {
        "js_excess": (analysis.jensen_shannon, "bit"),
        "free_energy_excess": (analysis.free_energy_difference(bench.settings.temperature), "kcal/mol"),
    }
    found: dict[str, Any] = {}
    for label, (measure, unit) in measures.items():
        for name in runs:
            excess = analysis.excess(densities[name], densities["reference"], measure)
            found[f"{label}.{name}"] = {"value": round(excess.value, 4), "error": round(excess.error, 4), "unit": unit}
    return found


def frames_of(bench: Bench, positions: Sequence[NDArray[np.float64]]) -> oh.Frames:
    """The frames of starts."""
    return oh.Frames(bench.molecule.atomic_numbers, np.concatenate(positions), name=bench.molecule.name)


def main() -> None:
    """Sample, match, sample again, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path)
    parser.add_argument("study", type=Path)
    parser.add_argument("name")
    parser.add_argument("--level", required=True, help="of the labels of FRAMES")
    parser.add_argument("--base", default="aspirin-gaff")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "forcefields")
    options = parser.parse_args()
    job = json.loads((options.study / "settings.json").read_text(encoding="utf-8"))
    finished = json.loads((options.study / f"sampling_{job['molecule']}.json").read_text(encoding="utf-8"))["job"]
    settings = Settings(**{each.name: finished[each.name] for each in fields(Settings)})
    case, frames = conformations.case_of(job["molecule"]), oh.Frames.load(options.frames)
    bench = bench_of(frames, case, job["molecule"], settings, options.study)
    folder = options.study / options.name
    system, described = copy.deepcopy(bench.built.system), options.base
    if options.base == PLAIN:
        charges = ", ".join(f"{charge:.4f}" for charge in bench.built.charges)
        described = f"GAFF 1.81 with the charges {charges}"
    else:
        oh.replace(system, bench.built.topology, oh.ForceField.load(options.base))
    starts, duration = bench.starts(), settings.duration
    sampled = bench.sampled(system, (), folder / "base-training", bench.starts(training=True), duration)
    reference = bench.run("reference").starts[: settings.starts // 2]
    seen = [bench.run("reference", training=True).positions, *(start.positions for start in reference)]
    found = match_populations(
        frames_of(bench, [sampled.positions]),
        frames_of(bench, seen),
        [case.dihedral_atoms(bench.molecule)],
        temperature=settings.temperature,
        molecule=bench.molecule,
    )
    print(found.summary())
    runs = {
        options.base: bench.sampled(system, (), folder / "base", starts, duration),
        options.name: bench.sampled(system, (found.model,), folder / "corrected", starts, duration),
    }
    measured = compared(bench, runs)
    target = write_set(
        found.model,
        options.name,
        options.output,
        data=f"populations along {' and '.join(case.labels)} of {described} ({settings.starts} starts) and of the "
        f"sampling study's reference (its training run, and half of its {settings.starts} starts; errors are against "
        f"the other half) at {settings.temperature:g} K; a correction of {described} at that temperature, flat "
        f"outside what was sampled",
        level=f"{options.level}, by sGDML over GAFF with cross terms",
        errors=measured,
        command=f"openmm-hybrid study sampling {options.frames.name} -o runs/study-{job['molecule']} --molecule "
        f"{job['molecule']}; python tools/ship_corrections.py {options.frames.name} runs/study-{job['molecule']} "
        f"{options.name} --base {options.base} --level '{options.level}'",
    )
    print(target, *(f"{key}: {value}" for key, value in measured.items()), sep="\n")


if __name__ == "__main__":
    main()
