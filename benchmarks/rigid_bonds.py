"""A fitted molecule with constrained bonds and long steps beside the flexible one: populations, lengths and stability.

python -m benchmarks.rigid_bonds FRAMES.npz --dihedral 1,0,2,8 [--nanoseconds 2] [--water 120]

GAFF with AM1-BCC charges and cross terms is fitted to 1000 of the frames; the frame of the lowest energy is the start.
In vacuum at 300 K the molecule is flexible with steps of 0.5 fs, or has constrained bonds to hydrogen with 2 fs, or
constrained bonds and hydrogens of 3 Da with 4 fs. `trans` is the fraction of frames in which the dihedral is above
120°, with its standard error from block averages; `deviation` is the difference to the flexible molecule in standard
errors. `length_error` is the largest difference between the length of a constraint and the mean length of the flexible
bonds with equal parameters. In water (constant volume, 4 fs), `largest_stretch` is the longest length of a bond over
that in the start, and `energy_drift` the difference of the mean potential energies of the two halves in their standard
error. Warnings of the runs are errors. Runs that were stopped resume.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

import openmm_hybrid as oh
from benchmarks.forcefield_stability import stretch
from openmm_hybrid import gaff
from openmm_hybrid.analysis import Estimate, mean_with_error
from openmm_hybrid.core import geometry
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.forcefield import ForceField

TEMPERATURE = 300.0
SIDES: dict[str, dict[str, Any]] = {
    "flexible": {"timestep": 0.5, "constraints": None, "hydrogen_mass": None},
    "rigid": {"timestep": 2.0, "constraints": "HBonds", "hydrogen_mass": None},
    "rigid_heavy": {"timestep": 4.0, "constraints": "HBonds", "hydrogen_mass": 3.0},
}
_INTERVAL = 0.1  # ps between frames in vacuum
_WATER_INTERVAL = 0.2  # ps between frames in water
_PADDING = 11.0  # Å; half of the box


def fitted(molecule: oh.Molecule, frames: oh.Frames, seed: int = 0) -> ForceField:
    """GAFF with cross terms and inner pairs, fitted to the frames."""
    start = gaff.build(molecule, charges="am1-bcc", progress=False)
    forcefield = ForceField.from_system(start.system, start.topology, types=start.atom_types, name=molecule.name)
    forms = forcefield.edit(cross=True, propers="fourier4")
    return oh.fit(forms, frames, n_train=1000, n_test=500, seed=seed, progress=False).model


def built(molecule: oh.Molecule, forcefield: ForceField, side: dict[str, Any]) -> gaff.BuiltSystem:
    """GAFF with the outer charges of the force field."""
    assert forcefield.outer is not None
    return gaff.build(
        molecule,
        charges=forcefield.outer.charges,
        constraints=side["constraints"],
        hydrogen_mass=side["hydrogen_mass"],
    )


def sampled(
    system: gaff.BuiltSystem,
    forcefield: ForceField,
    folder: Path,
    side: dict[str, Any],
    picoseconds: float,
    wait: float,
) -> oh.SampleResult:
    """A run with the force field on the first atoms; `wait` is the time between frames, ps."""
    oh.replace(system.system, system.topology, forcefield, atoms=range(forcefield.n_atoms), temperature=TEMPERATURE)
    return oh.sample(
        system.system,
        system.topology,
        system.positions,
        output=folder,
        duration=picoseconds,
        temperature=TEMPERATURE,
        timestep=side["timestep"],
        interval=round(1e3 * wait / side["timestep"]),
        platform="CPU" if system.system.usesPeriodicBoundaryConditions() else "Reference",
    )  # fmt: skip


def length_error(forcefield: ForceField, system: openmm.System, positions: NDArray[np.float64]) -> float:
    """Largest difference (Å) between a constraint and the mean over the flexible bonds of constraints of its length."""
    groups: dict[float, list[float]] = {}
    for k in range(system.getNumConstraints()):
        i, j, length = system.getConstraintParameters(k)
        mean = float(geometry.distance(positions, np.array([[i, j]])).mean())
        groups.setdefault(length.value_in_unit(unit.angstrom), []).append(mean)
    return max(abs(length - float(np.mean(means))) for length, means in groups.items())


def vacuum(
    molecule: oh.Molecule, forcefield: ForceField, dihedral: list[int], folder: Path, nanoseconds: float
) -> tuple[dict[str, Estimate], float]:
    """Population of the trans basin on each side, and the error of the constraints' lengths."""
    found, systems, runs = {}, {}, {}
    for name, side in SIDES.items():
        systems[name] = built(molecule, forcefield, side)
        runs[name] = sampled(systems[name], forcefield, folder / name, side, 1e3 * nanoseconds, _INTERVAL)
        angles = geometry.dihedral(runs[name].positions.astype(np.float64), np.array([dihedral]))[:, 0]
        found[name] = mean_with_error(np.abs(angles) > np.radians(120.0))
    positions = runs["flexible"].positions.astype(np.float64)
    return found, length_error(forcefield, systems["rigid"].system, positions)


def water(molecule: oh.Molecule, forcefield: ForceField, folder: Path, picoseconds: float) -> dict[str, float]:
    """A run in water with rigid bonds, heavy hydrogens and 4 fs."""
    side = SIDES["rigid_heavy"]
    alone = built(molecule, forcefield, side)
    box = alone.solvate(padding=_PADDING)
    run = sampled(box, forcefield, folder, side, picoseconds, _WATER_INTERVAL)
    n_atoms = forcefield.n_atoms
    start = alone.positions.value_in_unit(unit.angstrom)
    energies = np.array_split(run.log["potential"][len(run.log) // 5 :], 2)
    first, second = map(mean_with_error, energies)
    return {
        "largest_stretch": float(stretch(run.positions[:, :n_atoms], forcefield.bonds, start).max()),
        "energy_drift": (second.value - first.value) / float(np.hypot(first.error, second.error)),
        "temperature": float(run.log["temperature"].mean()),
        "particles": box.system.getNumParticles(),
    }


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path)
    parser.add_argument("--dihedral", required=True, help="four atoms, such as 1,0,2,8")
    parser.add_argument("--output", type=Path, default=Path("runs/rigid_bonds"))
    parser.add_argument("--nanoseconds", type=float, default=2.0, help="of each run in vacuum")
    parser.add_argument("--water", type=float, default=120.0, help="ps in water; 0 for none")
    options = parser.parse_args()
    frames = oh.Frames.load(options.frames)
    lowest = frames.positions[int(np.argmin(frames.labels()[0]))]
    molecule = oh.Molecule.from_geometry(frames.atomic_numbers, lowest, name=frames.name)
    forcefield = fitted(molecule, frames)
    warnings.simplefilter("error", UserWarning)
    dihedral = [int(atom) for atom in options.dihedral.split(",")]
    trans, error = vacuum(molecule, forcefield, dihedral, options.output / "vacuum", options.nanoseconds)
    figures: dict[str, tuple[float, str]] = {"length_error": (error, "Å")}
    for name, found in trans.items():
        figures[f"trans.{name}"], figures[f"trans_error.{name}"] = (found.value, "1"), (found.error, "1")
        if name != "flexible":
            both = float(np.hypot(found.error, trans["flexible"].error))
            figures[f"deviation.{name}"] = (found.value - trans["flexible"].value) / both, "1"
    if options.water:
        ends = water(molecule, forcefield, options.output / "water", options.water)
        units = {"temperature": "K"}
        figures |= {f"water.{name}": (value, units.get(name, "1")) for name, value in ends.items()}
    print(
        to_json(
            document(
                "rigid_bonds",
                figures,
                molecule=molecule.name,
                nanoseconds=options.nanoseconds,
                water_picoseconds=options.water,
                sides=SIDES,
                openmm=openmm.version.version,
            )
        )
    )


if __name__ == "__main__":
    main()
