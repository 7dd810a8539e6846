"""The same models through openmm-ml: MLPotential("openmm-hybrid", model=…). Requires the modern stack and openmmml.

python examples/drop_in/openmm_ml.py [CORRECTION]

embedding="correction" adds a correction to the force field. A model of the whole energy replaces the force field's
terms inside the molecule, as every other potential of openmm-ml does.
CORRECTION is a file from `openmm-hybrid train correction`, in the atom order of aspirin.pdb; the default is the shipped
aspirin-npistar. Output: runs/drop_in/.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import openmm
from openmm import app, unit
from openmmml import MLPotential

FORCE_FIELD = "aspirin-gaff"
CORRECTION = sys.argv[1] if len(sys.argv) > 1 else "aspirin-npistar"
STEPS = 20 if os.environ.get("OPENMM_HYBRID_QUICK") == "1" else 100_000
OUTPUT = Path("runs/drop_in")
OUTPUT.mkdir(parents=True, exist_ok=True)

pdb = app.PDBFile(str(Path(__file__).with_name("aspirin.pdb")))
gaff = app.ForceField("aspirin-gaff/aspirin-gaff.xml").createSystem(pdb.topology)
aspirin = range(21)
better = MLPotential("openmm-hybrid", model=FORCE_FIELD).createMixedSystem(pdb.topology, gaff, aspirin)
corrected = MLPotential("openmm-hybrid", model=CORRECTION).createMixedSystem(
    pdb.topology, better, aspirin, embedding="correction", interpolate=True
)

integrator = openmm.LangevinMiddleIntegrator(500 * unit.kelvin, 1 / unit.picosecond, 0.5 * unit.femtosecond)
simulation = app.Simulation(pdb.topology, corrected, integrator)
simulation.context.setPositions(pdb.positions)
simulation.context.setParameter("lambda_interpolate", 1.0)  # 0 switches the correction off
simulation.minimizeEnergy()
simulation.reporters.append(app.DCDReporter(str(OUTPUT / "openmm_ml.dcd"), STEPS // 10))
simulation.reporters.append(
    app.StateDataReporter(sys.stdout, STEPS // 10, step=True, potentialEnergy=True, temperature=True)
)
simulation.step(STEPS)
