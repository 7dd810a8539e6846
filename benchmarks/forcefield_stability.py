"""Stability of fitted force fields: long runs in vacuum and a short one in water.

python -m benchmarks.forcefield_stability FORCEFIELD.npz … --frames FRAMES.npz … [--output RUNS] [--picoseconds 1000]

For each force field: dynamics at 500 K from five frames of the file, each started from another dihedral basin where
there are several, and 50 ps at 500 K and constant volume in a box of about 500 waters. The force field
replaces GAFF in GAFF's System (`openmm_hybrid.replace`), in OpenMM's own forces. The result contains the largest
stretch of a bond relative to its length in the first start, which must stay below 1.5, and the bonds that exceeded it.
Runs that were stopped resume.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray

import openmm_hybrid as oh
from openmm_hybrid import gaff
from openmm_hybrid.core import geometry
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.forcefield import ForceField

TEMPERATURE = 500.0
STARTS = 5
BROKEN = 1.5
"""Length of a bond over that in the first start at which it counts as broken."""
_PADDING = 12.0  # Å; half of the box


def stretch(
    positions: NDArray[np.float64], bonds: NDArray[np.int64], reference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Largest length of each bond (n_bonds,) over its length in the reference (n_atoms, 3)."""
    at_rest = geometry.distance(reference[None], bonds)[0]
    return np.asarray(geometry.distance(positions, bonds).max(axis=0) / at_rest)


def vacuum(
    forcefield: ForceField, frames: oh.Frames, folder: Path, picoseconds: float, timestep: float
) -> dict[str, Any]:
    """Dynamics of the molecule alone from five frames."""
    built, starts = _gaff(forcefield, frames), _starts(forcefield, frames)
    oh.replace(built.system, built.topology, forcefield)
    run = oh.sample(
        built.system, built.topology, starts, output=folder, duration=picoseconds, temperature=TEMPERATURE,
        timestep=timestep, interval=100, format="xtc",
    )  # fmt: skip
    found = np.max([stretch(start.positions, forcefield.bonds, starts[0]) for start in run.starts], axis=0)
    return _report(found, picoseconds * STARTS)


def water(forcefield: ForceField, frames: oh.Frames, folder: Path, picoseconds: float) -> dict[str, Any]:
    """Dynamics in water from one frame."""
    built = _gaff(forcefield, frames)
    solvated = built.solvate(padding=_PADDING)
    n_atoms = forcefield.n_atoms
    oh.replace(
        solvated.system, solvated.topology, forcefield, atoms=np.arange(n_atoms),
        fitted_nonbonded_outside=forcefield.outer is None,
    )  # fmt: skip
    run = oh.sample(
        solvated.system, solvated.topology, solvated.positions, output=folder, duration=picoseconds,
        temperature=TEMPERATURE, interval=100,
    )  # fmt: skip
    start = _starts(forcefield, frames)[0]
    found = stretch(run.positions[:, :n_atoms], forcefield.bonds, start)
    return _report(found, picoseconds) | {"particles": solvated.system.getNumParticles()}


def _report(found: NDArray[np.float64], picoseconds: float) -> dict[str, Any]:
    return {
        "picoseconds": picoseconds,
        "largest_stretch": float(found.max()),
        "broken_bonds": int((found > BROKEN).sum()),
    }


def _gaff(forcefield: ForceField, frames: oh.Frames) -> gaff.BuiltSystem:
    """GAFF with the outer charges of the force field, or with none where the force field brings those of its atoms."""
    lowest = int(np.argmin(frames.labels()[0]))
    molecule = oh.Molecule.from_geometry(frames.atomic_numbers, frames.positions[lowest], name=forcefield.name)
    charges = np.zeros(molecule.n_atoms) if forcefield.outer is None else forcefield.outer.charges
    return gaff.build(molecule, version="1.81", charges=charges)


def _starts(forcefield: ForceField, frames: oh.Frames) -> NDArray[np.float64]:
    """The frame of the lowest energy in each fifth of the frames sorted by their first proper torsion."""
    energies = frames.labels()[0]
    torsion = geometry.dihedral(frames.positions, forcefield.group("propers").atoms[:1])[:, 0]
    parts = np.array_split(np.argsort(torsion), STARTS)
    return frames.positions[[part[np.argmin(energies[part])] for part in parts]]


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("forcefields", type=Path, nargs="+")
    parser.add_argument("--frames", type=Path, nargs="+", required=True, help="labelled frames of each force field")
    parser.add_argument("--output", type=Path, default=Path("runs/stability"))
    parser.add_argument("--picoseconds", type=float, default=1000.0)
    parser.add_argument("--timestep", type=float, default=0.5, help="fs, in vacuum")
    parser.add_argument("--water", type=float, default=50.0, help="ps in water; 0 for none")
    options = parser.parse_args()
    figures: dict[str, tuple[float, str]] = {}
    details = {}
    for path, data in zip(options.forcefields, options.frames, strict=True):
        forcefield, frames = ForceField.load(path), oh.Frames.load(data)
        runs = {
            "vacuum": vacuum(
                forcefield, frames, options.output / path.stem / "vacuum", options.picoseconds, options.timestep
            )
        }
        if options.water:
            runs["water"] = water(forcefield, frames, options.output / path.stem / "water", options.water)
        details[path.stem] = runs
        for kind, run in runs.items():
            figures[f"broken_bonds.{path.stem}.{kind}"] = run["broken_bonds"], "1"
            figures[f"largest_stretch.{path.stem}.{kind}"] = run["largest_stretch"], "1"
    print(
        to_json(
            document(
                "forcefield_stability", figures, runs=details, timestep=options.timestep, openmm=openmm.version.version
            )
        )
    )


if __name__ == "__main__":
    main()
