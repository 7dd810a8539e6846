"""Benchmarks of parts that take minutes each: which to run, keeping those that are finished, comparing models."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.worker import THREADS
from openmm_hybrid import Frames
from openmm_hybrid.core.result_document import commit, write_json

Part = dict[str, Any]


def part_options(parser: argparse.ArgumentParser) -> None:
    """Add --only and --keep, the arguments of `measured`, and --threads."""
    parser.add_argument("--only", default="", help="names of parts, separated by commas")
    parser.add_argument("--keep", type=Path, default=None, help="file of the parts that are finished")
    parser.add_argument("--threads", type=int, default=THREADS, help="threads of each side")


def measured(only: str, tasks: Mapping[str, Callable[[], Part]], keep: Path | None) -> dict[str, Part]:
    """The parts named in `only`, or all; the file `keep` provides those that this commit has measured.

    Other parts in the file are returned too. A checkout with changes counts as its commit.
    """
    wanted = only.split(",") if only else list(tasks)
    unknown = sorted(set(wanted) - set(tasks))
    if unknown:
        raise SystemExit(f"there is no part {unknown[0]!r}; the parts are {', '.join(tasks)}")
    here = commit()
    finished: dict[str, Any] = json.loads(keep.read_text(encoding="utf-8")) if keep and keep.is_file() else {}
    parts: dict[str, Part] = finished.get("parts", {}) if finished.get("commit") == here else {}
    for name in wanted:
        if name not in parts:
            load = os.getloadavg()[0]
            parts[name] = tasks[name]() | {"load_average_before": load}
            if keep:
                write_json(keep, {"commit": here, "parts": parts})
    return {name: parts[name] for name in tasks if name in parts}


def errors(frames: Frames, rest: list[int], ours: Path, peer: Path | None = None) -> Part:
    """Mean absolute errors of forces and energies of one or two sides' predictions for the frames `rest`.

    Of two sides also the largest difference between their forces, over the largest force.
    """
    energies, forces = (np.asarray(labels)[rest] for labels in frames.labels())
    mine = _read(ours)
    found: Part = {"n_test": len(rest), "force_mae": _mae(mine[1], forces), "energy_mae": _mae(mine[0], energies)}
    if peer is not None:
        theirs = _read(peer)
        found["peer_force_mae"] = _mae(theirs[1], forces)
        found["peer_energy_mae"] = _mae(theirs[0], energies)
        found["force_difference"] = float(np.abs(mine[1] - theirs[1]).max() / np.abs(theirs[1]).max())
    return found


def _read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["E"], arrays["F"]


def _mae(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    return float(np.abs(found - expected).mean())
