"""The benchmark in water: what it subtracts is right, and its figures follow from its parts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def test_the_quick_form_gives_the_forces(reference_data: Callable[[str], Path]) -> None:
    """The System in water and the model alone agree; nothing is fitted, so that the errors are those of GAFF."""
    reference_data("md17_ethanol.npz")
    command = [sys.executable, "-m", "benchmarks.solvent", "--quick", "--threads", "1", "--only", "force.ethanol"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    figures = {name: figure["value"] for name, figure in found["figures"].items()}
    assert set(figures) == {"force_rmse.ethanol", "module_difference.ethanol"}
    assert figures["module_difference.ethanol"] < 1e-9
    part = found["parts"]["force.ethanol"]
    assert figures["force_rmse.ethanol"] == pytest.approx(part["module_force_rmse"], rel=1e-9)
    assert part["n_test"] == 2


def test_a_frame_is_superposed_without_a_reflection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotated and shifted copy comes back onto the original, and its mirror image does not."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.solvent import superposed

    rng = np.random.default_rng(0)
    original, rotation = rng.normal(size=(6, 3)), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    moved, found = superposed(original @ rotation + 3.0, original)
    np.testing.assert_allclose(moved, original, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found, rotation.T, rtol=0, atol=1e-12)
    mirrored, found = superposed(original * [1.0, 1.0, -1.0], original)
    assert np.linalg.det(found) == pytest.approx(1.0)
    assert np.abs(mirrored - original).max() > 0.1


def test_figures_of_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deviation in standard errors, worked out by hand; a run without its GAFF has none."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.solvent import figures_of

    run = {"density": 1.02, "density_error": 0.003, "broken_bonds": 0}
    gaff = {"density": 1.0, "density_error": 0.004, "broken_bonds": 0}
    figures = figures_of({"run.ethanol-cross": run, "gaff.ethanol": gaff, "run.aspirin-cross": run})
    assert figures["density_deviation.ethanol-cross"][0] == pytest.approx(4.0)
    assert "density_deviation.aspirin-cross" not in figures
    assert figures["density.ethanol"] == (1.0, "g/mL")
