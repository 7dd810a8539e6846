"""A script that resumes where it stopped, with the attached models.

python examples/drop_in/restart.py [CORRECTION]    → runs/drop_in/restart/; call it again to continue

The first call builds aspirin with its force field and a correction and saves them. Each call then runs another segment
from the checkpoint of the previous call. The reporters write frame, log and checkpoint at the same steps, the
checkpoint last. A process killed in between leaves one extra frame: `oh.sample` removes it, plain reporters do not.
CORRECTION is a file from `openmm-hybrid train correction`, in the atom order of aspirin.pdb; the default is the shipped
aspirin-npistar.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import openmm
from openmm import app, unit

import openmm_hybrid as oh

FORCE_FIELD = "aspirin-gaff"
CORRECTION = sys.argv[1] if len(sys.argv) > 1 else "aspirin-npistar"
STEPS = 20 if os.environ.get("OPENMM_HYBRID_QUICK") == "1" else 100_000
INTERVAL = STEPS // 10
FOLDER = Path("runs/drop_in/restart")
CHECKPOINT = FOLDER / "checkpoint.chk"

if not (FOLDER / "manifest.json").exists():
    pdb = app.PDBFile(str(Path(__file__).with_name("aspirin.pdb")))
    system = app.ForceField("aspirin-gaff/aspirin-gaff.xml").createSystem(pdb.topology)
    oh.replace(system, pdb.topology, oh.ForceField.load(FORCE_FIELD))
    correction = oh.correction.load(CORRECTION)
    atoms = correction.on(range(21))
    oh.attach(system, pdb.topology, correction.model, atoms=atoms)
    attachments = [oh.Attachment(correction.model, atoms=atoms)]
    oh.save_system(FOLDER, system, pdb.topology, pdb.getPositions(asNumpy=True), attachments=attachments)

system, topology, positions = oh.load_system(FOLDER)
integrator = openmm.LangevinMiddleIntegrator(500 * unit.kelvin, 1 / unit.picosecond, 0.5 * unit.femtosecond)
simulation = app.Simulation(topology, system, integrator)
resumed = CHECKPOINT.exists()
if resumed:
    simulation.loadCheckpoint(str(CHECKPOINT))  # positions, velocities, random numbers, the number of steps
else:
    simulation.context.setPositions(positions * unit.angstrom)
    simulation.minimizeEnergy()

simulation.reporters += [
    app.DCDReporter(str(FOLDER / "trajectory.dcd"), INTERVAL, append=resumed),
    app.StateDataReporter(str(FOLDER / "log.csv"), INTERVAL, step=True, potentialEnergy=True, append=resumed),
    app.CheckpointReporter(str(CHECKPOINT), INTERVAL),
]
simulation.step(STEPS)
print(f"step {simulation.currentStep}, {'resumed' if resumed else 'started'}; call again to continue")
