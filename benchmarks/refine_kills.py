"""Refinements that are killed at random moments, compared with undisturbed ones.

python -m benchmarks.refine_kills [--molecule CO --engine pyscf:hf/sto-3g --output runs/refine_kills --kills 20]

The command `openmm-hybrid refine` runs once undisturbed. Then the same command runs in another folder; a SIGKILL ends
the process after a random time, at most half of that of the undisturbed run, and the command starts again until the
refinement is finished. Further pairs follow, with other seeds, until there are enough kills. Each process appends a
line to a file for every label that its engine has finished. We compare these lines with the stored labels, and labels
and force fields with those of the undisturbed run.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import openmm_hybrid as oh
from benchmarks.kills import kill_when
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.core.result_document import document, to_json

ROOT = Path(__file__).parents[1]
_CHILD = "import sys; from benchmarks.refine_kills import child; child(sys.argv[1], sys.argv[2], sys.argv[3:])"
_MOST_STARTS = 60  # of one refinement, after which it does not end


@dataclass(frozen=True)
class Settings:
    """Molecule, engine and numbers of labels of the refinements; `kills` is their total number of kills."""

    molecule: str = "CO"
    engine: str = "pyscf:hf/sto-3g"
    first: int = 80
    fresh: int = 20
    more: int = 30
    rounds: int = 2
    conformers: int = 1
    kills: int = 20
    seed: int = 0

    def arguments(self, folder: Path, seed: int) -> list[str]:
        """The command line of one refinement, whose target is out of reach so that it takes all rounds."""
        options = {name: getattr(self, name) for name in ("engine", "first", "fresh", "more", "rounds", "conformers")}
        options |= {"target": 1e-6, "seed": seed, "output": folder}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return ["--quiet", "refine", self.molecule, *words]


def child(log: str, engine: str, arguments: list[str]) -> None:
    """Run the command line and append a line to `log` after each finished calculation of the engine."""
    from openmm_hybrid.cli import main as command_line

    kind = type(oh.reference.engine(engine))
    compute = kind.compute

    def counted(self: Any, atomic_numbers: Any, positions: Any) -> Any:
        result = compute(self, atomic_numbers, positions)
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(fingerprint(np.asarray(positions)) + "\n")
        return result

    kind.compute = counted  # type: ignore[method-assign]
    sys.argv = ["openmm-hybrid", *arguments]
    command_line()


def start(folder: Path, settings: Settings, seed: int, limit: float | None) -> dict[str, Any]:
    """One process, killed after `limit` seconds; how it ended, after how long, and which stage it was in."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", _CHILD, str(folder / "computed.txt"), settings.engine]
    began = time.monotonic()
    with (folder / "stderr.txt").open("ab") as errors:
        process = subprocess.Popen(
            [*command, *settings.arguments((folder / "refinement").resolve(), seed)],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
        killed = False
        if limit is not None:
            killed = kill_when(process, lambda: True, delay=limit)
        status = process.wait()
    ended = "killed" if killed else "finished" if status == 0 else "error"
    return {"ended": ended, "seconds": time.monotonic() - began, "stage": stage(folder / "refinement")}


def stage(folder: Path) -> str:
    """The last part of the refinement that has begun, from its files."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    if not paths:
        return "start"
    newest = max(paths, key=lambda path: path.stat().st_mtime_ns)
    return str(newest.relative_to(folder))


def pair(folder: Path, settings: Settings, seed: int, kills: int, chance: np.random.Generator) -> dict[str, Any]:
    """An undisturbed refinement, and one with at most `kills` kills; their processes and how the results differ."""
    reference = start(folder / "undisturbed", settings, seed, None)
    _check_finished(reference, folder / "undisturbed")
    processes: list[dict[str, Any]] = []
    while len(processes) < _MOST_STARTS:
        n_killed = sum(process["ended"] == "killed" for process in processes)
        limit = chance.uniform(0.0, 0.5 * reference["seconds"]) if n_killed < kills else None
        processes.append(start(folder / "killed", settings, seed, limit))
        if processes[-1]["ended"] != "killed":
            break
    _check_finished(processes[-1], folder / "killed")
    return {
        "seed": seed,
        "undisturbed_seconds": reference["seconds"],
        "processes": processes,
        **compare(folder / "undisturbed", folder / "killed"),
    }


def _check_finished(process: dict[str, Any], folder: Path) -> None:
    if process["ended"] != "finished":
        raise SystemExit(f"{folder} is not finished: {(folder / 'stderr.txt').read_text()[-2000:]}")


def compare(undisturbed: Path, killed: Path) -> dict[str, Any]:
    """Numbers of labels, and the largest differences of labels (kcal/mol/Å) and of forces of the two models there."""
    computed = (killed / "computed.txt").read_text().split()
    wanted, found = (oh.Refined.load(folder / "refinement") for folder in (undisturbed, killed))
    labels, others = wanted.labels, found.labels
    same = labels.positions.shape == others.positions.shape
    journals = [path.read_bytes().count(b"\n") - 1 for path in (killed / "refinement").rglob("*.journal")]
    differences = {
        "positions": float(np.abs(labels.positions - others.positions).max()) if same else None,
        "label_forces": float(np.abs(labels.labels()[1] - others.labels()[1]).max()) if same else None,
    }
    forces = [result.forcefield.predict(labels.positions)[1] for result in (wanted, found)]
    return {
        "labels": len(others),
        "labels_undisturbed": len(labels),
        "journal_lines": sum(journals),
        "computed": len(computed),
        "computed_twice": len(computed) - len(set(computed)),
        "largest_difference": differences | {"model_forces": float(np.abs(forces[0] - forces[1]).max())},
        "own_force": [wanted.rounds[-1].own_force, found.rounds[-1].own_force],
        "temporary_files": sum(path.is_file() for path in (killed / "refinement").rglob(".*-*")),
    }


def figures(pairs: list[dict[str, Any]]) -> dict[str, tuple[float, str]]:
    """Sums and largest differences of all pairs."""
    processes = [process["ended"] for entry in pairs for process in entry["processes"]]
    worst = {
        name: max(float("inf") if entry["largest_difference"][name] is None else entry["largest_difference"][name]
                  for entry in pairs)
        for name in ("positions", "label_forces", "model_forces")
    }  # fmt: skip
    return {
        "kills": (processes.count("killed"), "1"),
        "refinements": (len(pairs), "1"),
        "finished": (processes.count("finished"), "1"),
        "labels": (sum(entry["labels"] for entry in pairs), "1"),
        "labels_missing": (sum(entry["labels_undisturbed"] - entry["labels"] for entry in pairs), "1"),
        "computed_twice": (sum(entry["computed_twice"] for entry in pairs), "1"),
        "largest_position_difference": (worst["positions"], "Å"),
        "largest_label_difference": (worst["label_forces"], "kcal/mol/Å"),
        "largest_model_difference": (worst["model_forces"], "kcal/mol/Å"),
    }


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/refine_kills"), help="folder, which is emptied")
    for name, value in vars(Settings()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options = vars(parser.parse_args())
    folder: Path = options.pop("output")
    settings = Settings(**options)
    shutil.rmtree(folder, ignore_errors=True)
    chance, pairs, left = np.random.default_rng(settings.seed), [], settings.kills
    while left > 0:
        seed = settings.seed + len(pairs)
        pairs.append(pair(folder / f"pair_{len(pairs)}", settings, seed, left, chance))
        left -= sum(process["ended"] == "killed" for process in pairs[-1]["processes"])
        print(f"pair {len(pairs)}: {left} kills left", file=sys.stderr)
    print(to_json(document("refine_kills", figures(pairs), settings=vars(settings), pairs=pairs)))


if __name__ == "__main__":
    main()
