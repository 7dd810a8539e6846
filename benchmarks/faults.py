"""What ordinary mistakes do: right numbers, a warning, a refusal, or wrong numbers without a word.

python -m benchmarks.faults [--only BEGINNINGS] [--parts cases,damaged,trusted,cost]

cases: every case of tests/faults is tried. silent, raw and hang count those that end in wrong numbers without a word,
in an error that does not help, and not at all; tried counts all.
damaged: files made from good ones with a seed; damaged_failures counts those that are neither read with finite numbers
nor refused in one line, in bounded memory and time, without running code.
trusted: inputs without a mistake; false_alarms counts those that give a warning or an error.
cost: the share of the checks in the time of label, fit, train and attach for aspirin.
OPENMM_HYBRID_DATA names the folder of the reference data, which kind 27 needs too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import openmm_hybrid as oh
from benchmarks.parts import Part
from benchmarks.worker import data_folder
from openmm_hybrid.core.result_document import document, to_json
from openmm_hybrid.reference import engine, label
from tests.faults import damaged, trusted
from tests.faults.cases import CASES

OUTCOMES = ("right", "warned", "refused", "silent", "raw", "hang")
FILES = 208
"""Damaged files."""
CHECKS = {
    "label": ("reference.label._check_charge", "reference.label.check_order"),
    "fit": (*("fitting.fit.paired", "fitting.fit.compared_labels", "fitting.fit.enough_frames"),),
    "train": ("sgdml.training_set._check_labels",),
    "attach": ("systems.placement.in_order",),
}
"""Call → the functions that are its checks."""


def main() -> None:
    """Run the parts and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="beginnings of names of cases, separated by commas")
    parser.add_argument("--parts", default="cases,damaged,trusted,cost", help="separated by commas")
    options = parser.parse_args()
    parts = {"cases": lambda: cases(tuple(options.only.split(","))), "damaged": files, "trusted": alarms, "cost": cost}
    figures: dict[str, tuple[float, str]] = {}
    details = {}
    for name in options.parts.split(","):
        if name not in parts:
            raise SystemExit(f"there is no part {name!r}; the parts are {', '.join(parts)}")
        found, details[name] = parts[name]()
        figures |= {f"faults.{key}": value for key, value in found.items()}
    print(to_json(document("faults", figures, **details)))


Result = tuple[dict[str, tuple[float, str]], Part]


def cases(beginnings: tuple[str, ...]) -> Result:
    """Outcomes of the cases."""
    found = {}
    for name, case in CASES.items():
        if name.startswith(beginnings):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[name] = case()
            print(f"{found[name]:8} {name}", file=sys.stderr)
    counts = Counter(found.values())
    return {outcome: (counts[outcome], "1") for outcome in OUTCOMES} | {"tried": (len(found), "1")}, found


def files() -> Result:
    """Outcomes of damaged files."""
    with tempfile.TemporaryDirectory() as name:
        good, made = Path(name, "good"), Path(name, "damaged")
        good.mkdir()
        made.mkdir()
        damaged.good_files(good)
        bad = damaged.damaged_files(good, made, FILES, seed=0)
        outcomes = damaged.outcomes(bad, made)
    failures = {
        f"{path.name} ({way})": outcome[:200]
        for (_, path, way), outcome in zip(bad, outcomes, strict=True)
        if not outcome.startswith(("valid", "refused"))
    }
    return {"damaged_files": (len(bad), "1"), "damaged_failures": (len(failures), "1")}, failures


def alarms() -> Result:
    """Inputs without a mistake that give a warning or an error."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        inputs = trusted.cases(data_folder(), Path(folder))
        for name, call in inputs.items():
            text = trusted.passes(call)
            print(f"{'alarm' if text else 'passed':8} {name}", file=sys.stderr)
            if text:
                found[name] = text
    return {"trusted_inputs": (len(inputs), "1"), "false_alarms": (len(found), "1")}, found


def cost() -> Result:
    """Percent of the processor time of label, fit, train and attach that their checks take."""
    frames = oh.Frames.load(data_folder() / "md17_aspirin.npz")[:1100]
    molecule = oh.Molecule.from_geometry(frames.atomic_numbers, frames.positions[0])
    system = oh.build(molecule, charges=trusted.gasteiger(molecule))
    forcefield = oh.ForceField.from_system(system.system, system.topology)
    model = oh.sgdml.train(frames, n_train=20, n_valid=0, sigma=10, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        calls: dict[str, Callable[[], Any]] = {
            "label": lambda: label(
                engine("gfn2"), molecule, frames.positions[:20], output=Path(folder, "labels.npz"), progress=False
            ),
            "fit": lambda: oh.fit(forcefield, frames, n_train=1000, n_test=100, progress=False),
            "train": lambda: oh.sgdml.train(frames, n_train=100, n_valid=50, sigma=10, progress=False),
            "attach": lambda: oh.attach(system.system, system.topology, model),
        }
        found = {name: _share(call, CHECKS[name]) for name, call in calls.items()}
    figures = {f"cost.{name}": (round(100.0 * share, 3), "%") for name, share in found.items()}
    return figures, {"checks": {name: list(names) for name, names in CHECKS.items()}}


def _share(call: Callable[[], Any], names: tuple[str, ...]) -> float:
    """Processor time of these functions over that of the call."""
    spent = []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **settings: Any) -> Any:
            start = time.process_time()
            try:
                return function(*arguments, **settings)
            finally:
                spent.append(time.process_time() - start)

        return run

    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            module, _, function = f"openmm_hybrid.{name}".rpartition(".")
            original = getattr(__import__(module, fromlist=[function]), function)
            stack.enter_context(mock.patch(f"openmm_hybrid.{name}", timed(original)))
        start = time.process_time()
        call()
        total = time.process_time() - start
    return float(np.sum(spent)) / total


if __name__ == "__main__":
    main()
