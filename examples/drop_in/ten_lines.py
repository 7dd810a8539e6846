"""A short OpenMM script for aspirin; the marked lines add a better force field and a correction.

python examples/drop_in/ten_lines.py [CORRECTION]

CORRECTION is a file from `openmm-hybrid train correction`, in the atom order of aspirin.pdb; the default is the shipped
aspirin-npistar. Output: runs/drop_in/.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import openmm
from openmm import app, unit

import openmm_hybrid as oh  # added

FORCE_FIELD = "aspirin-gaff"
CORRECTION = sys.argv[1] if len(sys.argv) > 1 else "aspirin-npistar"
STEPS = 20 if os.environ.get("OPENMM_HYBRID_QUICK") == "1" else 100_000
OUTPUT = Path("runs/drop_in")
OUTPUT.mkdir(parents=True, exist_ok=True)

pdb = app.PDBFile(str(Path(__file__).with_name("aspirin.pdb")))
gaff = app.ForceField("aspirin-gaff/aspirin-gaff.xml")
system = gaff.createSystem(pdb.topology)
oh.replace(system, pdb.topology, oh.ForceField.load(FORCE_FIELD))  # added
correction = oh.correction.load(CORRECTION)  # added
oh.attach(system, pdb.topology, correction)  # added
integrator = openmm.LangevinMiddleIntegrator(500 * unit.kelvin, 1 / unit.picosecond, 0.5 * unit.femtosecond)
simulation = app.Simulation(pdb.topology, system, integrator)
simulation.context.setPositions(pdb.positions)
simulation.minimizeEnergy()
simulation.reporters.append(app.DCDReporter(str(OUTPUT / "ten_lines.dcd"), STEPS // 10))
simulation.reporters.append(
    app.StateDataReporter(sys.stdout, STEPS // 10, step=True, potentialEnergy=True, temperature=True, speed=True)
)
simulation.step(STEPS)
