"""Trajectories of runs that resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.sampling.reporters import Recorder, StartFiles
from openmm_hybrid.sampling.sample_result import read_trajectory
from tests.helpers.oscillators import topology_of


@pytest.mark.parametrize("form", ["dcd", "xtc"])
@pytest.mark.parametrize("interval", [100, 1 << 29])
def test_a_run_resumes_after_any_number_of_steps(tmp_path: Path, form: str, interval: int) -> None:
    """Twice: 8 and 10 frames of 2²⁹ steps exceed an int32."""
    files, topology, after = StartFiles(tmp_path, 0, form), topology_of(["C", "C"]), None
    frames = np.arange(60, dtype=np.float64).reshape(10, 2, 3) / 10
    for first, last in ((0, 2), (2, 8), (8, 10)):
        with Recorder(files, topology, timestep=1.0, interval=interval, after=after) as recorder:
            for frame in frames[first:last]:
                recorder.append(frame, None, (0.0,) * 5)
            after = recorder.sync()
    np.testing.assert_allclose(read_trajectory(files.trajectory), 10 * frames, atol=0.011)
