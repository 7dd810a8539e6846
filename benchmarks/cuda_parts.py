"""The parts of `benchmarks.cuda`. Each runs in a process of its own, which writes what it finds line by line.

A line is a JSON object with the entry "figures", name → [value, unit], or with notes under other names. A process that
crashes or runs out of time leaves the lines before that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import openmm
import torch
from numpy.typing import NDArray
from openmm import app, unit

import openmm_hybrid as oh
from benchmarks.cuda_stage import MOLECULE, TIMESTEP, Settings, Stage, prepare
from benchmarks.hybrid_speed import NS_PER_DAY
from benchmarks.timing import stepper
from openmm_hybrid.core.units import NM_PER_ANGSTROM
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.sampling.platform import one_torch_thread, platform_properties
from openmm_hybrid.systems.backends import BACKENDS
from openmm_hybrid.systems.backends.backend import Backend

CROSS, NEURAL = "aspirin-cross", "aspirin-nn"
TEMPERATURE = 300.0
TRICLINIC = np.array([[29.0, 0.0, 0.0], [9.0, 28.0, 0.0], [-11.0, 13.0, 27.0]])
"""Box vectors as rows, Å, in the reduced form that OpenMM requires."""
SAMPLES = 16  # fewest energies from which a drift is computed
KJ_PER_NS = 4184.0
"""One kcal/mol/ps in kJ/mol/ns."""
PLACES = ("vacuum", "water")


def run(part: str, folder: str, lines: str, settings: str) -> None:
    """Run one part, such as "speed.gaff"; the settings are JSON."""
    kind, _, subject = part.partition(".")
    chosen = Settings(**json.loads(settings))
    torch.set_num_threads(chosen.threads)
    PARTS[kind](Stage(chosen, Path(folder), Path(lines)), subject)


def doctor(stage: Stage, _: str) -> None:
    """The report of `openmm-hybrid doctor`."""
    from openmm_hybrid.cli.doctor import examine

    stage.notes(report=examine().as_dict())


def device(stage: Stage, _: str) -> None:
    """Properties of the platform, from a context on it, and the backends; without it nothing else can be measured."""
    system = openmm.System()
    system.addParticle(1.0)
    platform = stage.platform
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    stage.notes(properties={name: platform.getPropertyValue(context, name) for name in platform.getPropertyNames()})
    learned = [name for name in BACKENDS.names() if BACKENDS.load(name).needs_torch]
    stage.notes(backends=list(BACKENDS.names()), learned=learned)


def parity(stage: Stage, subject: str) -> None:
    """Largest errors of energies and forces of one backend, against the model itself in torch's float64.

    The geometries are compared in vacuum, and in a triclinic box into which each atom is wrapped separately.
    """
    backend = BACKENDS.load(subject)()
    geometries = stage.geometries()
    problems: dict[str, str] = {}
    largest: dict[str, float] = {}
    for name, model in _carried(backend, stage):
        expected = model.predict(geometries)
        largest[name] = float(np.abs(expected[1]).max())
        stage.notes(largest_force=largest)
        for (precision, properties), box in product(_precisions(stage).items(), (None, TRICLINIC)):
            case = f"{precision}.{subject}.{name}.{'vacuum' if box is None else 'wrapped'}"
            try:
                energies, forces = _evaluated(stage, model, subject, geometries, box, properties)
            except (openmm.OpenMMException, oh.HybridError) as error:
                problems[case] = str(error)
                stage.notes(problems=problems)
                continue
            stage.figures(
                {
                    f"parity.{case}.energy": (float(np.abs(energies - expected[0]).max()), "kcal/mol"),
                    f"parity.{case}.force": (float(np.abs(forces - expected[1]).max()), "kcal/mol/Å"),
                }
            )


def _carried(backend: Backend, stage: Stage) -> Iterator[tuple[str, EnergyModel]]:
    """The models that a backend carries, with their names; of a force field the groups that it takes."""
    neural = oh.ForceField.load(NEURAL)
    models: dict[str, EnergyModel] = {
        "sgdml": stage.model(),
        "cross": oh.ForceField.load(CROSS),
        "nn": neural.only(*(group for group in neural.groups if group.endswith(".neural"))),
    }
    for name, model in models.items():
        if isinstance(model, oh.ForceField) and not backend.takes(model):
            groups = [group for group in model.groups if backend.takes(model.only(group))]
            if groups:
                yield name, model.only(*groups)
        elif backend.takes(model):
            yield name, model


def _precisions(stage: Stage) -> dict[str, dict[str, str]]:
    """Properties of each precision, by name; "default" for a platform that has only one."""
    if "Precision" not in stage.platform.getPropertyNames():
        return {"default": {}}
    return {name: {"Precision": name} for name in stage.settings.precisions}


def _evaluated(
    stage: Stage,
    model: EnergyModel,
    backend: str,
    geometries: NDArray[np.float64],
    box: NDArray[np.float64] | None,
    properties: Mapping[str, str],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies (kcal/mol) and forces (kcal/mol/Å) of a model alone, from OpenMM."""
    topology = app.PDBFile(str(MOLECULE)).topology
    system = openmm.System()
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*(box * NM_PER_ANGSTROM))
        periodic = openmm.HarmonicBondForce()
        periodic.setUsesPeriodicBoundaryConditions(True)
        system.addForce(periodic)
        centred = geometries - geometries.mean(axis=1, keepdims=True)  # across a corner of the box
        geometries = (centred @ np.linalg.inv(box)) % 1.0 @ box
    oh.attach(system, topology, model, backend=backend)
    context = openmm.Context(system, openmm.VerletIntegrator(TIMESTEP), stage.platform, dict(properties))
    return _states(context, geometries)


def _states(
    context: openmm.Context, geometries: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    energies, forces = [], []
    for positions in geometries:
        context.setPositions(positions * NM_PER_ANGSTROM)
        state = context.getState(energy=True, forces=True)
        energies.append(state.getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole))
        forces.append(state.getForces(asNumpy=True).value_in_unit(unit.kilocalorie_per_mole / unit.angstrom))
    return np.array(energies), np.array(forces)


def graphs(stage: Stage, subject: str) -> None:
    """The properties of a TorchForce, and speed and forces with CUDA graphs; other platforms ignore that property."""
    found = {}
    for value in ("false", "true"):
        system, start, forces = _simulated(stage, "vacuum", subject)
        force = forces[0]
        if value == "false":
            stage.notes(properties_by_default=dict(force.getProperties()))
        force.setProperty("useCUDAGraphs", value)
        properties = platform_properties(stage.settings.platform)
        context = openmm.Context(system, openmm.VerletIntegrator(TIMESTEP), stage.platform, properties)
        found[value] = _states(context, stage.geometries())[1]
        del context
        label = "cuda_graphs" if value == "true" else "no_cuda_graphs"
        step = _milliseconds(stage, system, start)
        stage.figures({f"speed.vacuum.{subject}.{label}": (NS_PER_DAY / step, "ns/day")})
    difference = float(np.abs(found["true"] - found["false"]).max())
    stage.figures({f"cuda_graphs.{subject}.force_difference": (difference, "kcal/mol/Å")})


def _simulated(
    stage: Stage, place: str, side: str, dtype: str = "float64"
) -> tuple[openmm.System, NDArray[np.float64], list[openmm.Force]]:
    """System, positions (Å) and the forces that a side adds: "gaff" none, "cross" its terms, a backend the model."""
    system, topology, start = oh.load_system(stage.folder / place)
    atoms = range(stage.geometries().shape[1])
    if side == "gaff":
        return system, start, []
    if side == "cross":
        forcefield = oh.ForceField.load(CROSS)
        outside = forcefield.outer is None
        return system, start, oh.replace(system, topology, forcefield, atoms=atoms, fitted_nonbonded_outside=outside)
    return system, start, oh.attach(system, topology, stage.model(), atoms=atoms, backend=side, dtype=dtype)


def _milliseconds(stage: Stage, system: openmm.System, start: NDArray[np.float64], copies: int = 1) -> float:
    """Median time of a step, ms, over as many repetitions as the time allows; the first ones are not counted."""
    settings = stage.settings
    nm = start * NM_PER_ANGSTROM
    with one_torch_thread(stage.platform, copies):
        step = stepper(system, nm, settings.platform, settings.threads, settings.steps, relaxed=True)
        step(2)  # compiles kernels and TorchScript
        end, times = time.monotonic() + settings.seconds, step(1)
        while time.monotonic() < end:
            times += step(1)
    return 1e3 * float(np.median(times))


def speed(stage: Stage, subject: str) -> None:
    """Speed of one side in water and alone, with torch's models in both precisions."""
    dtypes = ("float64",) if subject in ("gaff", "cross") else ("float64", "float32")
    for place, dtype in product(PLACES, dtypes):
        system, start, _ = _simulated(stage, place, subject, dtype)
        suffix = "" if dtype == "float64" else ".float32"
        value = NS_PER_DAY / _milliseconds(stage, system, start)
        stage.figures({f"speed.{place}.{subject}{suffix}": (value, "ns/day")})


def replicas(stage: Stage, subject: str) -> None:
    """Speed of several copies in one context, summed over the copies."""
    system, topology, start = oh.load_system(stage.folder / "vacuum")
    for copies in stage.settings.copies:
        many, twins = oh.replicate(system, topology, copies)
        if subject != "gaff":
            atoms = np.arange(many.getNumParticles()).reshape(copies, -1)
            oh.attach(many, twins, stage.model(), atoms=atoms, backend=subject)
        value = copies * NS_PER_DAY / _milliseconds(stage, many, np.tile(start, (copies, 1)), copies)
        stage.figures({f"replicas.{subject}.{copies}": (value, "ns/day")})


def drift(stage: Stage, subject: str) -> None:
    """Drift of the total energy at constant energy, per degree of freedom, with its standard error."""
    for place in PLACES:
        system, start, _ = _simulated(stage, place, subject)
        times, energies = _constant_energy(stage, system, start)
        removed = 3 * any(isinstance(force, openmm.CMMotionRemover) for force in system.getForces())
        freedom = 3 * system.getNumParticles() - system.getNumConstraints() - removed
        found = oh.analysis.energy_drift(times, energies, freedom)
        stage.figures(
            {
                f"drift.{place}.{subject}": (KJ_PER_NS * found.value, "kJ/mol/ns"),
                f"drift_error.{place}.{subject}": (KJ_PER_NS * found.error, "kJ/mol/ns"),
                f"drift_length.{place}.{subject}": (times[-1], "ps"),
            }
        )


def _constant_energy(
    stage: Stage, system: openmm.System, start: NDArray[np.float64]
) -> tuple[list[float], list[float]]:
    """Times (ps) and total energies (kcal/mol) of Verlet dynamics after a short equilibration at 300 K."""
    settings = stage.settings
    integrator = openmm.CompoundIntegrator()
    integrator.addIntegrator(openmm.LangevinMiddleIntegrator(TEMPERATURE, 10.0, TIMESTEP))
    integrator.addIntegrator(openmm.VerletIntegrator(TIMESTEP))
    properties = platform_properties(settings.platform)
    times: list[float] = []
    energies: list[float] = []
    with one_torch_thread(stage.platform):
        context = openmm.Context(system, integrator, stage.platform, properties)
        context.setPositions(start * NM_PER_ANGSTROM)
        context.setVelocitiesToTemperature(TEMPERATURE, 1)
        end = time.monotonic() + 0.2 * settings.drift_seconds
        while time.monotonic() < end:
            integrator.step(settings.steps)
            context.getState(energy=True)  # waits for the last step
        integrator.setCurrentIntegrator(1)
        end = time.monotonic() + settings.drift_seconds
        while len(times) < SAMPLES or time.monotonic() < end:
            integrator.step(settings.steps)
            state = context.getState(energy=True)
            total = state.getPotentialEnergy() + state.getKineticEnergy()
            energies.append(total.value_in_unit(unit.kilocalorie_per_mole))
            times.append(len(energies) * settings.steps * TIMESTEP)
    return times, energies


PARTS: dict[str, Callable[[Stage, str], None]] = {
    "device": device,
    "doctor": doctor,
    "prepare": prepare,
    "parity": parity,
    "graphs": graphs,
    "speed": speed,
    "replicas": replicas,
    "drift": drift,
}
"""What is measured, by the first word of a part's name; the rest of the name is a side or a backend."""
