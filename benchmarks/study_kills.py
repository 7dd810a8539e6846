"""Studies that are killed at random moments, compared with undisturbed ones.

python -m benchmarks.study_kills [--kills 20] [--only minima,surfaces] [--keep runs/study_kills_parts.json]

Each study runs once undisturbed, small. Then the same command runs in another folder; a SIGKILL ends the process at a
random moment after it has loaded the packages, and the command starts again until the study is finished. Further
folders follow until there are enough kills of this study. We compare all figures of the JSON document and all cells of
the CSV file with those of the undisturbed run. different: values that differ by more than 1e-9 of their size;
largest_difference: the largest relative difference, as sums in another order differ in their last bits.
OPENMM_HYBRID_DATA is the folder of the reference data.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from benchmarks.kills import kill_when
from benchmarks.parts import Part, measured, part_options
from benchmarks.worker import ROOT, data_folder
from openmm_hybrid.core.result_document import document, to_json

_FRAMES = "ethanol_ccsd_t-train.npz"
_TABLE = ["--n-train", "40", "--n-test", "40"]
_TWO = ["--models", "gaff-2.2.20", "--models", "mmff94", "--reference", "mmff94", "--n-conformers", "10"]
_STUDIES: dict[str, list[str]] = {
    "minima": ["CCCCO", *_TWO],
    "surfaces": ["CCO", *_TWO, "--n-angles", "12"],
    "ensembles": ["CCO", *_TWO, "--starts", "4", "--duration", "2", "--equilibration", "0.2"],
    "spectra": [
        *("CO", "--models", "gaff-2.2.20", "--temperatures", "100", "--temperatures", "200", "--n-runs", "2"),
        *("--picoseconds", "1", "--equilibration", "0.2", "--n-conformers", "1"),
    ],
    "relabel": [
        *("C(C)O", "--sampler", "ethanol-gaff", "--teacher", "mmff94", "--n-train", "20", "--n-train", "40"),
        *("--n-test", "10", "--repeats", "2", "--n-runs", "8", "--picoseconds", "0.4", "--equilibration", "0.1"),
    ],
    "transfer": [_FRAMES, "--test", "md17_ethanol.npz:0-200", "--n-train", "200"],
    "table2": [_FRAMES, *_TABLE, "--forms", "gaff", "--forms", "cross", "--forms", "sgdml", "--seeds", "2"],
    "learning-curve": [_FRAMES, *_TABLE, "--n-train", "60", "--n-train", "80"],
    "sampling": [
        *(
            _FRAMES,
            "--molecule",
            "ethanol",
            "--potentials",
            "gaff-am1bcc",
            "--potentials",
            "cross",
            "--n-train",
            "60",
            "--n-fit",
            "60",
        ),
        *("--starts", "4", "--duration", "2", "--training-duration", "1", "--equilibration", "0.2"),
        *("--searches", "2"),
    ],
    "all": ["CCO", "--frames", _FRAMES, "--n-train", "60", "--leave-out", "spectra", "--leave-out", "relabel"],
}
"""Study → its molecule or frames, and options that make it small."""

_OPTIONS = """
[minima]
n_conformers = 4
[surfaces]
n_angles = 6
n_conformers = 4
[ensembles]
starts = 4
duration = 1.0
equilibration = 0.2
"""
_SAME, _ZERO = 1e-9, 1e-12  # relative and absolute difference of two numbers that are the same
_TIMES = ("seconds", "ns/day")  # columns, and units of figures, that are measured anew
_MOST_KILLS = 10  # of one folder; then the study may finish
_MOST_STARTS = 60  # of one folder, after which the study does not end


@final
@dataclass(frozen=True)
class Process:
    """One process of a study: how it ended ("killed", "finished" or "error"), after how long, and its newest file."""

    ended: str
    seconds: float
    stage: str


@final
@dataclass
class Attempts:
    """A study in one folder, started again until it is finished."""

    study: str
    folder: Path
    processes: list[Process] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """Processes that were killed."""
        return sum(process.ended == "killed" for process in self.processes)

    def start(self, limit: float | None) -> Process:
        """Start the command, and kill it after `limit` seconds unless this is None.

        Raises
        ------
        SystemExit
            The study ended with an error; the message is the end of what it printed.
        """
        began = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder.with_suffix(".log")
        with log.open("ab") as printed:
            process = subprocess.Popen(
                [sys.executable, "-m", "openmm_hybrid.cli", "study", *self._words()],
                cwd=ROOT, stdout=printed, stderr=printed,
            )  # fmt: skip
            killed = limit is not None and kill_when(process, lambda: True, delay=limit)
            status = process.wait()
        if status and not killed:
            raise SystemExit(f"{self.study} failed: {log.read_text(errors='replace')[-2000:]}")
        made = Process("killed" if killed else "finished", time.monotonic() - began, self._newest())
        self.processes.append(made)
        return made

    def _words(self) -> list[str]:
        data = data_folder()
        words = [str(data / word) if ".npz" in word else word for word in _STUDIES[self.study]]
        if self.study == "all":
            options = self.folder.parent / "options.toml"
            options.write_text(_OPTIONS)
            words += ["--options", str(options)]
        return [self.study, *words, "--output", str(self.folder)]

    def first_file(self) -> float:
        """When the study wrote its first file, s since 1970."""
        return min(path.stat().st_mtime for path in self._files())

    def _newest(self) -> str:
        newest = max(self._files(), key=lambda path: path.stat().st_mtime_ns, default=None)
        return "start" if newest is None else str(newest.relative_to(self.folder))

    def _files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith(".")]

    def result(self) -> dict[str, Any]:
        """Everything that must be equal: figures by name, and the cells of the table by their place."""
        found: dict[str, Any] = {}
        for path in self.folder.glob("*.json"):
            if "figures" in (content := json.loads(path.read_text())):
                figures = content["figures"].items()
                found |= {name: figure["value"] for name, figure in figures if figure["unit"] not in _TIMES}
        for path in self.folder.glob("*.csv"):
            with path.open(newline="", encoding="utf-8") as file:
                for number, row in enumerate(csv.DictReader(file)):
                    cells = {column: text for column, text in row.items() if column not in _TIMES}
                    found |= {f"{path.name}:{number}:{column}": _number(text) for column, text in cells.items()}
        return found


def _number(text: str) -> float | str:
    try:
        value = float(text)
    except ValueError:
        return text
    return value if np.isfinite(value) else text


def difference(one: Any, other: Any) -> float:
    """Relative difference of two numbers; of anything else, 0 if they are equal, and infinity if not."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return 0.0 if abs(one - other) < _ZERO else abs(one - other) / max(abs(one), abs(other))
    return 0.0 if one == other else float("inf")


def study_part(study: str, kills: int, seed: int) -> Part:
    """An undisturbed run of a study, and runs with at least `kills` kills in total; the values that differ."""
    chance = np.random.default_rng([seed, list(_STUDIES).index(study)])
    with tempfile.TemporaryDirectory() as scratch:
        undisturbed = Attempts(study, Path(scratch) / "undisturbed")
        began = time.time()
        whole = undisturbed.start(None).seconds
        idle = undisturbed.first_file() - began  # Python starts and loads the packages
        wanted, runs, apart, different = undisturbed.result(), [], dict[str, float](), dict[str, str]()
        while (left := kills - sum(run.kills for run in runs)) > 0:
            runs.append(Attempts(study, Path(scratch) / f"killed_{len(runs)}"))
            while len(runs[-1].processes) < _MOST_STARTS:
                limit = idle + chance.uniform(0.0, 0.3) * (whole - idle)
                if runs[-1].start(limit if runs[-1].kills < min(left, _MOST_KILLS) else None).ended == "finished":
                    break
            found = runs[-1].result()
            for name in sorted(wanted | found):
                apart[name] = max(difference(wanted.get(name), found.get(name)), apart.get(name, 0.0))
            different = {name: str(value) for name, value in apart.items() if value > _SAME}
            print(f"{study}: {left - runs[-1].kills} kills left, {len(different)} differences", file=sys.stderr)
        return {
            "undisturbed_seconds": whole,
            "kills": sum(run.kills for run in runs),
            "finished": sum(run.processes[-1].ended == "finished" for run in runs),
            "runs": len(runs),
            "values": len(wanted),
            "different": different,
            "largest_difference": max((value for value in apart.values() if np.isfinite(value)), default=0.0),
            "processes": [[vars(process) for process in run.processes] for run in runs],
        }


def figures(parts: dict[str, Part]) -> dict[str, tuple[float, str]]:
    """Kills, runs that did not finish, and values that differ, for each study."""
    return {
        f"{name}.{study}": (value, "1")
        for study, part in parts.items()
        for name, value in {
            "kills": part["kills"],
            "unfinished": part["runs"] - part["finished"],
            "values": part["values"],
            "different": len(part["different"]),
            "largest_difference": part["largest_difference"],
        }.items()
    }


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    part_options(parser)
    parser.add_argument("--kills", type=int, default=20, help="kills of each study")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tasks = {study: lambda study=study: study_part(study, options.kills, options.seed) for study in _STUDIES}
    parts = measured(options.only, tasks, options.keep)
    settings = {"kills": options.kills, "seed": options.seed, "studies": _STUDIES}
    print(to_json(document("study_kills", figures(parts), settings=settings, parts=parts)))


if __name__ == "__main__":
    main()
