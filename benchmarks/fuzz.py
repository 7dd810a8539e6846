"""Random molecules, forms, values and surroundings: the same energies and forces everywhere, or a clear refusal.

python -m benchmarks.fuzz [--seed N] [--cases 2000] [--keep FILE] [--case K]

A case (tests/fuzz) draws a molecule, a classical force field with values near GAFF's, forms of every kind, values for
their parameters, and surroundings: copies, waters, a box, a nonbonded method, constraints and masses. The package reads
the force field, edits it, writes it and reads it again, and puts it into a System by `replace`, `attach`, `register` or
`replicate`. The energies and forces of the torch module and of OpenMM (Reference; CPU from XML; molecules wrapped atom
by atom) must be those of an independent sum: OpenMM's NonbondedForce from the tables of the force field, and the torch
module for each copy. An error of ours in one line counts as refused. Everything else, warnings too, counts as failed.

--case K repeats one case and prints its outcome. With --keep, the command resumes after a stop. The figures are
fuzz.cases, fuzz.failures and fuzz.refused, and for each kind of comparison the largest deviation over its tolerance.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.core.result_document import commit, document, to_json, write_json
from tests.fuzz.draw import draw
from tests.fuzz.run import run

EVERY = 20
"""Cases between writes of the kept file."""

Outcomes = dict[str, dict[str, Any]]
"""Outcome of each case by its number."""


def main() -> None:
    """Try the cases and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=2000, help="number of cases")
    parser.add_argument("--case", type=int, help="number of one case to repeat")
    parser.add_argument("--keep", type=Path, help="file of the outcomes so far")
    options = parser.parse_args()
    torch.set_num_threads(1)  # the molecules are too small for more
    if options.case is not None:
        case = draw(options.seed, options.case)
        outcome = run(case)
        print(f"{case}\n{outcome.kind}: {outcome.message}\n{json.dumps(outcome.largest, indent=2)}")
        raise SystemExit(outcome.kind == "failed")
    outcomes = tried(options.seed, options.cases, options.keep)
    print(to_json(summary(options.seed, outcomes)))
    raise SystemExit(any(outcome["kind"] == "failed" for outcome in outcomes.values()))


def tried(seed: int, number: int, keep: Path | None) -> Outcomes:
    """Outcomes of the first cases of a seed; `keep` provides those that this commit has tried."""
    header = {"commit": commit(), "seed": seed}
    kept: dict[str, Any] = json.loads(keep.read_text(encoding="utf-8")) if keep and keep.is_file() else {}
    outcomes: Outcomes = kept.get("outcomes", {}) if {name: kept.get(name) for name in header} == header else {}
    with progress_bar(number, "fuzzing", "cases", done=len(outcomes)) as advance:
        for index in range(number):
            if str(index) in outcomes:
                continue
            outcomes[str(index)] = found = asdict(run(draw(seed, index)))
            if found["kind"] == "failed":
                print(f"case {index}: {found['message']}", file=sys.stderr)
            advance(1)
            if keep and (index % EVERY == EVERY - 1 or index == number - 1):
                write_json(keep, {**header, "outcomes": outcomes})
    return {index: outcome for index, outcome in outcomes.items() if int(index) < number}


def summary(seed: int, outcomes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The document: counts, largest deviations, the failures, and the refusals by their first words."""
    kinds = Counter(outcome["kind"] for outcome in outcomes.values())
    passed = [outcome for outcome in outcomes.values() if outcome["kind"] == "passed"]
    largest: dict[str, float] = {}
    for outcome in passed:
        for name, value in outcome["largest"].items():
            largest[name] = max(largest.get(name, 0.0), value)
    figures: dict[str, tuple[float, str]] = {
        "fuzz.cases": (len(outcomes), "1"),
        "fuzz.failures": (kinds["failed"], "1"),
        "fuzz.refused": (kinds["refused"], "1"),
        "fuzz.refused_share": (100.0 * kinds["refused"] / max(1, len(outcomes)), "%"),
    }
    figures |= {f"fuzz.largest.{name}": (value, "1") for name, value in sorted(largest.items())}
    refusals = Counter(
        " ".join(outcome["message"].split()[:6]) for outcome in outcomes.values() if outcome["kind"] == "refused"
    )
    failures = {index: outcome["message"] for index, outcome in outcomes.items() if outcome["kind"] == "failed"}
    return document("fuzz", figures, seed=seed, failures=failures, refusals=dict(refusals.most_common()))


if __name__ == "__main__":
    main()
