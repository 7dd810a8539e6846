"""Errors of sGDML models on unseen frames, and the growth of time and memory with points and atoms.

python -m benchmarks.sgdml_accuracy [--peer PYTHON] [--only ethanol_560,…] [--keep FILE]   (PYTHON: the peer's)

Parts
- ethanol_560, malonaldehyde_560: errors on the other distinct CCSD(T) frames after training on 560, for several splits;
  with --peer also of the peer's model of the first split.
- models_2018: the published models of ethanol and aspirin on MD17's trajectories.
- growth_points, growth_atoms: training (both solvers) and evaluation of ethanol with 100 to 990 points, and of
  molecules of 9 to 24 atoms with 200 points and no permutations, labelled by MMFF94 (only the cost matters); power laws
  are fitted to times and memory.

Each training runs in a fresh process with two threads (or `--threads`). `--keep` as in `benchmarks.sgdml_training`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rdkit.Chem import AllChem

from benchmarks.parts import Part, errors, measured, part_options
from benchmarks.worker import Worker, data_folder, distinct_frames, settings, use_settings
from openmm_hybrid import Frames, Molecule, sgdml
from openmm_hybrid.core.result_document import document, to_json

SIGMA, LAM = 20.0, 1e-10
N_TRAIN = 560
SPLITS = 3
MOLECULES_2018 = ("ethanol", "aspirin")
N_MD17 = 2000
POINTS = (100, 200, 400, 700, 990)
ATOM_POINTS = 200
MOLECULES = {
    "ethanol": "CCO",
    "propanol": "CCCO",
    "butanol": "CCCCO",
    "naphthalene": "c1ccc2ccccc2c1",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
}
SOLVERS = ("direct", "iterative")
SHAKE = 0.05
"""Standard deviation of the distortions, Å."""
MEASURES = {
    "direct_processor_seconds": "training, direct",
    "iterative_processor_seconds": "training, iterative",
    "direct_extra_GB": "memory, direct",
    "iterative_extra_GB": "memory, iterative",
    "single_ms": "one frame",
    "batch_ms": "per frame of a batch",
}


def unseen(file: str, folder: Path, peer: Path | None) -> Part:
    """Errors on the other distinct frames after training on `N_TRAIN`, for one split per seed."""
    frames, path = distinct_frames(file, folder)
    perms = sgdml.data_permutations(frames.atomic_numbers, frames.positions).tolist()
    splits = []
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(frames)).tolist()
        chosen, rest = order[:N_TRAIN], order[N_TRAIN:]
        request = {"data": str(path), "indices": chosen, "sigma": SIGMA, "lam": LAM, "perms": perms}
        asked = {"data": str(path), "indices": rest}
        ours, theirs = folder / "ours-f.npz", folder / "peer-f.npz"
        with Worker.ours(folder) as worker:
            trained = worker.ask("train", **request, out=str(folder / "ours.npz"))
            worker.ask("predict", model=str(folder / "ours.npz"), **asked, out=str(ours))
        both = peer is not None and seed == 0
        if peer is not None and both:
            with Worker.peer(peer, folder) as other:
                other.ask("train", **request, out=str(folder / "peer.npz"))
                other.ask("predict", model=str(folder / "peer.npz"), **asked, out=str(theirs))
        splits.append(
            {"seed": seed, "seconds": trained["seconds"], **errors(frames, rest, ours, theirs if both else None)}
        )
    return {"splits": splits}


def models_2018() -> Part:
    """Errors of the published models on evenly spaced frames of MD17."""
    found: Part = {}
    for name in MOLECULES_2018:
        model = sgdml.load(data_folder() / f"sgdml_model_2018_{name}.npz")
        frames = Frames.load(data_folder() / f"md17_{name}.npz")
        frames = frames[np.linspace(0, len(frames) - 1, N_MD17).astype(int)]
        expected_energies, expected_forces = frames.labels()
        energies, forces = model.predict(frames.positions)
        found[name] = {
            "force_mae": float(np.abs(forces - expected_forces).mean()),
            "energy_mae": float(np.abs(energies - expected_energies).mean()),
        }
    return found


def growth_points(folder: Path) -> Part:
    """Cost against the number of points of ethanol."""
    frames, path = distinct_frames("ethanol_ccsd_t-train.npz", folder)
    perms = sgdml.data_permutations(frames.atomic_numbers, frames.positions).tolist()
    order = np.random.default_rng(0).permutation(len(frames)).tolist()
    rows = [{"points": points, **cost(folder, path, order[:points], perms)} for points in POINTS]
    return {"rows": rows, "exponents": exponents(rows, "points")}


def growth_atoms(folder: Path) -> Part:
    """Cost against the number of atoms, without permutations."""
    rows = []
    for name, smiles in MOLECULES.items():
        path = folder / f"{name}.npz"
        molecule = Molecule.from_smiles(smiles, name=name)
        labelled(molecule, path)
        identity = [list(range(molecule.n_atoms))]
        measured_cost = cost(folder, path, list(range(ATOM_POINTS)), identity)
        rows.append({"molecule": name, "atoms": molecule.n_atoms, **measured_cost})
    return {"rows": rows, "exponents": exponents(rows, "atoms")}


def labelled(molecule: Molecule, path: Path) -> None:
    """Distorted geometries with energies and forces of MMFF94, as an npz data set."""
    shakes = np.random.default_rng(0).normal(scale=SHAKE, size=(ATOM_POINTS, molecule.n_atoms, 3))
    positions = molecule.positions + shakes
    mol = molecule.to_rdkit()
    field = AllChem.MMFFGetMoleculeForceField(mol, AllChem.MMFFGetMoleculeProperties(mol))
    energies = np.array([field.CalcEnergy(frame.ravel().tolist()) for frame in positions])
    forces = -np.array([field.CalcGrad(frame.ravel().tolist()) for frame in positions])
    numbers = molecule.atomic_numbers.astype(np.uint8)
    np.savez(path, R=positions, E=energies, F=forces.reshape(positions.shape), z=numbers)


def cost(folder: Path, data: Path, indices: list[int], perms: list[list[int]]) -> Part:
    """Seconds and peak memory of a training by each solver, milliseconds of an evaluation."""
    found: Part = {}
    model = str(folder / "growth.npz")
    request = {"data": str(data), "indices": indices, "sigma": SIGMA, "lam": LAM, "perms": perms, "out": model}
    for solver in SOLVERS:
        with Worker.ours(folder) as worker:
            trained = worker.ask("train", **request, solver=solver)
            for name in ("seconds", "processor_seconds", "peak_GB", "extra_GB"):
                found[f"{solver}_{name}"] = trained[name]
            if solver == SOLVERS[0]:
                found |= worker.ask("evaluate", model=model, data=str(data), indices=indices[:100])
    return found


def exponents(rows: list[Part], size: str) -> dict[str, float]:
    """p of cost = a size^p by least squares of the logarithms, without the smallest third of the sizes.

    Of memory, what the training adds to that of the libraries and the data. Of time, the processor time of all threads,
    which other programs on the machine change least.
    """
    found = {}
    larger = rows[len(rows) // 3 :]
    sizes = np.array([row[size] for row in larger], dtype=float)
    for name in MEASURES:
        costs = np.array([row[name] for row in larger])
        if (costs > 0.0).all():
            found[name] = float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])
    return found


def figures(parts: dict[str, Part]) -> dict[str, tuple[float, str]]:
    """The named numbers of the parts that are there; of several splits the median."""
    found: dict[str, tuple[float, str]] = {}
    for name in ("ethanol_560", "malonaldehyde_560"):
        if name in parts:
            splits = parts[name]["splits"]
            found[f"force_mae.{name}"] = (float(np.median([s["force_mae"] for s in splits])), "kcal/mol/Å")
            found[f"energy_mae.{name}"] = (float(np.median([s["energy_mae"] for s in splits])), "kcal/mol")
            if "peer_force_mae" in splits[0]:
                found[f"force_mae_first_split.{name}"] = (splits[0]["force_mae"], "kcal/mol/Å")
                found[f"peer_force_mae_first_split.{name}"] = (splits[0]["peer_force_mae"], "kcal/mol/Å")
    for name in MOLECULES_2018 if "models_2018" in parts else ():
        found[f"force_mae.2018_{name}"] = (parts["models_2018"][name]["force_mae"], "kcal/mol/Å")
        found[f"energy_mae.2018_{name}"] = (parts["models_2018"][name]["energy_mae"], "kcal/mol")
    for name in ("growth_points", "growth_atoms"):
        for measure, exponent in parts.get(name, {}).get("exponents", {}).items():
            found[f"{name}.{measure}"] = (exponent, "1")
    return found


def main() -> None:
    """Measure and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, default=None, help="Python of an environment with sgdml 1.0.3")
    part_options(parser)
    options = parser.parse_args()
    use_settings("benchmarks.sgdml_accuracy", options.threads)
    with tempfile.TemporaryDirectory(prefix="sgdml-accuracy-") as name:
        folder = Path(name)
        tasks: dict[str, Callable[[], Part]] = {
            "ethanol_560": lambda: unseen("ethanol_ccsd_t-train.npz", folder, options.peer),
            "malonaldehyde_560": lambda: unseen("malonaldehyde_ccsd_t-train.npz", folder, options.peer),
            "models_2018": models_2018,
            "growth_points": lambda: growth_points(folder),
            "growth_atoms": lambda: growth_atoms(folder),
        }
        parts = measured(options.only, tasks, options.keep)
    details = {"sigma": SIGMA, "lam": LAM, "threads": options.threads, "environment": settings(options.threads)}
    print(to_json(document("sgdml_accuracy", figures(parts), **details, parts=parts, measures=MEASURES)))


if __name__ == "__main__":
    main()
