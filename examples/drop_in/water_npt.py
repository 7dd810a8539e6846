"""Aspirin in a box of 500 TIP3P waters at 300 K and 1 bar, with its own force field and a correction.

python examples/drop_in/water_npt.py [CORRECTION]

The water is rigid and aspirin flexible: constraints inside aspirin would cancel part of the correction (attach warns).
CORRECTION is a file from `openmm-hybrid train correction`, in the atom order of aspirin.pdb; the default is the shipped
aspirin-npistar. Output: runs/drop_in/.
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
STEPS = 60 if os.environ.get("OPENMM_HYBRID_QUICK") == "1" else 100_000
OUTPUT = Path("runs/drop_in")
OUTPUT.mkdir(parents=True, exist_ok=True)

pdb = app.PDBFile(str(Path(__file__).with_name("aspirin.pdb")))
forcefield = app.ForceField("aspirin-gaff/aspirin-gaff.xml", "amber14/tip3p.xml")
modeller = app.Modeller(pdb.topology, pdb.positions)
modeller.addSolvent(forcefield, model="tip3p", numAdded=500)
system = forcefield.createSystem(
    modeller.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.9 * unit.nanometer, rigidWater=True
)
system.addForce(openmm.MonteCarloBarostat(1 * unit.bar, 300 * unit.kelvin))

aspirin = range(21)  # the first particles of the box, in the order of aspirin.pdb
oh.replace(system, modeller.topology, oh.ForceField.load(FORCE_FIELD), atoms=aspirin)
correction = oh.correction.load(CORRECTION)
oh.attach(system, modeller.topology, correction, atoms=aspirin)

integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 1 * unit.femtosecond)
simulation = app.Simulation(modeller.topology, system, integrator)
simulation.context.setPositions(modeller.positions)
simulation.minimizeEnergy(maxIterations=200)
simulation.context.setVelocitiesToTemperature(300 * unit.kelvin)
simulation.reporters.append(app.DCDReporter(str(OUTPUT / "water_npt.dcd"), STEPS // 10))
simulation.reporters.append(
    app.StateDataReporter(sys.stdout, STEPS // 10, step=True, potentialEnergy=True, temperature=True, density=True)
)
simulation.step(STEPS)
