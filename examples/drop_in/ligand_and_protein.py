"""Aspirin beside a protein: OpenMM's own test file, villin headpiece in water, with one corrected ligand added.

python examples/drop_in/ligand_and_protein.py [CORRECTION]

The ligand replaces the waters at the corner of the box. Its atoms come last. Only they get another force field and a
correction; protein and water keep amber14.
CORRECTION is a file from `openmm-hybrid train correction`, in the atom order of aspirin.pdb; the default is the shipped
aspirin-npistar. Output: runs/drop_in/.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit

import openmm_hybrid as oh

FORCE_FIELD = "aspirin-gaff"
CORRECTION = sys.argv[1] if len(sys.argv) > 1 else "aspirin-npistar"
QUICK = os.environ.get("OPENMM_HYBRID_QUICK") == "1"
STEPS = 2 if QUICK else 50_000
OUTPUT = Path("runs/drop_in")
OUTPUT.mkdir(parents=True, exist_ok=True)

protein = app.PDBFile(str(Path(app.__file__).parent / "data" / "test.pdb"))
ligand = app.PDBFile(str(Path(__file__).with_name("aspirin.pdb")))  # its centre is at the origin

# Delete the waters with an atom within 2.5 Å of the ligand.
box = np.diag(protein.topology.getPeriodicBoxVectors().value_in_unit(unit.nanometer))
apart = protein.getPositions(asNumpy=True)._value[:, None] - ligand.getPositions(asNumpy=True)._value
near = (np.linalg.norm(apart - box * np.round(apart / box), axis=-1) < 0.25).any(axis=1)
modeller = app.Modeller(protein.topology, protein.positions)
modeller.delete({atom.residue for atom in protein.topology.atoms() if near[atom.index]})
modeller.add(ligand.topology, ligand.positions)

forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml", "aspirin-gaff/aspirin-gaff.xml")
system = forcefield.createSystem(
    modeller.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.9 * unit.nanometer, rigidWater=True
)
aspirin = [atom.index for atom in modeller.topology.atoms() if atom.residue.name == "AIN"]
oh.replace(system, modeller.topology, oh.ForceField.load(FORCE_FIELD), atoms=aspirin)
correction = oh.correction.load(CORRECTION)
oh.attach(system, modeller.topology, correction, atoms=aspirin)

integrator = openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 1 * unit.femtosecond)
simulation = app.Simulation(modeller.topology, system, integrator)
simulation.context.setPositions(modeller.positions)
simulation.minimizeEnergy(maxIterations=5 if QUICK else 500)
simulation.context.setVelocitiesToTemperature(300 * unit.kelvin)
simulation.reporters.append(app.DCDReporter(str(OUTPUT / "ligand_and_protein.dcd"), max(1, STEPS // 10)))
simulation.reporters.append(
    app.StateDataReporter(sys.stdout, max(1, STEPS // 10), step=True, potentialEnergy=True, temperature=True)
)
simulation.step(STEPS)
