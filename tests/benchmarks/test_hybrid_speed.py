"""The benchmark of corrected dynamics: its quick form runs to its end, and its ratios are the right way up."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SIDES = ("gaff", "local-forces", "local", "global", "distilled")


def test_the_quick_form_gives_every_figure(reference_data: Callable[[str], Path]) -> None:
    for name in ("aspirin_ccsd-train.npz", "sgdml_model_2018_aspirin.npz"):
        reference_data(name)
    command = [sys.executable, "-m", "benchmarks.hybrid_speed", "--quick", "--threads", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    figures = {name: (figure["value"], figure["unit"]) for name, figure in found["figures"].items()}
    expected = {"replica_gain"} | {f"water_ratio.{name}" for name in SIDES[1:]}
    timed = [f"water.{name}" for name in SIDES] + [f"vacuum.{name}" for name in (*SIDES, "replicas")]
    timed += [f"{case}_outer.{name}" for case in ("water", "vacuum") for name in ("cross", "inner", "outer", "openmm")]
    expected |= {f"{kind}.{name}" for kind in ("step", "speed") for name in timed}
    expected |= {"water_ratio.inner"} | {
        f"{kind}.{name}" for kind in ("water_ratio", "vacuum_gain") for name in ("outer", "outer.openmm")
    }
    drifts = {f"drift.{name}" for name in ("cross", "inner", "outer", "outer_3fs", "outer_4fs")}
    expected |= drifts | {name.replace("drift", "drift_error") for name in drifts}
    assert {name for name in figures if "gpu" not in name} == expected  # no peer was given
    assert all(math.isfinite(value) and (value > 0.0 or name in drifts) for name, (value, _) in figures.items())
    assert found["platforms"]["water"] == dict.fromkeys(SIDES, "CPU")
    assert (found["gpu"] == "none") == (not any("gpu" in name for name in figures))


def test_figures_of_known_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.5 fs in a millisecond are 43.2 ns a day; the ratios are worked out by hand."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.hybrid_speed import figures_of

    steps = {
        "water": {"gaff": 10.0, "local-forces": 10.2, "local": 10.5, "global": 12.0, "distilled": 11.0},
        "vacuum": {"gaff": 0.01, "global": 0.5, "replicas": 4.0, "ase": 6.0, "ase_tuned": 4.0},
        "gpu_vacuum": {"global": 0.4, "replicas": 0.8},
    }
    times = {
        case: {name: np.full(3, step) for name, step in sides.items()}
        | {"global": np.array([0.1, 1, 10]) * sides["global"]}
        for case, sides in steps.items()
    }
    figures = figures_of(times, 32)
    for name, value in {
        "water_ratio.local-forces": 1.02,
        "water_ratio.local": 1.05,
        "water_ratio.global": 1.2,
        "water_ratio.distilled": 1.1,
        "steps_over_ase": 12.0,
        "steps_over_ase.tuned": 8.0,
        "replica_gain": 4.0,
        "replica_gain.gpu": 16.0,
        "step.vacuum.global": 0.5,
        "speed.water.gaff": 4.32,
        "speed.vacuum.replicas": 32 * 10.8,
    }.items():
        assert figures[name][0] == pytest.approx(value), name


def test_figures_of_outer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ratios worked out by hand."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.outer_timestep import figures_of

    water = {
        "cross": np.full(3, 10.0),
        "inner": np.full(3, 12.0),
        "outer": np.full(3, 10.5),
        "openmm": np.full(3, 13.0),
    }
    vacuum = {"cross": np.full(3, 0.2), "inner": np.full(3, 0.6), "outer": np.full(3, 0.3), "openmm": np.full(3, 0.4)}
    figures = figures_of(water, vacuum, {"outer": {"drift": -0.1, "error": 0.2}})
    for name, value in {
        "water_ratio.outer": 1.05,
        "water_ratio.outer.openmm": 1.3,
        "water_ratio.inner": 1.2,
        "vacuum_gain.outer": 2.0,
        "vacuum_gain.outer.openmm": 1.5,
        "drift.outer": -0.1,
        "drift_error.outer": 0.2,
    }.items():
        assert figures[name][0] == pytest.approx(value), name
