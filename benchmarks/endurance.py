"""A library of twelve molecules on a cluster that loses its workers, scheduler, disk and an engine.

python -m benchmarks.endurance [--kills 8] [--restarts 2] [--output runs/endurance]

`openmm-hybrid refine-batch` refines the library once undisturbed, with two workers. Then it refines it in another
folder, on a small disk of its own (a tmpfs, which only root can mount), with a scheduler and two workers that are
processes of their own. SIGKILL ends workers and the scheduler at random moments, and new ones start. The disk is full
once, until the command has failed. The engine hangs once, in one molecule, until the molecule's time limit ends it. The
command is called again (with --retry) until all molecules are refined. The engine writes down each calculation.

lost: molecules without a result at the end; repeated: calculations done more than once, which a kill or a full disk
causes between a calculation and the storage of its result; differing: molecules whose labels or force field differ from
those of the undisturbed run.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

import openmm_hybrid as oh
from benchmarks.many import Cluster, unrest
from benchmarks.watched import HANG, LOG
from benchmarks.worker import ROOT
from openmm_hybrid.core.result_document import document, to_json

LIBRARY = {
    "methane": "C",
    "methanol": "CO",
    "ethane": "CC",
    "ethene": "C=C",
    "ethyne": "C#C",
    "formaldehyde": "C=O",
    "methylamine": "CN",
    "acetonitrile": "CC#N",
    "fluoromethane": "CF",
    "methanethiol": "CS",
    "formic_acid": "OC=O",
    "formamide": "NC=O",
}
_HANGING = "CH4O"  # formula of methanol
_SMALL = [
    *("--first", "60", "--fresh", "10", "--more", "30", "--rounds", "2", "--target", "1e-6", "--conformers", "1"),
    *("--scan", "0", "--profile", "0", "--hot-ps", "0", "--no-frequencies"),
]
_LIMIT = 4.0  # min; most molecules take a fraction of one
_CALM, _UNREST = 10.0, 25.0  # s between two kills
_DISK = "200m"
_BEFORE_FULL = (30.0, 90.0)  # s until the disk is full
_FULL = 120.0  # s that it stays full at most
_CALLS = 30


@final
@dataclass(eq=False)
class Disk:
    """A small file system that can be filled."""

    folder: Path
    filled: int = 0
    failed: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Mount it, for a block.

        Raises
        ------
        SystemExit
            The user is not root.
        """
        if os.geteuid():
            raise SystemExit("only root can mount the small disk of this benchmark")
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(self.folder)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def fill(self) -> None:
        """Fill it until the command has failed."""
        ballast = self.folder / "ballast"
        self.failed.clear()
        began = time.monotonic()
        while not self.failed.wait(0.2) and time.monotonic() - began < _FULL:
            # Again and again: a killed worker's files may free some space.
            with suppress(OSError), ballast.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        ballast.unlink(missing_ok=True)
        self.filled += 1


def command(folder: Path, library: Path, *more: str) -> subprocess.CompletedProcess[bytes]:
    """Call refine-batch; what it prints goes to a file beside the folder."""
    words = ["refine-batch", str(library), "--output", str(folder), "--engine", "ase:benchmarks.watched:Watched"]
    words += [*_SMALL, "--time-limit", str(_LIMIT), *more]
    with folder.parent.parent.joinpath(f"{folder.parent.name}.log").open("ab") as log:
        return subprocess.run(
            [sys.executable, "-m", "openmm_hybrid.cli", *words], cwd=ROOT, stdout=log, stderr=log, check=False
        )


def disturbed(home: Path, library: Path, kills: int, restarts: int, seed: int) -> dict[str, Any]:
    """Refine the library among all disturbances; how often they happened, and how often the command was called."""
    chance = np.random.default_rng(seed)
    disk, cluster = Disk(home / "disturbed"), Cluster(home)
    folder, calls = disk.folder / "batch", list[int]()
    hang = Path(os.environ[HANG])
    hang.write_text(_HANGING)
    with disk.mounted():
        filling = threading.Timer(chance.uniform(*_BEFORE_FULL), disk.fill)
        try:
            cluster.start_scheduler()
            cluster.start_worker()
            cluster.start_worker()
            filling.start()
            with unrest(cluster, kills, restarts, chance, pauses=(_CALM, _UNREST)) as killed:
                while len(calls) < _CALLS:
                    ended = command(folder, library, "--scheduler-file", str(cluster.file), "--retry")
                    calls.append(ended.returncode)
                    if ended.returncode:
                        disk.failed.set()
                    if _refined(folder) == len(LIBRARY) and disk.filled:
                        break
        finally:
            filling.cancel()
            disk.failed.set()
            cluster.end()
        shutil.copytree(folder, home / "result")
    return {"kills": killed, "calls": calls, "filled": disk.filled, "hung": not hang.exists()}


def _refined(folder: Path) -> int:
    table = folder / "summary.csv"
    if not table.is_file():
        return 0
    with table.open(newline="", encoding="utf-8") as file:
        return sum(row["state"] == "refined" for row in csv.DictReader(file))


def compare(undisturbed: Path, found: Path) -> dict[str, float]:
    """Largest difference of labels and of the force field's forces, kcal/mol/Å; infinity for other geometries."""
    differences = {}
    for name in LIBRARY:
        ours, theirs = (oh.Refined.load(folder / name) for folder in (undisturbed, found))
        labels, others = ours.labels, theirs.labels
        if labels.positions.shape != others.positions.shape:
            differences[name] = float("inf")
            continue
        forces = [result.forcefield.predict(labels.positions)[1] for result in (ours, theirs)]
        apart = (labels.positions - others.positions, labels.labels()[1] - others.labels()[1], forces[0] - forces[1])
        differences[name] = float(max(np.abs(difference).max() for difference in apart))
    return differences


def endure(home: Path, kills: int, restarts: int, seed: int) -> dict[str, Any]:
    """Both runs and their comparison."""
    library = home / "library.smi"
    library.write_text("".join(f"{smiles} {name}\n" for name, smiles in LIBRARY.items()))
    os.environ |= {HANG: str(home / "hang.txt"), "OPENMM_CPU_THREADS": "1", "OMP_NUM_THREADS": "1"}
    os.environ[LOG] = str(home / "undisturbed.txt")
    began = time.monotonic()
    if command(home / "undisturbed" / "batch", library, "--workers", "2").returncode:
        raise SystemExit((home / "undisturbed.log").read_text()[-2000:])
    seconds = time.monotonic() - began
    os.environ[LOG] = str(home / "disturbed.txt")
    found = disturbed(home, library, kills, restarts, seed)
    lines = (home / "disturbed.txt").read_text().splitlines()
    differences = compare(home / "undisturbed" / "batch", home / "result")
    return found | {
        "seconds_undisturbed": seconds,
        "seconds": time.monotonic() - began - seconds,
        "molecules": len(LIBRARY),
        "lost": len(LIBRARY) - _refined(home / "result"),
        "computed": len(lines),
        "computed_undisturbed": len((home / "undisturbed.txt").read_text().splitlines()),
        "repeated": len(lines) - len(set(lines)),
        "differences": {name: value if np.isfinite(value) else None for name, value in differences.items()},
        "differing": sum(value > 0.0 for value in differences.values()),
    }


def figures(part: dict[str, Any]) -> dict[str, tuple[float, str]]:
    """Disturbances, and what they did."""
    return {
        **{f"{name}_kills": (part["kills"].count(name), "1") for name in ("worker", "scheduler")},
        "disk_full": (part["filled"], "1"),
        "hung": (int(part["hung"]), "1"),
        "calls": (len(part["calls"]), "1"),
        **{name: (part[name], "1") for name in ("molecules", "lost", "repeated", "computed", "differing")},
    }


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/endurance"), help="folder, which is emptied")
    parser.add_argument("--kills", type=int, default=8, help="kills of workers")
    parser.add_argument("--restarts", type=int, default=2, help="kills of the scheduler")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    home = options.output.resolve()
    shutil.rmtree(home, ignore_errors=True)
    (home / "undisturbed").mkdir(parents=True)
    part = endure(home, options.kills, options.restarts, options.seed)
    print(to_json(document("endurance", figures(part), library=LIBRARY, **part)))


if __name__ == "__main__":
    main()
