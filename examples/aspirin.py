"""A force field for aspirin from its SMILES string, and the shapes of the molecule that it changes.

    make run                        # or: python examples/aspirin.py

The first step is that of `openmm-hybrid refine "CC(=O)Oc1ccccc1C(=O)O" -o FOLDER`; for other molecules it suffices. The
other steps look at an effect from the paper that this package follows (Sauceda et al., J. Chem. Phys. 153, 124109): a
lone pair of one of aspirin's C=O groups overlaps with the π* orbital of the other, and this changes how far the ester
twists out of the ring's plane. GAFF has no term for such n→π* interactions. We compare its dynamics at 500 K with
those of the refined force field, and of GAFF with a function of two dihedrals added.

All files are written to runs/aspirin/. Started again, the script keeps finished files and resumes an interrupted run.
OPENMM_HYBRID_QUICK=1 runs a small version in runs/aspirin-quick/.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openmm
from openmm import app

import openmm_hybrid as oh
from openmm_hybrid import analysis, figures
from openmm_hybrid.core.html_report import Section, write_report
from openmm_hybrid.studies import torsion_pair

QUICK = os.environ.get("OPENMM_HYBRID_QUICK") == "1"
FOLDER = Path("runs/aspirin-quick" if QUICK else "runs/aspirin")
SETTINGS = oh.RefineSettings(rounds=3, hot_ps=20.0)
if QUICK:
    SETTINGS = oh.RefineSettings(n_first=60, n_fresh=10, n_more=0, rounds=1, n_profile=0, hot_ps=0.0, n_conformers=2)
TEMPERATURE = SETTINGS.temperature  # 500 K
PICOSECONDS = 1.0 if QUICK else 15.0  # for each of the starts
N_LABELS = 20 if QUICK else 600
LEVEL, CORRECTED = "GFN2-xTB", "GAFF + correction"

began = time.monotonic()


def heading(text: str) -> None:
    """Print the name of the next step, and the time so far."""
    print(f"\n[{time.monotonic() - began:.0f} s] {text}", flush=True)


def dynamics(system: openmm.System, name: str, models: Sequence[oh.correction.Correction] = ()) -> oh.SampleResult:
    """Runs from all conformers, side by side in one context."""
    return oh.sample(
        system,
        topology,
        molecule.conformers,
        models=models,
        temperature=TEMPERATURE,
        duration=PICOSECONDS,
        timestep=1.0,
        interval=50,
        replicas=len(molecule.conformers),
        output=FOLDER / name,
    )


heading("1/4 refining GAFF's force field of aspirin")
molecule = oh.Molecule.from_smiles("CC(=O)Oc1ccccc1C(=O)O", name="aspirin", n_conformers=SETTINGS.n_conformers)
refined = oh.refine(molecule, FOLDER / "refined", SETTINGS)
print(refined.verdict)

heading(f"2/4 dynamics at {TEMPERATURE:g} K")
system, topology, _ = oh.load_system(refined.path / "system")
# The XML file alone is the base force field, without the fitted terms.
gaff = app.ForceField(str(refined.path / "refined.xml")).createSystem(topology)
runs = {"GAFF": dynamics(gaff, "gaff"), "refined": dynamics(system, "dynamics")}

heading("3/4 a correction of GAFF: the free energy of two dihedrals that it misses")
pair = torsion_pair.torsion_pair("aspirin")
atoms = pair.dihedral_atoms(molecule)
# In this order: the ensemble to correct, and the wanted one.
ensembles = [oh.Frames(molecule.atomic_numbers, found.positions, name="aspirin") for found in runs.values()]
correction = oh.correction.match_populations(*ensembles, [atoms], temperature=TEMPERATURE, molecule=molecule)
correction.save(FOLDER / "correction.npz")
runs[CORRECTED] = dynamics(gaff, "corrected", models=[correction])

heading(f"4/4 labels of {LEVEL} and the densities")
every = max(1, len(runs["refined"].positions) // N_LABELS)
labelled = oh.reference.label(
    oh.reference.engine("gfn2"), molecule, runs["refined"].positions[::every], output=FOLDER / "labels.npz"
).frames
# The ensemble of the reference: frames of the refined force field, weighted by the ratio of their Boltzmann factors.
weights = analysis.boltzmann_weights(
    refined.forcefield.predict(labelled.positions)[0], labelled.labels()[0], TEMPERATURE
)
dihedrals = {name: torsion_pair.values(found.positions, atoms) for name, found in runs.items()}
dihedrals[LEVEL] = torsion_pair.values(labelled.positions, atoms)
densities = {
    name: torsion_pair.density(found, weights=weights.values if name == LEVEL else None)
    for name, found in dihedrals.items()
}
picture = figures.save_figure(figures.density_figure(densities, pair.labels), FOLDER / "densities.png")

rows = []
for name, found in dihedrals.items():
    shares = [
        analysis.mean_with_error(np.abs(angle) > 2 * np.pi / 3, weights.values if name == LEVEL else None)
        for angle in found.T
    ]
    divergence = analysis.jensen_shannon(densities[name], densities[LEVEL])
    speed = f"{runs[name].speed:.0f}" if name in runs else ""
    rows.append((name, f"{divergence:.3f}", *(f"{100 * s.value:.0f} ± {100 * s.error:.0f} %" for s in shares), speed))
report = write_report(
    FOLDER / "report.html",
    "Shapes of aspirin with GAFF and with the refined force field",
    refined.verdict,
    [
        Section(
            f"Densities of two dihedrals at {TEMPERATURE:g} K",
            "The correction is one function of the two dihedrals, fitted to these runs of GAFF and of the refined "
            f"force field. The density of {LEVEL} comes from {len(labelled)} frames of the refined force field, "
            f"weighted by exp(−(E_reference − E_refined)/kT) ({weights.effective_samples:.0f} effective frames). The "
            "three therefore share their noise, and look more alike than densities of independent runs.",
            ("", f"divergence from {LEVEL} / bit", *(f"{label} beyond 120°" for label in pair.labels), "ns/day"),
            rows,
            picture,
            "Densities of the ester twist and the acid dihedral.",
        )
    ],
)
heading("done")
for name, path in (("force field", refined.path / "report.html"), ("densities", report), ("picture", picture)):
    print(f"{name}: {path}")
