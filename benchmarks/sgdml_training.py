"""Training of sGDML models: this package against sgdml 1.0.3, in one run.

python -m benchmarks.sgdml_training --peer PYTHON [--only ethanol_400,…] [--keep FILE]   (PYTHON: the peer's)

Both sides train on the same frames with the same given sigma, lam and permutations. The time is from frames in memory
to the model, and includes a side's own checks, such as our check of energies against forces. Each training runs in a
fresh process with two threads (or `--threads`); the memory is the peak of the process. The forces of both models are
then compared on the other frames.

Parts: ethanol_400 (3 rounds, sides in turns), ethanol_800, aspirin_600 (with 24 GB the peer chooses its iterative
solver), aspirin_950 (ours only, within 6 GB), permutations, and trainings of corrections over cross terms with sigma 1,
which need no peer: delta_aspirin_150, delta_aspirin_600 and delta_aspirin_950 over the shipped force field,
delta_3bpa_500 over one that is fitted to the same frames, and delta_aspirin_600_direct with the direct solver, for
comparison. `--only delta` runs all of these. `--keep` is a file for finished parts, from which a stopped run resumes;
parts of another commit are measured again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.parts import Part, errors, measured, part_options
from benchmarks.worker import Worker, data_folder, distinct_frames, settings, use_settings
from openmm_hybrid import ForceField, Frames, Molecule, build, fit, sgdml
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.models.residual import residual

SIGMA, LAM = 20.0, 1e-10
SEED = 0
FILES = {"ethanol": "ethanol_ccsd_t-train.npz", "aspirin": "aspirin_ccsd-train.npz"}
LIMIT = 5.5
"""Memory in GB that our solver may use for 950 points of aspirin; the whole process may use 6."""
GROUPS = {"ethanol": 6, "malonaldehyde": 4, "aspirin": 6}
DELTAS = (
    "delta_aspirin_150",
    "delta_aspirin_600",
    "delta_aspirin_950",
    "delta_3bpa_500",
    "delta_aspirin_600_direct",
)
"""Trainings of corrections: molecule, number of frames, and solver if it is not "auto"."""
DELTA_FILES = {"aspirin": FILES["aspirin"], "3bpa": "3bpa_300K.npz"}
BPA = "Nc1ncccc1OCc1ccccc1"
DELTA_SIGMA = 1.0
N_TEST = 500
"""Largest number of test frames of a correction; the file of 3BPA has no others."""
FEW = 100
"""Number of frames that must also show the permutations."""


def compare(peer: Path | None, folder: Path, molecule: str, n_train: int, rounds: int = 1) -> Part:
    """Trainings of both sides, in turns, and the differences of their models on the other frames."""
    if peer is None:
        raise SystemExit("a comparison needs the Python of the peer: --peer")
    frames, path, indices, rest = _split(molecule, n_train, folder)
    request = _request(frames, path, indices)
    sides: dict[str, list[Part]] = {"ours": [], "peer": []}
    for _ in range(rounds):
        with Worker.ours(folder) as worker:
            sides["ours"].append(worker.ask("train", **request, out=str(folder / "ours.npz")))
            worker.ask("predict", model=str(folder / "ours.npz"), **_rest(path, rest), out=str(folder / "ours-f.npz"))
        with Worker.peer(peer, folder) as other:
            sides["peer"].append(other.ask("train", **request, out=str(folder / "peer.npz")))
            other.ask("predict", model=str(folder / "peer.npz"), **_rest(path, rest), out=str(folder / "peer-f.npz"))
    ratios = [theirs["seconds"] / ours["seconds"] for ours, theirs in zip(sides["ours"], sides["peer"], strict=True)]
    return {
        "ratio": float(np.median(ratios)),
        **sides,
        **errors(frames, rest, folder / "ours-f.npz", folder / "peer-f.npz"),
        **_same_solver(folder, request, sides, frames, rest),
    }


def _same_solver(folder: Path, request: Part, sides: dict[str, list[Part]], frames: Frames, rest: list[int]) -> Part:
    """Our model by the peer's kind of solver, if ours chose the other kind."""
    wanted = "direct" if sides["peer"][0]["solver"] == "analytic" else "iterative"
    if sides["ours"][0]["solver"] == wanted:
        return {}
    with Worker.ours(folder) as worker:
        trained = worker.ask("train", **request, solver=wanted, out=str(folder / "same.npz"))
        worker.ask(
            "predict", model=str(folder / "same.npz"), **_rest(request["data"], rest), out=str(folder / "same-f.npz")
        )
    return {"same_solver": {"ours": trained, **errors(frames, rest, folder / "same-f.npz", folder / "peer-f.npz")}}


def alone(folder: Path, molecule: str, n_train: int, max_memory: float) -> Part:
    """Our training within a memory limit, and its errors on the other frames."""
    frames, path, indices, rest = _split(molecule, n_train, folder)
    with Worker.ours(folder) as worker:
        trained = worker.ask(
            "train", **_request(frames, path, indices), max_memory=max_memory, out=str(folder / "ours.npz")
        )
        worker.ask("predict", model=str(folder / "ours.npz"), **_rest(path, rest), out=str(folder / "ours-f.npz"))
    return {"ours": [trained], **errors(frames, rest, folder / "ours-f.npz")}


def delta(folder: Path, name: str) -> Part:
    """The training of a correction in a fresh process, and its force errors on other frames.

    The labels, the difference from the force field, are computed before the time is taken.
    """
    _, molecule, n_train, *solver = name.split("_")  # delta, aspirin, 600, direct
    source = Frames.load(data_folder() / DELTA_FILES[molecule]).unique()
    order = np.random.default_rng(SEED).permutation(len(source))
    chosen, others = order[: int(n_train)], order[int(n_train) :][:N_TEST]
    forcefield = _cross(molecule, source[chosen])
    labels = residual(forcefield, source)
    path = folder / f"{name}.npz"
    np.savez(path, R=labels.positions, E=labels.energies, F=labels.forces, z=labels.atomic_numbers.astype(np.uint8))
    request = {"data": str(path), "indices": chosen.tolist(), "sigma": DELTA_SIGMA, "lam": LAM}
    with Worker.ours(folder) as worker:
        group = sgdml.training_set(labels[chosen]).perms
        trained: Part = worker.ask(
            "train",
            **request,
            perms=group.tolist(),
            solver=solver[0] if solver else "auto",
            out=str(folder / f"{name}-model.npz"),
        )
    model = sgdml.load(folder / f"{name}-model.npz")
    found: Part = {"ours": [trained], "n_test": len(others)}
    for part, indices in (("train", chosen), ("test", others)):
        if not len(indices):
            continue
        missing = np.asarray(labels.forces)[indices]
        left = missing - model.predict(labels.positions[indices])[1]
        found[f"{part}_force_rmse_before"] = float(np.sqrt(np.mean(missing**2)))
        found[f"{part}_force_rmse"] = float(np.sqrt(np.mean(left**2)))
    # The part of the labels that the model leaves at its training frames: the residual of the solver.
    return found | {"residual": found["train_force_rmse"] / found["train_force_rmse_before"]}


def _cross(molecule: str, frames: Frames) -> ForceField:
    """The shipped force field with cross terms, or GAFF with cross terms fitted to the frames."""
    if molecule == "aspirin":
        return ForceField.load("aspirin-cross")
    found = Molecule.from_geometry(frames.atomic_numbers, frames.positions[0], template=BPA)
    built = build(found, charges="am1-bcc")
    start = ForceField.from_system(built.system, built.topology, name=molecule)
    model = fit(start.edit(cross=True), frames, n_train=len(frames), n_test=0, seed=SEED, progress=False).model
    if not isinstance(model, ForceField):
        raise TypeError("the fit of one molecule gives one force field")
    return model


def permutations() -> Part:
    """Group sizes that MD17's trajectories show, with all frames and with few, and seconds."""
    found: Part = {}
    for molecule in GROUPS:
        frames = Frames.load(data_folder() / f"md17_{molecule}.npz")
        chosen = np.random.default_rng(SEED).choice(len(frames), FEW, replace=False)
        for name, positions in ((molecule, frames.positions), (f"{molecule}_{FEW}", frames.positions[chosen])):
            start = time.perf_counter()
            group = sgdml.data_permutations(frames.atomic_numbers, positions)
            found[name] = {"permutations": len(group), "seconds": time.perf_counter() - start}
    return found


def _split(molecule: str, n_train: int, folder: Path) -> tuple[Frames, Path, list[int], list[int]]:
    frames, path = distinct_frames(FILES[molecule], folder)
    order = np.random.default_rng(SEED).permutation(len(frames)).tolist()
    return frames, path, order[:n_train], order[n_train:]


def _request(frames: Frames, path: Path, indices: list[int]) -> Part:
    group = sgdml.data_permutations(frames.atomic_numbers, frames.positions)
    return {"data": str(path), "indices": indices, "sigma": SIGMA, "lam": LAM, "perms": group.tolist()}


def _rest(path: Path | str, rest: list[int]) -> Part:
    return {"data": str(path), "indices": rest}


def figures(parts: dict[str, Part]) -> dict[str, tuple[float, str]]:
    """The named numbers of the finished parts."""
    found: dict[str, tuple[float, str]] = {}
    for name in ("ethanol_400", "ethanol_800", "aspirin_600"):
        if name not in parts:
            continue
        part = parts[name]
        found[f"training_ratio.{name}"] = (part["ratio"], "1")
        for side in ("ours", "peer"):
            seconds = [training["seconds"] for training in part[side]]
            found[f"training_seconds.{name}.{side}"] = (float(np.median(seconds)), "s")
            found[f"training_memory.{name}.{side}"] = (part[side][0]["peak_GB"], "GB")
        found[f"force_mae.{name}"] = (part["force_mae"], "kcal/mol/Å")
        alike = part.get("same_solver", part)
        if part["peer"][0]["solver"] == "analytic":
            largest = max(found.get("peer_force_difference", (0.0, "1"))[0], alike["force_difference"])
            found["peer_force_difference"] = (largest, "1")
        else:
            change = abs(alike["force_mae"] - alike["peer_force_mae"]) / alike["peer_force_mae"]
            found["peer_mae_difference"] = (change, "1")
    if "aspirin_950" in parts:
        trained = parts["aspirin_950"]["ours"][0]
        found["training_memory.aspirin_950"] = (trained["peak_GB"], "GB")
        found["training_minutes.aspirin_950"] = (trained["seconds"] / 60.0, "min")
        found["force_mae.aspirin_950"] = (parts["aspirin_950"]["force_mae"], "kcal/mol/Å")
    for name in DELTAS:
        if name in parts:
            (trained,) = parts[name]["ours"]
            found[f"training_seconds.{name}"] = (trained["seconds"], "s")
            found[f"training_memory.{name}"] = (trained["peak_GB"], "GB")
            found[f"training_residual.{name}"] = (parts[name]["residual"], "1")
            if "test_force_rmse" in parts[name]:
                found[f"force_rmse.{name}"] = (parts[name]["test_force_rmse"], "kcal/mol/Å")
    for name, group in parts.get("permutations", {}).items():
        if isinstance(group, dict):  # not the load of the machine
            found[f"permutations.{name}"] = (group["permutations"], "1")
    return found


def main() -> None:
    """Measure and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="Python of an environment with sgdml 1.0.3; not for delta")
    part_options(parser)
    options = parser.parse_args()
    wanted = ",".join(DELTAS) if options.only == "delta" else options.only
    use_settings("benchmarks.sgdml_training", options.threads)
    with tempfile.TemporaryDirectory(prefix="sgdml-training-") as name:
        folder = Path(name)
        tasks: dict[str, Callable[[], Part]] = {
            "ethanol_400": lambda: compare(options.peer, folder, "ethanol", 400, rounds=3),
            "ethanol_800": lambda: compare(options.peer, folder, "ethanol", 800),
            "aspirin_600": lambda: compare(options.peer, folder, "aspirin", 600),
            "aspirin_950": lambda: alone(folder, "aspirin", 950, LIMIT),
            "permutations": permutations,
            **{name: partial(delta, folder, name) for name in DELTAS},
        }
        parts = measured(wanted, tasks, options.keep)
    details = {
        "sigma": SIGMA,
        "lam": LAM,
        "seed": SEED,
        "threads": options.threads,
        "environment": settings(options.threads),
    }
    print(to_json(document("sgdml_training", figures(parts), **details, parts=parts)))


if __name__ == "__main__":
    main()
