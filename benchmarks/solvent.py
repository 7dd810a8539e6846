"""Fitted force fields in water: forces of the System that `replace` makes, and runs of the shipped sets.

python -m benchmarks.solvent [--only force.ethanol,run.ethanol-cross] [--keep FILE] [--output RUNS] [--picoseconds 1000]
    [--minutes 18] [--threads 2] [--quick]

OPENMM_HYBRID_DATA names the folder of the reference data. The parts are:

force.MOLECULE: GAFF with AM1-BCC charges and cross terms, fitted to 1100 frames of MD17. `replace` puts it into a box
of TIP3P water. The molecule takes 100 unseen geometries there. The forces of water and of the periodic images on it,
which are those of unchanged GAFF in the box minus those in vacuum, are subtracted. force_rmse: the rest against the
labels; module_difference: its largest difference from the fitted model alone, kcal/mol/Å. Both in double precision.

run.SET and gaff.MOLECULE: dynamics in water at 300 K and 1 bar with constrained bonds to hydrogen, hydrogens of 3 Da
and 4 fs, with a shipped force field and with GAFF of the same charges. broken_bonds: bonds longer than 1.5 times their
length in the first start; density, g/mL, and its error from block averages; density_deviation: the difference from
GAFF's density in standard errors. A run stops after --minutes and resumes with the next call.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mdtraj
import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

import openmm_hybrid as oh
from benchmarks.forcefield_stability import BROKEN, stretch
from benchmarks.parts import Part, measured, part_options
from benchmarks.worker import data_folder, use_settings
from openmm_hybrid import gaff
from openmm_hybrid.analysis import mean_with_error
from openmm_hybrid.analysis.error_table import error_table
from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.core.units import ANGSTROM_PER_NM, KJ_PER_KCAL
from openmm_hybrid.data.selection import split
from openmm_hybrid.forcefield import ForceField

MOLECULES = ("ethanol", "malonaldehyde", "aspirin")
KELVIN, TIMESTEP, HYDROGEN = 300.0, 4.0, 3.0
_GRAMS = 1.66053907  # g/mL in one Da/Å³


@dataclass(frozen=True)
class Plan:
    """How much to measure: frames of the fit (0: GAFF as it is) and of the test, sizes in Å, lengths in ps."""

    n_train: int = 1100
    n_test: int = 100
    padding: float = 10.5
    cutoff: float = 10.0
    run_padding: float = 13.5
    run_cutoff: float = 9.0
    piece: float = 20.0
    every: float = 0.5


QUICK = Plan(n_train=0, n_test=2, padding=8.0, cutoff=7.5, run_padding=8.0, run_cutoff=7.0, piece=0.4, every=0.04)


def loaded(molecule: str) -> tuple[oh.Frames, oh.Molecule]:
    """MD17's frames, and the molecule at the frame of the lowest energy."""
    frames = oh.Frames.load(data_folder() / f"md17_{molecule}.npz")
    lowest = frames.positions[int(np.argmin(frames.labels()[0]))]
    return frames, oh.Molecule.from_geometry(frames.atomic_numbers, lowest, name=molecule)


def force_part(name: str, chosen: Plan) -> Part:
    """Forces of the fitted force field in a box of water."""
    frames, molecule = loaded(name)
    alone = gaff.build(molecule, version="1.81", charges="am1-bcc", progress=False)
    start = ForceField.from_system(alone.system, alone.topology, types=alone.atom_types, name=name)
    fitted = start.edit(propers="fourier4", cross=True)
    n_train = chosen.n_train or 1100
    if chosen.n_train:
        fitted = oh.fit(fitted, frames, n_train=n_train, n_test=1000, seed=0, restraint=0.01, progress=False).model
    test = frames[split(frames, n_train, 0, 1000, 0).test[: chosen.n_test]]
    found = inside_forces(alone, fitted, test.positions, chosen)
    energies, module = fitted.predict(test.positions)
    labels = test.labels()[1]
    return {
        "force_rmse": float(np.sqrt(np.mean((found - labels) ** 2))),
        "module_force_rmse": error_table(test, (energies, module)).as_dict()["force_rmse"],
        "module_difference": float(np.abs(found - module).max()),
        "n_test": len(test),
        "n_train": chosen.n_train,
    }


def inside_forces(
    alone: BuiltSystem, fitted: ForceField, positions: NDArray[np.float64], chosen: Plan
) -> NDArray[np.float64]:
    """Forces on the molecule in the box without those of water and of its images, kcal/mol/Å."""
    box = alone.solvate(padding=chosen.padding, cutoff=chosen.cutoff)
    replaced = openmm.XmlSerializer.clone(box.system)
    n_atoms = fitted.n_atoms
    oh.replace(replaced, box.topology, fitted, atoms=range(n_atoms))
    contexts = [_context(system) for system in (replaced, box.system, alone.system)]
    around = box.positions.value_in_unit(unit.angstrom)
    place = around[:n_atoms].copy()
    found = []
    for frame in positions:
        turned, rotation = superposed(frame, place)
        around[:n_atoms] = turned
        whole, base, vacuum = (
            _forces(context, places, n_atoms)
            for context, places in zip(contexts, (around, around, turned), strict=True)
        )
        found.append((whole - (base - vacuum)) @ rotation.T)
    return np.array(found)


def superposed(
    frame: NDArray[np.float64], onto: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The frame (n_atoms, 3) rotated and moved onto another, and the rotation R (row vectors: x R).

    Kabsch, Acta Cryst. A 32, 922 (1976).
    """
    centre, target = frame.mean(axis=0), onto.mean(axis=0)
    u, _, vt = np.linalg.svd((frame - centre).T @ (onto - target))
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    rotation = u @ vt
    return (frame - centre) @ rotation + target, rotation


def _context(system: openmm.System) -> openmm.Context:
    return openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))


def _forces(context: openmm.Context, positions: NDArray[np.float64], n_atoms: int) -> NDArray[np.float64]:
    context.setPositions(positions / ANGSTROM_PER_NM)
    forces = context.getState(forces=True).getForces(asNumpy=True)[:n_atoms]
    return np.asarray(forces.value_in_unit(unit.kilojoule_per_mole / unit.angstrom)) / KJ_PER_KCAL


def run_part(name: str, forcefield: str | None, output: Path, picoseconds: float, minutes: float, chosen: Plan) -> Part:
    """Dynamics in water with a shipped force field, or with GAFF of the charges of that of the molecule."""
    _, molecule = loaded(name)
    shipped = ForceField.load(f"{name}-cross")
    outer = shipped.outer
    alone = gaff.build(
        molecule, version="1.81", charges="am1-bcc" if outer is None else outer.charges, constraints="HBonds",
        hydrogen_mass=HYDROGEN, progress=False,
    )  # fmt: skip
    box = alone.solvate(padding=chosen.run_padding, cutoff=chosen.run_cutoff)
    system, n_atoms = box.system, molecule.n_atoms
    if forcefield is not None:
        oh.replace(
            system, box.topology, ForceField.load(forcefield), atoms=range(n_atoms), temperature=KELVIN,
            fitted_nonbonded_outside=outer is None,
        )  # fmt: skip
    system.addForce(openmm.MonteCarloBarostat(1 * unit.bar, KELVIN * unit.kelvin))
    folder, began = output / (forcefield or f"{name}-gaff"), time.monotonic()
    done = 0.0
    if (folder / "settings.json").is_file():  # the last piece may be incomplete, and is then asked for again
        steps = json.loads((folder / "settings.json").read_text(encoding="utf-8"))["n_steps"]
        done = max(1e-3 * TIMESTEP * steps - chosen.piece, 0.0)
    asked_again = done + chosen.piece
    while True:
        done = min(done + chosen.piece, picoseconds)
        run = oh.sample(
            system, box.topology, box.positions, output=folder, duration=done, temperature=KELVIN, timestep=TIMESTEP,
            interval=round(1e3 * chosen.every / TIMESTEP), equilibration=round(1e3 * chosen.piece / TIMESTEP),
            format="xtc", platform="CPU", progress=False,
        )  # fmt: skip
        print(f"{folder.name}: {done:g} ps, {run.speed:.1f} ns/day", file=sys.stderr, flush=True)
        if done >= picoseconds:
            break
        if time.monotonic() - began > 60.0 * minutes and done > asked_again:
            raise SystemExit(f"{folder.name}: {done:g} of {picoseconds:g} ps are done; the same command resumes")
    found = stretch(run.positions[:, :n_atoms], shipped.bonds, alone.positions.value_in_unit(unit.angstrom))
    density = mean_with_error(densities(run.starts[0].files.trajectory, system)[len(run.log) // 10 :])
    return {
        "picoseconds": picoseconds,
        "particles": system.getNumParticles(),
        "largest_stretch": float(found.max()),
        "broken_bonds": int((found > BROKEN).sum()),
        "density": float(density.value),
        "density_error": float(density.error),
        "temperature": float(run.log["temperature"].mean()),
        "ns_per_day": run.speed,
    }


def densities(trajectory: Path, system: openmm.System) -> NDArray[np.float64]:
    """Density at each frame (n_frames,), g/mL."""
    with mdtraj.formats.XTCTrajectoryFile(str(trajectory)) as file:
        box = file.read()[3].astype(np.float64) * ANGSTROM_PER_NM
    mass = sum(system.getParticleMass(k).value_in_unit(unit.dalton) for k in range(system.getNumParticles()))
    return np.asarray(_GRAMS * mass / np.linalg.det(box))


def figures_of(parts: dict[str, Part]) -> dict[str, tuple[float, str]]:
    """Figures of the parts that are there."""
    figures: dict[str, tuple[float, str]] = {}
    for part, found in parts.items():
        kind, _, name = part.partition(".")
        if kind == "force":
            figures[f"force_rmse.{name}"] = found["force_rmse"], "kcal/mol/Å"
            figures[f"module_difference.{name}"] = found["module_difference"], "kcal/mol/Å"
            continue
        figures[f"density.{name}"] = found["density"], "g/mL"
        figures[f"density_error.{name}"] = found["density_error"], "g/mL"
        figures[f"broken_bonds.{name}"] = found["broken_bonds"], "1"
        other = parts.get(f"gaff.{name.removesuffix('-cross')}")
        if kind == "run" and other is not None:
            error = float(np.hypot(found["density_error"], other["density_error"]))
            figures[f"density_deviation.{name}"] = (found["density"] - other["density"]) / error, "1"
    return figures


def main() -> None:
    """Run the parts and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    part_options(parser)
    parser.add_argument("--output", type=Path, default=Path("runs/solvent"), help="folder of the runs")
    parser.add_argument("--picoseconds", type=float, default=1000.0, help="of each run")
    parser.add_argument("--minutes", type=float, default=18.0, help="after which a run stops until the next call")
    parser.add_argument("--quick", action="store_true", help="small boxes, nothing fitted: only to see that it runs")
    options = parser.parse_args()
    use_settings("benchmarks.solvent", options.threads)
    chosen = QUICK if options.quick else Plan()
    tasks: dict[str, Callable[[], Part]] = {f"force.{name}": partial(force_part, name, chosen) for name in MOLECULES}
    run = partial(
        run_part, output=options.output, picoseconds=options.picoseconds, minutes=options.minutes, chosen=chosen
    )
    tasks |= {f"run.{name}-cross": partial(run, name, f"{name}-cross") for name in MOLECULES}
    tasks |= {f"gaff.{name}": partial(run, name, None) for name in MOLECULES}
    parts = measured(options.only, tasks, options.keep)
    print(to_json(document("solvent", figures_of(parts), threads=options.threads, quick=options.quick, parts=parts)))


if __name__ == "__main__":
    main()
