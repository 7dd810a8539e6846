"""What the parts of `benchmarks.cuda` share: settings, prepared Systems and models, and the file of findings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

import openmm_hybrid as oh
from benchmarks.hybrid_speed import random_model
from benchmarks.worker import ROOT
from openmm_hybrid.models.system import SystemModel

MOLECULE = ROOT / "examples" / "drop_in" / "aspirin.pdb"
FORCE_FIELD = "aspirin-gaff"
WATER = "amber14/tip3p.xml"
CUTOFF = 0.9  # nm
HOT = 500.0  # K, temperature of the geometries for the kernel model and for the comparison of forces
TIMESTEP = 0.0005  # ps
COMPARED = 3  # geometries whose forces are compared


@dataclass(frozen=True)
class Settings:
    """How much to measure, and where.

    Parameters
    ----------
    platform : str
        OpenMM's platform.
    threads : int
        Threads of torch and of OpenMM's CPU platform.
    seconds, drift_seconds : float
        Wall time of each timed simulation, and of each one at constant energy.
    steps : int
        Steps in a row between two looks at the clock.
    waters : int
        Water molecules in the box.
    points : int
        Training points of the kernel model.
    copies : tuple of int
        Numbers of replicas.
    precisions : tuple of str
        Precisions in which forces are compared, on a platform that has several.
    """

    platform: str = "CUDA"
    threads: int = 2
    seconds: float = 1.5
    drift_seconds: float = 5.0
    steps: int = 100
    waters: int = 1993
    points: int = 1000
    copies: tuple[int, ...] = (1, 16, 128)
    precisions: tuple[str, ...] = ("mixed", "double", "single")


@dataclass(frozen=True)
class Stage:
    """What every part needs: the settings, the folder of the prepared files, and where the lines go."""

    settings: Settings
    folder: Path
    lines: Path

    def figures(self, found: Mapping[str, tuple[float, str]]) -> None:
        """Write figures."""
        self.notes(figures=found)

    def notes(self, **content: Any) -> None:
        """Write notes; those of a later line replace earlier ones of the same name."""
        with self.lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(content) + "\n")

    @property
    def platform(self) -> openmm.Platform:
        """The platform of the measurements."""
        return openmm.Platform.getPlatformByName(self.settings.platform)

    def model(self) -> oh.sgdml.SGDMLModel:
        """The kernel model of the corrected aspirin."""
        return oh.sgdml.load(self.folder / "model.npz")

    def geometries(self) -> NDArray[np.float64]:
        """Geometries of the molecule (n, n_atoms, 3), Å."""
        return np.load(self.folder / "geometries.npy")


def prepare(stage: Stage, _: str) -> None:
    """Write aspirin in vacuum and in water, geometries of it, and a kernel model with random coefficients.

    The model has the size of a trained one and forces of 1 kcal/mol/Å (root mean square). It is smooth and its forces
    are the gradient of its energy, so speed, parity and drift are those of a trained model.
    """
    settings = stage.settings
    pdb = app.PDBFile(str(MOLECULE))
    forcefield = app.ForceField(f"{FORCE_FIELD}/{FORCE_FIELD}.xml", WATER)
    vacuum = forcefield.createSystem(pdb.topology)
    oh.save_system(stage.folder / "vacuum", vacuum, pdb.topology, _relaxed(vacuum, pdb.positions))
    modeller = app.Modeller(pdb.topology, pdb.positions)
    modeller.addSolvent(forcefield, model="tip3p", numAdded=settings.waters)
    water = forcefield.createSystem(
        modeller.topology, nonbondedMethod=app.PME, nonbondedCutoff=CUTOFF * unit.nanometer, rigidWater=True
    )
    oh.save_system(stage.folder / "water", water, modeller.topology, _relaxed(water, modeller.positions))
    stage.notes(particles={"vacuum": vacuum.getNumParticles(), "water": water.getNumParticles()})
    atomic_numbers = np.array([atom.element.atomic_number for atom in pdb.topology.atoms()])
    positions = _sampled(vacuum, pdb.positions, settings.points + COMPARED)
    energies, forces = SystemModel(vacuum, pdb.topology).predict(positions)
    frames = oh.Frames(atomic_numbers, positions, energies=energies, forces=forces)
    molecule = oh.Molecule.from_geometry(atomic_numbers, positions[0], name="aspirin")
    model = random_model(frames, molecule, tuple(range(len(atomic_numbers))), settings.points)
    model.save(stage.folder / "model.npz")
    np.save(stage.folder / "geometries.npy", positions[-COMPARED:])
    stage.notes(kernel_model={"points": model.n_train, "permutations": len(model.perms)})


def _relaxed(system: openmm.System, start: Any) -> unit.Quantity:
    """Positions after some minimisation on the CPU platform: OpenMM 8.5's minimiser ends the process on PoCL."""
    cpu = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(system, openmm.VerletIntegrator(TIMESTEP), cpu)
    context.setPositions(start)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=100)
    return context.getState(positions=True).getPositions(asNumpy=True)


def _sampled(system: openmm.System, start: Any, number: int) -> NDArray[np.float64]:
    """Geometries (number, n_atoms, 3), Å, of hot dynamics on the Reference platform."""
    integrator = openmm.LangevinMiddleIntegrator(HOT, 1.0, TIMESTEP)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(start)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=100)
    context.setVelocitiesToTemperature(HOT, 1)
    found = []
    for _ in range(number):
        integrator.step(20)
        found.append(context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom))
    return np.array(found)
