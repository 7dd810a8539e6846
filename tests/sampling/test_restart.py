"""Killed, interrupted and refused runs: a resumed run must equal an uninterrupted one bit for bit."""

from __future__ import annotations

import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest

from openmm_hybrid.core.errors import HybridError, InputError, MismatchError
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.sampling import run as run_module
from openmm_hybrid.sampling.restart import read_progress
from openmm_hybrid.sampling.sample import sample
from openmm_hybrid.sampling.sample_result import SampleResult
from tests.helpers import ROOT
from tests.helpers.oscillators import water

SETTINGS: dict[str, Any] = {
    "n_steps": 4000, "interval": 4, "equilibration": 200, "seed": 7, "checkpoint_interval": 30, "progress": False,
}  # fmt: skip

SCRIPT = f"""
import sys
import numpy as np
from tests.helpers.oscillators import water
from openmm_hybrid.sampling.sample import sample

system, topology, start = water()
print("ready", flush=True)
starts = np.stack([start, start + 3])
sample(system, topology, starts, output=sys.argv[1], format=sys.argv[2], platform=sys.argv[3], **{SETTINGS!r})
"""


def _start(output: Path, format: str, platform: str, **options: Any) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", SCRIPT, str(output), format, platform]
    process = subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _whole(output: Path, format: str = "dcd", platform: str = "Reference", ensemble: str = "nvt") -> SampleResult:
    system, topology, start = water()
    starts = np.stack([start, start + 3])
    return sample(
        system, topology, starts, output=output, format=format, platform=platform, ensemble=ensemble, **SETTINGS
    )


def _assert_same(one: SampleResult, other: SampleResult) -> None:
    np.testing.assert_array_equal(one.positions, other.positions)
    for first, second in zip(one.starts, other.starts, strict=True):
        assert first.files.log.read_bytes() == second.files.log.read_bytes()
        # All of the trajectory but the date of creation in the DCD header.
        assert first.files.trajectory.read_bytes()[276:] == second.files.trajectory.read_bytes()[276:]


def _kill_when_logged(process: subprocess.Popen[str], output: Path, size: int) -> bool:
    """SIGKILL once the logs hold `size` bytes; True if the process was still running."""
    from benchmarks.kills import kill_when  # not above: the process started here imports this module too

    return kill_when(process, lambda: sum(path.stat().st_size for path in output.glob("log_*.csv")) >= size)


@pytest.mark.parametrize("format", ["dcd", "xtc"])
def test_killed_at_any_moment_resumes_bit_for_bit(tmp_path: Path, format: str) -> None:
    """SIGKILL at random points, with a frame every 4 steps and a checkpoint every 30: nearly always in a write."""
    whole = _whole(tmp_path / "whole", format)
    logged = sum(part.files.log.stat().st_size for part in whole.starts)
    chance = random.Random(format)
    for share in sorted(chance.uniform(0.02, 0.8) for _ in range(4)):
        process = _start(tmp_path / "killed", format, "Reference")
        assert _kill_when_logged(process, tmp_path / "killed", int(share * logged))
    resumed = _whole(tmp_path / "killed", format)
    _assert_same(whole, resumed)
    assert len(resumed.positions) == 2 * 1000
    assert [path.name for path in (tmp_path / "killed").glob(".*")] == [".lock"]


def test_killed_on_the_cpu_platform_leaves_no_gap_and_no_duplicate(tmp_path: Path) -> None:
    assert _kill_when_logged(_start(tmp_path, "dcd", "CPU"), tmp_path, 30_000)
    resumed = _whole(tmp_path, platform="CPU")
    for part in resumed.starts:
        np.testing.assert_allclose(part.log["time"], 0.002 * np.arange(1, 1001), rtol=1e-12)
        assert part.positions.shape == (1000, 3, 3)
        # 2 fs between frames: an atom goes far less than 0.5 Å, but more than nothing.
        moved = np.abs(np.diff(part.positions, axis=0)).max(axis=(1, 2))
        assert 0 < moved.min() < moved.max() < 0.5


class _CtrlC:
    """An `advance` that presses Ctrl-C after a number of steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, steps: int) -> None:
        self.left -= steps
        if self.left <= 0:
            self.left = 10**9
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("ensemble", "after"), [("nvt", 1234), ("nve", 101), ("nve", 1234)])
def test_ctrl_c_saves_and_the_next_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ensemble: str, after: int
) -> None:
    """In the equilibration (200 steps) too."""
    from contextlib import contextmanager

    from openmm_hybrid.sampling import sample as sample_module

    whole = _whole(tmp_path / "whole", ensemble=ensemble)

    @contextmanager
    def pressing(*arguments: Any, **named: Any) -> Any:
        yield _CtrlC(after=after)

    with monkeypatch.context() as patch:
        patch.setattr(sample_module, "progress_bar", pressing)
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt, match=r"stopped at step \d+ of .*start 0, saved in .*; call again"):
            _whole(tmp_path / "stopped", ensemble=ensemble)
        assert signal.getsignal(signal.SIGINT) is before
    progress = read_progress(tmp_path / "stopped" / "checkpoint_0.zip")
    assert progress is not None
    assert after <= progress.steps_run < after + 60
    assert progress.step == progress.steps_run - 200
    _assert_same(whole, _whole(tmp_path / "stopped", ensemble=ensemble))


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of the file size")
def test_full_disk_leaves_the_checkpoint_and_the_run_resumes(tmp_path: Path) -> None:
    """A limit of 30 kB per file simulates the full disk."""
    whole = _whole(tmp_path / "whole")
    limits = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))}
    process = _start(tmp_path / "full", "dcd", "Reference", **limits)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "HybridError: cannot write" in errors.splitlines()[-1]
    assert "resumes from its last checkpoint" in errors.splitlines()[-1]
    _assert_same(whole, _whole(tmp_path / "full"))


def test_finished_run_returns_at_once_and_can_be_made_longer(tmp_path: Path) -> None:
    whole = _whole(tmp_path / "whole")
    system, topology, start = water()
    starts = np.stack([start, start + 3])
    short = {**SETTINGS, "n_steps": 1600}
    sample(system, topology, starts, output=tmp_path / "short", **short)
    files = sorted((tmp_path / "short").iterdir())
    times = [path.stat().st_mtime_ns for path in files if path.name != ".lock"]
    again = sample(system, topology, starts, output=tmp_path / "short", **short)
    assert len(again.positions) == 800
    assert times == [path.stat().st_mtime_ns for path in files if path.name != ".lock"]
    _assert_same(whole, _whole(tmp_path / "short"))


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    system, topology, start = water()
    few = {**SETTINGS, "n_steps": 40}
    first = sample(system, topology, start, output=tmp_path, **few)
    frames = first.positions
    with pytest.raises(MismatchError, match=r"temperature 500.0 there, 400.0 now, seed 7 there, 8 now;"):
        sample(system, topology, start, output=tmp_path, **{**few, "temperature": 400.0, "seed": 8})
    with pytest.raises(MismatchError, match=r"n_steps 40 there, 20 now"):
        sample(system, topology, start, output=tmp_path, **{**few, "n_steps": 20})
    with pytest.raises(MismatchError, match="another sampling run: system differs"):
        sample(water(stiffness=3.1e5)[0], topology, start, output=tmp_path, **few)
    with pytest.raises(MismatchError, match="positions differs"):
        sample(system, topology, start + 1.0, output=tmp_path, **few)
    np.testing.assert_array_equal(first.positions, frames)
    other = sample(system, topology, start, output=tmp_path, overwrite=True, **{**few, "seed": 8})
    assert not np.array_equal(other.positions, frames)


def test_overwrite_removes_the_files_of_a_run_only(tmp_path: Path) -> None:
    system, topology, start = water()
    few = {**SETTINGS, "n_steps": 40}
    sample(system, topology, np.stack([start, start]), output=tmp_path, format="xtc", **few)
    others = ("trajectory_production.dcd", "trajectory_0.dcd.bak", "log_lab.csv", "checkpoint_old.zip")
    for name in others:
        (tmp_path / name).write_text("mine")
    sample(system, topology, start, output=tmp_path, overwrite=True, **few)
    names = {path.name for path in tmp_path.iterdir()}
    run = {"trajectory_0.dcd", "log_0.csv", "checkpoint_0.zip", "settings.json", "topology.pdb", ".lock"}
    assert names == run | set(others)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["settings.json", "topology.pdb"])
def test_files_of_something_else_are_refused(tmp_path: Path, overwrite: bool, name: str) -> None:
    system, topology, start = water()
    for other in {name, "trajectory_0.dcd"}:
        (tmp_path / other).write_text('{"mine": 1}')
    with pytest.raises(InputError, match=f"{name}"):
        sample(system, topology, start, output=tmp_path, overwrite=overwrite, **{**SETTINGS, "n_steps": 40})
    for other in {name, "trajectory_0.dcd"}:
        assert (tmp_path / other).read_text() == '{"mine": 1}'


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    system, topology, start = water()
    few = {**SETTINGS, "n_steps": 40}
    run = sample(system, topology, start, output=tmp_path, **few)
    trajectory = run.starts[0].files.trajectory
    os.truncate(trajectory, 500)
    with pytest.raises(MismatchError, match=r"has 500 bytes.*overwrite=True"):
        sample(system, topology, start, output=tmp_path, **{**few, "n_steps": 80})
    run.starts[0].files.checkpoint.write_bytes(b"no zip")
    with pytest.raises(InputError, match="damaged"):
        sample(system, topology, start, output=tmp_path, **{**few, "n_steps": 80})
    sample(system, topology, start, output=tmp_path, overwrite=True, **few)
    with pytest.raises(InputError, match="no sampling run"):
        SampleResult.open(tmp_path / "nowhere")
    run.starts[0].files.trajectory.unlink()
    with pytest.raises(InputError, match="no trajectory yet"):
        SampleResult.open(tmp_path)
    (tmp_path / "settings.json").write_text('{"format": "dcd"')
    with pytest.raises(InputError, match=r"settings\.json is damaged"):
        SampleResult.open(tmp_path)


def test_checkpoint_of_another_platform_goes_on_from_its_state(tmp_path: Path) -> None:
    system, topology, start = water()
    sample(system, topology, start, output=tmp_path, platform="Reference", **{**SETTINGS, "n_steps": 400})
    run = sample(system, topology, start, output=tmp_path, platform="CPU", **{**SETTINGS, "n_steps": 800})
    moved = np.abs(np.diff(run.positions, axis=0)).max(axis=(1, 2))
    assert 0 < moved.min() < moved.max() < 0.5
    np.testing.assert_allclose(run.starts[0].log["time"], 0.002 * np.arange(1, 201), rtol=1e-12)


def test_state_xml_that_is_no_state_is_not_built(tmp_path: Path) -> None:
    system, topology, start = water()
    sample(system, topology, start, output=tmp_path, platform="Reference", **{**SETTINGS, "n_steps": 40})
    checkpoint = tmp_path / "checkpoint_0.zip"
    with zipfile.ZipFile(checkpoint) as archive:
        run = archive.read("run.json")
    with zipfile.ZipFile(checkpoint, "w") as archive:
        archive.writestr("run.json", run)
        archive.writestr("state.xml", "<!-- <State -->" + openmm.XmlSerializer.serialize(system).partition("?>")[2])
    with pytest.raises(InputError, match=r"another object \(System\); expected an OpenMM State"):
        sample(system, topology, start, output=tmp_path, platform="CPU", **{**SETTINGS, "n_steps": 80})


def test_two_processes_do_not_write_into_one_folder(tmp_path: Path) -> None:
    system, topology, start = water()
    with lock_folder(tmp_path), pytest.raises(InputError, match="another process"):
        sample(system, topology, start, output=tmp_path, **SETTINGS)


def test_unwritable_folder_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    system, topology, start = water()
    with pytest.raises(HybridError, match="cannot write to"):
        sample(system, topology, start, output=tmp_path / "file", **SETTINGS)


def test_seeds_are_positive_and_differ() -> None:
    seeds = {run_module._seed(*numbers) for numbers in itertools.product((0, 1), (0, 1), (0, 9), (1, 2))}
    assert len(seeds) == 16
    assert min(seeds) > 0


@pytest.mark.torchforce
def test_torchforce_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    import torch

    from openmm_hybrid.systems.backends.torchforce import load_plugin

    openmmtorch = load_plugin()

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            weights = np.random.default_rng(0).normal(size=(9, 200))
            self.weights = torch.tensor(weights)

        def forward(self, positions: torch.Tensor) -> torch.Tensor:
            x = positions.reshape(1, -1).to(torch.float64)
            return 0.1 * torch.tanh(x @ self.weights.to(x.device)).sum()

    def system_with_net() -> openmm.System:
        system = water()[0]
        system.addForce(openmmtorch.TorchForce(torch.jit.script(Net())))
        return system

    _, topology, start = water()
    settings = {**SETTINGS, "n_steps": 400}
    whole = sample(system_with_net(), topology, start, output=tmp_path / "whole", **settings)
    sample(system_with_net(), topology, start, output=tmp_path / "parts", **{**settings, "n_steps": 120})
    _assert_same(whole, sample(system_with_net(), topology, start, output=tmp_path / "parts", **settings))
