"""Everything worth knowing on a GPU, in under five minutes: parity, speed, replicas and drift on one OpenMM platform.

python -m benchmarks.cuda [--platform CUDA] [--output FILE.json] [--time-limit 290] [--threads 2] [--quick]
    [--only parity,speed.gaff]

It downloads nothing and needs neither AmberTools nor reference data: aspirin is examples/drop_in/aspirin.pdb, "gaff"
the shipped force field aspirin-gaff (GAFF's terms), "cross" the shipped aspirin-cross. The corrected aspirin is
aspirin-gaff with an sGDML model of all atoms, 1000 points and 6 permutations, once through each backend that works
here and evaluates with torch. The model's coefficients are random: values do not change speed, parity and drift.

parity.<precision>.<backend>.<model>.<vacuum|wrapped>.<energy|force>: largest error of a model alone against the model
itself in torch's float64. speed.<water|vacuum>.<side>: Langevin dynamics at 300 K with 0.5 fs, in mixed precision;
water is a box of 6000 particles with PME; the model is computed in float64, with .float32 in single precision.
replicas.<side>.<copies>: summed over the copies of one context. drift.<place>.<side>: slope of the total energy at
constant energy with 0.5 fs, for each degree of freedom, with its standard error and the length of the run.
runs.<backend>: 1 if a learned model runs on this platform through the backend, 0 if it does not. speed.vacuum.<backend>
with .cuda_graphs and .no_cuda_graphs: with TorchForce's property useCUDAGraphs; by default TorchForce does not use
them.

Each part runs in a process of its own with a time limit, so that neither a crash nor a hang costs the others. A part
that failed has the entry "problem" under "parts"; one for which there was no time is listed under "skipped". With
--output the document so far is written to that file after each part. The exit status is 1 if the platform does not
work. Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.worker import ROOT, THREADS, settings, use_settings
from openmm_hybrid.core.result_document import document, to_json, versions, write_json
from openmm_hybrid.core.trial import run_python

TIME_LIMIT = 290.0
SHORTEST = 10.0  # s: a part is not started with less time than this
CLOSING = 2.0  # s for the document at the end
LIMITS = {
    "device": 40.0,
    "doctor": 60.0,
    "prepare": 60.0,
    "parity": 60.0,
    "graphs": 45.0,
    "speed": 60.0,
    "replicas": 60.0,
    "drift": 60.0,
}
"""Longest time of each part, s, by the first word of its name."""
PACKAGES = ("acellera-openmmtorch-cpu", "acellera-openmmtorch-cu13", "OpenMM-CUDA-12", "OpenMM-CUDA-13", "triton")
QUICK = {
    "seconds": 0.1,
    "drift_seconds": 0.2,
    "steps": 2,
    "waters": 300,
    "points": 20,
    "copies": (1, 3),
    "precisions": ("mixed", "double"),
}
"""Settings of the quick form, see `benchmarks.cuda_stage.Settings`."""
_CHILD = "import sys; sys.path.insert(0, sys.argv[1]); from benchmarks.cuda_parts import run; run(*sys.argv[2:])"


@dataclass
class Findings:
    """What the parts have found so far.

    Parameters
    ----------
    figures : dict of name to (value, unit)
    parts : dict of part to its notes
        With "seconds", and "problem" where the part did not run to its end.
    skipped : dict of part or backend to the reason
    """

    figures: dict[str, tuple[float, str]] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def take(self, part: str, lines: list[dict[str, Any]], problem: str, seconds: float) -> None:
        """Add what a part has written. Numbers that are not finite count as a problem: JSON has none."""
        notes: dict[str, Any] = {"seconds": round(seconds, 1)}
        problems = [problem] if problem else []
        for line in lines:
            for name, (value, unit) in line.pop("figures", {}).items():
                if math.isfinite(value):
                    self.figures[name] = (value, unit)
                else:
                    problems.append(f"{name} is {value}")
            notes |= line
        self.parts[part] = notes | ({"problem": "; ".join(problems)} if problems else {})
        kind, _, backend = part.partition(".")
        if kind == "parity" and backend in self.learned():
            ran = any(name.startswith("parity.") and f".{backend}.sgdml." in name for name in self.figures)
            self.figures[f"runs.{backend}"] = (int(ran), "1")

    @property
    def started(self) -> bool:
        """Whether the platform works, so that something can be measured."""
        return "backends" in self.parts.get("device", {})

    def backends(self) -> dict[str, dict[str, str]]:
        """State of every backend as `doctor` reports it; empty if it did not report."""
        return self.parts.get("doctor", {}).get("report", {}).get("checks", {}).get("backends", {})

    def learned(self) -> list[str]:
        """The backends that evaluate with torch, whether they work or not."""
        return self.parts.get("device", {}).get("learned", [])


def plan_parts(found: Findings) -> list[str]:
    """The parts after `doctor`, most important first, for the backends that work; the others are noted as skipped."""
    working = []
    for name in found.parts["device"]["backends"]:
        state = found.backends().get(name)
        if state is None or state["status"] == "works":
            working.append(name)
        else:
            found.skipped[name] = f"{state['status']}: {state['detail']}"
    learned = [name for name in working if name in found.learned()]
    return [
        *(f"parity.{name}" for name in sorted(working, key=lambda name: name not in learned)),
        *(f"graphs.{name}" for name in learned if name == "torchforce"),
        *(f"speed.{side}" for side in ("gaff", *learned, "cross")),
        *(f"replicas.{side}" for side in (*learned, "gaff")),
        *(f"drift.{side}" for side in ("gaff", *learned)),
    ]


@dataclass(frozen=True)
class Session:
    """One run of the benchmark: where and how long to measure.

    Parameters
    ----------
    settings : dict
        Fields of `benchmarks.cuda_stage.Settings`.
    folder : Path
        For the files of the parts.
    end : float, s
        When to stop, on the monotonic clock.
    only : tuple of str
        Beginnings of the names of the parts to run; empty for all.
    """

    settings: dict[str, Any]
    folder: Path
    end: float
    only: tuple[str, ...]

    def run(self, part: str, found: Findings) -> None:
        """Run a part in a process of its own, or note why it is skipped."""
        left = self.end - CLOSING - time.monotonic()
        if left < SHORTEST:
            found.skipped[part] = f"no time: {max(0.0, left):.0f} s were left"
            return
        print(f"{part} …", end=" ", file=sys.stderr, flush=True)
        lines, began = self.folder / f"{part}.jsonl", time.monotonic()
        arguments = (str(ROOT), part, str(self.folder), str(lines), json.dumps(self.settings))
        ended = run_python(_CHILD, *arguments, time_limit=min(left, LIMITS[part.partition(".")[0]]))
        seconds = time.monotonic() - began
        found.take(part, _read(lines), ended.problem, seconds)
        print(f"{seconds:.0f} s {found.parts[part].get('problem', '')}", file=sys.stderr)

    def wanted(self, parts: list[str]) -> list[str]:
        """Those of the parts that are asked for."""
        return [part for part in parts if not self.only or part.startswith(self.only)]

    def all(self) -> Iterator[Findings]:
        """Run all parts; yields what is found so far, after each of them."""
        found = Findings()
        self.run("device", found)
        yield found
        if not found.started:
            return
        for part in self.wanted(["doctor"]):
            self.run(part, found)
            yield found
        parts = self.wanted(plan_parts(found))
        for part in ["prepare", *parts] if parts else []:
            self.run(part, found)
            yield found


def _read(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a part that may have been killed while it wrote."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def described(found: Findings, session: Session, quick: bool) -> dict[str, Any]:
    """The document."""
    report = found.parts.get("doctor", {})
    return document(
        "cuda",
        found.figures,
        platform=session.settings["platform"],
        quick=quick,
        settings=session.settings,
        environment=settings(session.settings["threads"]),
        other_packages=versions(PACKAGES),
        doctor=report.get("report"),
        parts={
            name: {key: value for key, value in notes.items() if key != "report"} for name, notes in found.parts.items()
        },
        skipped=found.skipped,
    )


def main() -> None:
    """Measure and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platform", default="CUDA", help="OpenMM's platform")
    parser.add_argument("--output", type=Path, help="file for the document so far, written after each part")
    parser.add_argument("--time-limit", type=float, default=TIME_LIMIT, help="s, for everything")
    parser.add_argument("--threads", type=int, default=THREADS, help="of torch and of OpenMM's CPU platform")
    parser.add_argument(
        "--only", default="", help="beginnings of names of parts, separated by commas: parity,speed.gaff"
    )
    parser.add_argument("--quick", action="store_true", help="short runs: only to see that everything works")
    options = parser.parse_args()
    use_settings("benchmarks.cuda", options.threads)
    chosen = {"platform": options.platform, "threads": options.threads, **(QUICK if options.quick else {})}
    only = tuple(name for name in options.only.split(",") if name)
    with tempfile.TemporaryDirectory(prefix="cuda-benchmark-") as folder:
        session = Session(chosen, Path(folder), time.monotonic() + options.time_limit, only)
        for found in session.all():
            if options.output:
                write_json(options.output, described(found, session, options.quick))
    print(to_json(described(found, session, options.quick)))
    if not found.started:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
