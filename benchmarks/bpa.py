"""3BPA: force fields trained on frames at 300 K, tested at 300, 600 and 1200 K, and run at 1000 K.

python -m benchmarks.bpa [--only gaff,cross,hybrid,sgdml,run0] [--keep PARTS.json] [--picoseconds 1000]

All are trained on 490 of the 500 frames of 3bpa_300K.npz (ωB97X/6-31G(d), Kovács et al., J. Chem. Theory Comput. 17,
7696 (2021)). The test frames are the thirds of 3bpa_mixedT.npz at 300, 600 and 1200 K, without the frames that both
files have. gaff is GAFF 2.2.20 with all its parameters refitted, cross has cross terms, hybrid adds sGDML (σ = 1) of
the rest, sgdml is sGDML alone. The energies of each temperature have a free origin. run0 to run4 are dynamics of the
cross force field at 1000 K from five training frames, in OpenMM's own forces; a bond that is 1.5 times as long as in
the start counts as broken. OPENMM_HYBRID_DATA names the folder of the reference data.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import openmm_hybrid as oh
from benchmarks.forcefield_stability import BROKEN, stretch
from benchmarks.parts import Part, measured, part_options
from benchmarks.worker import data_folder, use_settings
from openmm_hybrid.analysis.error_table import error_table
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.core.units import KCAL_PER_EV
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel

N_TRAIN = 490
THIRDS = {"300": slice(0, 167), "600": slice(167, 334), "1200": slice(334, 500)}
"""Temperature, K → frames of 3bpa_mixedT.npz."""
HOT = 1000.0
STARTS = 5
MEV = 1000.0 / KCAL_PER_EV
"""meV in one kcal/mol."""
PUBLISHED = {
    "sGDML": (46, 439, 711),
    "GAP": (87, 152, 306),
    "ANI-2x": (84, 103, 140),
    "linear ACE": (27, 64, 187),
    "MACE": (9, 22, 62),
    "refitted class I": (303, 408, 671),
}
"""Force RMSE in meV/Å at the three temperatures. Models trained on the same 500 frames, except ANI-2x; tested on the
published files, which are larger than these. Kovács et al. (above), and Batatia et al., NeurIPS 2022, for MACE."""


def training_frames() -> oh.Frames:
    """The frames at 300 K."""
    return oh.Frames.load(data_folder() / "3bpa_300K.npz")


def test_frames() -> dict[str, oh.Frames]:
    """Frames of each temperature that are not in the training file."""
    mixed, known = oh.Frames.load(data_folder() / "3bpa_mixedT.npz"), training_frames().positions
    new = np.array(
        [not np.isclose(known, positions, atol=1e-6).all(axis=(1, 2)).any() for positions in mixed.positions]
    )
    return {name: mixed[np.flatnonzero(new[third]) + third.start] for name, third in THIRDS.items()}


@cache
def forcefield(cross: bool) -> ForceField:
    """The fitted force field, in which terms of equal GAFF types share parameters."""
    frames = training_frames()
    lowest = int(np.argmin(frames.labels()[0]))
    molecule = oh.Molecule.from_geometry(frames.atomic_numbers, frames.positions[lowest], name="3BPA")
    built = oh.build(molecule, charges="am1-bcc", progress=False)
    start = ForceField.from_system(built.system, built.topology, types=built.atom_types, name="3BPA")
    return oh.fit(start.edit(cross=cross), frames, n_train=N_TRAIN, n_test=0, progress=False).model


def tested(model: EnergyModel) -> Part:
    """Errors of a model at each temperature, meV and meV/Å."""
    found: Part = {}
    for name, frames in test_frames().items():
        energies, forces = model.predict(frames.positions)
        shift = float(np.mean(frames.labels()[0] - energies))
        table = error_table(frames, (energies + shift, forces)).as_dict()
        found[name] = {key: MEV * table[key] for key in ("force_rmse", "force_mae", "energy_rmse", "energy_mae")}
    return found


def trained(kind: str) -> Part:
    """Errors and training time of one kind of model."""
    start = time.perf_counter()
    if kind == "sgdml":
        model: EnergyModel = oh.sgdml.train(training_frames(), n_train=N_TRAIN, n_valid=10, sigma=20, progress=False)
    else:
        model = forcefield(cross=kind != "gaff")
        if kind == "hybrid":
            rest = oh.correction.train(model, training_frames(), n_train=N_TRAIN, n_valid=0, progress=False)
            model = Sum((model, rest.in_molecule()))
    return {"seconds": time.perf_counter() - start, "errors": tested(model)}


def run(number: int, picoseconds: float) -> Part:
    """Dynamics at 1000 K from a training frame."""
    model, frames = forcefield(cross=True), training_frames()
    positions = frames.positions[number * (len(frames) // STARTS)]
    molecule = oh.Molecule.from_geometry(frames.atomic_numbers, positions, name="3BPA")
    built = oh.build(molecule, charges=model.outer.charges, progress=False)
    oh.replace(built.system, built.topology, model)
    with tempfile.TemporaryDirectory() as folder:
        result = oh.sample(
            built.system, built.topology, positions, output=Path(folder) / "run", duration=picoseconds, temperature=HOT,
            timestep=0.5, interval=200, seed=number, progress=False,
        )  # fmt: skip
        found = stretch(result.positions, model.bonds, positions)
    return {
        "picoseconds": picoseconds,
        "largest_stretch": float(found.max()),
        "broken_bonds": int((found > BROKEN).sum()),
    }


def main() -> None:
    """Run the parts and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    part_options(parser)
    parser.add_argument("--picoseconds", type=float, default=1000.0, help="of each run at 1000 K")
    options = parser.parse_args()
    use_settings("benchmarks.bpa", options.threads)
    tasks: dict[str, Any] = {kind: partial(trained, kind) for kind in ("gaff", "cross", "hybrid", "sgdml")}
    tasks |= {f"run{number}": partial(run, number, options.picoseconds) for number in range(STARTS)}
    parts = measured(options.only, tasks, options.keep)
    figures: dict[str, tuple[float, str]] = {}
    for kind, part in parts.items():
        if kind.startswith("run"):
            figures[f"broken_bonds.{kind}"] = part["broken_bonds"], "1"
            continue
        for name, errors in part["errors"].items():
            figures[f"force_rmse.{kind}.{name}"] = errors["force_rmse"], "meV/Å"
            figures[f"energy_rmse.{kind}.{name}"] = errors["energy_rmse"], "meV"
    print(to_json(document("bpa", figures, published=PUBLISHED, threads=options.threads, parts=parts)))


if __name__ == "__main__":
    main()
