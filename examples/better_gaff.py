"""Ethanol in water with a GAFF that is refitted to GFN2-xTB, including cross terms; the simulation needs no torch.

python examples/better_gaff.py     → runs/better_gaff. OPENMM_HYBRID_QUICK=1 runs a small version.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import openmm

import openmm_hybrid as oh

QUICK = os.environ.get("OPENMM_HYBRID_QUICK") == "1"
FOLDER = Path("runs/better_gaff_quick" if QUICK else "runs/better_gaff")
N_FRAMES = 150 if QUICK else 600
SAMPLED, IN_WATER = (6, 1) if QUICK else (60, 20)  # ps

molecule = oh.Molecule.from_smiles("CCO", name="ethanol")
gaff = oh.gaff.build(molecule, charges="am1-bcc")

# Geometries from GAFF at 500 K, labelled by GFN2-xTB.
run = oh.sample(
    gaff.system,
    gaff.topology,
    molecule.positions,
    temperature=500,
    duration=SAMPLED,
    interval=80,
    output=FOLDER / "gaff",
)
chosen = np.linspace(0, len(run.positions) - 1, N_FRAMES).astype(int)
engine = oh.reference.engine("gfn2")
labelled = oh.reference.label(engine, molecule, run.positions[chosen], output=FOLDER / "labels.npz").frames

# GAFF's parameters and additional cross terms, fitted to these labels. The pairs inside the molecule have parameters of
# their own; the charges and Lennard-Jones parameters of the atoms stay GAFF's.
start = oh.ForceField.from_system(gaff.system, gaff.topology, name="ethanol")
fit = oh.fit(start.edit(cross=True, propers="fourier4"), labelled, n_train=int(0.8 * N_FRAMES), n_test=N_FRAMES // 5)
print(fit.table())
fit.model.save(FOLDER / "ethanol.npz", notes={"theory": labelled.theory})

# In water the molecule has the fitted terms inside and GAFF's interactions with the water.
box = gaff.solvate(padding=12.0)
oh.replace(box.system, box.topology, fit.model, atoms=range(molecule.n_atoms))
(FOLDER / "system.xml").write_text(openmm.XmlSerializer.serialize(box.system))  # plain OpenMM: loads anywhere
water = oh.sample(
    box.system, box.topology, box.positions, temperature=300, duration=IN_WATER, timestep=1.0, output=FOLDER / "water"
)
bond = np.linalg.norm(water.positions[:, 1] - water.positions[:, 2], axis=1)
print(f"C-O in water: {bond.mean():.3f} ± {bond.std():.3f} Å over {len(bond)} frames")
