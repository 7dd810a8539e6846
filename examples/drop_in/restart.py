"""A script of your own that goes on where it stopped, with the models that were attached.

python examples/drop_in/restart.py [CORRECTION]    → runs/drop_in/restart/; call it again to go on

The first call builds aspirin with its force field and a correction and saves them; each call then runs another part,
from the checkpoint of the one before. Frames, log and checkpoint are written at the same steps, the checkpoint last: a
process that is killed in between has one frame too many. `oh.sample` cuts that frame off; plain reporters do not.
CORRECTION is a file of `openmm-hybrid train correction`, in the atom order of aspirin.pdb; without it the shipped
aspirin-npistar is taken.
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
again = CHECKPOINT.exists()
if again:
    simulation.loadCheckpoint(str(CHECKPOINT))  # positions, velocities, random numbers, the number of steps
else:
    simulation.context.setPositions(positions * unit.angstrom)
    simulation.minimizeEnergy()

simulation.reporters += [
    app.DCDReporter(str(FOLDER / "trajectory.dcd"), INTERVAL, append=again),
    app.StateDataReporter(str(FOLDER / "log.csv"), INTERVAL, step=True, potentialEnergy=True, append=again),
    app.CheckpointReporter(str(CHECKPOINT), INTERVAL),
]
simulation.step(STEPS)
print(f"step {simulation.currentStep}, {'gone on' if again else 'begun'}; call again to go on")
