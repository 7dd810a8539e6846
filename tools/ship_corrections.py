"""Put a correction of populations into forcefields/: the free energy that a force field misses along two dihedrals.

python tools/ship_corrections.py FRAMES STUDY NAME --level THEORY [--base aspirin-gaff] [--output forcefields]

STUDY is the folder of a finished `openmm-hybrid study sampling FRAMES -o STUDY`. The force field `--base`, shipped or
"gaff" (GAFF as in the study), is sampled with the study's settings. The ratio of the populations in the reference's
runs and in the base's run gives the correction NAME. Its training frames are the study's training run of the reference
and half of the starts of the run that is compared. The base and the corrected base, sampled from other starts, are
compared with the other half, and their distances from it go into the manifest. Runs are kept in STUDY/NAME.
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
from openmm_hybrid.studies import torsion_pair
from openmm_hybrid.studies.potentials import PLAIN, REFERENCE, ensemble
from openmm_hybrid.studies.workspace import SamplingSettings, Workspace, open_workspace


def compared(workspace: Workspace, runs: dict[str, oh.SampleResult]) -> dict[str, Any]:
    """Excess divergence and free-energy difference from the reference's starts that nothing was fitted to."""
    atoms = workspace.pair.dihedral_atoms(workspace.molecule)
    starts = {name: run.starts for name, run in runs.items()}
    starts[REFERENCE] = ensemble(workspace, REFERENCE).starts[workspace.settings.starts // 2 :]
    densities = {
        name: [
            torsion_pair.density(torsion_pair.values(start.positions, atoms), mirrored=workspace.pair.mirrored)
            for start in some
        ]
        for name, some in starts.items()
    }
    measures = {
        "js_excess": (analysis.jensen_shannon, "bit"),
        "free_energy_excess": (analysis.free_energy_difference(workspace.settings.temperature), "kcal/mol"),
    }
    found: dict[str, Any] = {}
    for label, (measure, unit) in measures.items():
        for name in runs:
            excess = analysis.excess(densities[name], densities[REFERENCE], measure)
            found[f"{label}.{name}"] = {"value": round(excess.value, 4), "error": round(excess.error, 4), "unit": unit}
    return found


def frames_of(workspace: Workspace, positions: Sequence[NDArray[np.float64]]) -> oh.Frames:
    """Frames of several starts."""
    return oh.Frames(workspace.molecule.atomic_numbers, np.concatenate(positions), name=workspace.molecule.name)


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
    stored = {field.name: finished[field.name] for field in fields(SamplingSettings) if field.name in finished}
    stored = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    settings = SamplingSettings(options.frames, **stored)
    workspace = open_workspace(settings, options.study)
    folder = options.study / options.name
    system, described = copy.deepcopy(workspace.built.system), options.base
    if options.base == PLAIN:
        charges = ", ".join(f"{charge:.4f}" for charge in workspace.built.charges)
        described = f"GAFF 1.81 with the charges {charges}"
    else:
        oh.replace(system, workspace.built.topology, oh.ForceField.load(options.base))
    starts, duration = workspace.starts(), settings.duration
    base = workspace.sampled(system, (), folder / "base-training", workspace.starts(training=True), duration)
    reference = ensemble(workspace, REFERENCE).starts[: settings.starts // 2]
    seen = [ensemble(workspace, REFERENCE, training=True).positions, *(start.positions for start in reference)]
    found = match_populations(
        frames_of(workspace, [base.positions]),
        frames_of(workspace, seen),
        [workspace.pair.dihedral_atoms(workspace.molecule)],
        temperature=settings.temperature,
        molecule=workspace.molecule,
    )
    print(found.summary())
    runs = {
        options.base: workspace.sampled(system, (), folder / "base", starts, duration),
        options.name: workspace.sampled(system, (found.model,), folder / "corrected", starts, duration),
    }
    measured = compared(workspace, runs)
    target = found.model.write_set(
        options.name,
        options.output,
        data=f"populations along {' and '.join(workspace.pair.labels)} of {described} ({settings.starts} starts) and "
        f"of the sampling study's reference (its training run, and half of its {settings.starts} starts; errors are "
        f"against the other half) at {settings.temperature:g} K; a correction of {described} at that temperature, "
        f"flat outside what was sampled",
        level=f"{options.level}, by sGDML over GAFF with cross terms",
        errors=measured,
        command=f"openmm-hybrid study sampling {options.frames.name} -o runs/study-{job['molecule']} --molecule "
        f"{job['molecule']}; python tools/ship_corrections.py {options.frames.name} runs/study-{job['molecule']} "
        f"{options.name} --base {options.base} --level '{options.level}'",
    )
    print(target, *(f"{key}: {value}" for key, value in measured.items()), sep="\n")


if __name__ == "__main__":
    main()
