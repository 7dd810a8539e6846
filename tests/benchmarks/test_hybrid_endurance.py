"""The endurance benchmark in small, and that its checks find what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh

ROOT = Path(__file__).parents[2]
#: A rough ethanol in the atom order of the shipped sets (CH2 first), Å.
ETHANOL = np.array(
    [
        [0.46, 0.55, -0.05],
        [-0.89, -0.14, 0.02],
        [1.44, -0.33, 0.48],
        [0.70, 0.83, -1.08],
        [0.43, 1.47, 0.54],
        [-0.88, -1.04, -0.61],
        [-1.68, 0.54, -0.32],
        [-1.12, -0.47, 1.04],
        [2.30, 0.10, 0.43],
    ]
)


def test_killed_and_restarted(tmp_path: Path) -> None:
    """Ethanol in a few waters, killed once; half of some cross terms is used as the correction."""
    forcefield = oh.ForceField.load("ethanol-cross")
    terms = forcefield.only("cross.angle")
    terms.with_values(0.5 * terms.parameters.values).save(tmp_path / "correction.npz")
    energies, forces = forcefield.predict(ETHANOL[None])
    oh.Frames(forcefield.atomic_numbers, ETHANOL[None], energies, forces).save(tmp_path / "frames.npz")
    arguments = (
        "correction.npz --frames frames.npz --forcefield ethanol-cross --output out --picoseconds 1 "
        "--equilibration 0.1 --interval 20 --checkpoint-interval 30 --kills 1 --delay 0.1 --waters 60 --platform CPU"
    )
    path = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from benchmarks.hybrid_endurance import main; main()"
    command = [sys.executable, "-c", path, *arguments.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    figures = {name: figure["value"] for name, figure in result["figures"].items()}
    assert [process["ended"] for process in result["processes"]] == ["killed", "finished"]
    assert 0 < result["processes"][1]["started from step"] < 1000
    assert figures["failures"] == figures["gaps"] == figures["duplicates"] == figures["not_finite"] == 0
    assert figures["frames"] == figures["log_rows"] == 50
    assert figures["picoseconds"] == pytest.approx(1.0)
    assert figures["broken_bonds"] == 0
    assert figures["log_mismatch"] < 0.5
    assert 0.5 < figures["density"] < 1.3


def test_missing_and_repeated_frames_are_counted() -> None:
    from benchmarks.hybrid_endurance import _misses

    right = 0.5 * np.arange(1, 11)
    assert _misses(right, 0.5, 10) == (0, 0)
    assert _misses(np.delete(right, 4), 0.5, 10) == (1, 0)
    assert _misses(np.insert(right, 4, right[4]), 0.5, 10) == (0, 1)
    assert _misses(right[:7], 0.5, 10) == (3, 0)
    assert _misses(right + 0.1, 0.5, 10) == (10, 10)
    assert _misses(right[[0, 2, 1, *range(3, 10)]], 0.5, 10) == (0, 1)


def test_a_kill_waits_for_its_moment_and_tells_whether_it_met_the_process_alive() -> None:
    from benchmarks.kills import kill_when

    lasting = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert kill_when(lasting, iter([False, False, True]).__next__, delay=0.01)
    short = subprocess.Popen([sys.executable, "-c", ""])
    assert not kill_when(short, lambda: False)
