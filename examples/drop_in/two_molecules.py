"""Two aspirins in vacuum with one force field and one correction, which evaluates both at once.

python examples/drop_in/two_molecules.py [CORRECTION]

`atoms` has one row for each molecule. Charges and Lennard-Jones forces still act between the molecules.
CORRECTION is a file from `openmm-hybrid train correction`, in the atom order of aspirin.pdb; the default is the shipped
aspirin-npistar. Output: runs/drop_in/.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import openmm
from openmm import Vec3, app, unit

import openmm_hybrid as oh

FORCE_FIELD = "aspirin-gaff"
CORRECTION = sys.argv[1] if len(sys.argv) > 1 else "aspirin-npistar"
STEPS = 20 if os.environ.get("OPENMM_HYBRID_QUICK") == "1" else 100_000
OUTPUT = Path("runs/drop_in")
OUTPUT.mkdir(parents=True, exist_ok=True)

pdb = app.PDBFile(str(Path(__file__).with_name("aspirin.pdb")))
pair = app.Modeller(pdb.topology, pdb.positions)
pair.add(pdb.topology, [position + Vec3(0.0, 0.0, 0.5) * unit.nanometer for position in pdb.positions])
system = app.ForceField("aspirin-gaff/aspirin-gaff.xml").createSystem(pair.topology)

molecules = np.arange(42).reshape(2, 21)
oh.replace(system, pair.topology, oh.ForceField.load(FORCE_FIELD), atoms=molecules)
correction = oh.correction.load(CORRECTION)
oh.attach(system, pair.topology, correction, atoms=molecules)

integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 0.5 * unit.femtosecond)
simulation = app.Simulation(pair.topology, system, integrator)
simulation.context.setPositions(pair.positions)
simulation.minimizeEnergy()
simulation.reporters.append(app.DCDReporter(str(OUTPUT / "two_molecules.dcd"), STEPS // 10))
simulation.reporters.append(
    app.StateDataReporter(sys.stdout, STEPS // 10, step=True, potentialEnergy=True, temperature=True)
)
simulation.step(STEPS)
