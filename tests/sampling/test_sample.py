"""`sample`: the physics it must reproduce, and the input it must refuse."""

from __future__ import annotations

import copy
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest
from openmm import unit

from openmm_hybrid.analysis.populations import mean_with_error
from openmm_hybrid.analysis.stability import energy_drift
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.sampling import platform as platform_module
from openmm_hybrid.sampling.minimize import minimize
from openmm_hybrid.sampling.platform import choose_platform
from openmm_hybrid.sampling.sample import sample
from openmm_hybrid.sampling.sample_result import SampleResult
from tests.helpers.oscillators import oscillators, topology_of, water

STEPS: dict[str, Any] = {"n_steps": 40, "interval": 10, "equilibration": 20, "progress": False}


def test_canonical_averages_of_harmonic_oscillators(tmp_path: Path) -> None:
    """⟨x²⟩ = kT/k (equipartition; exact for LFMiddle and a harmonic force), ⟨T⟩ the thermostat's."""
    stiffness = 1e5  # kJ/mol/nm²
    system, topology, start = oscillators(40, stiffness)
    run = sample(
        system, topology, start, output=tmp_path, temperature=350.0, friction=20.0, duration=10.0,
        interval=25, equilibration=2000, seed=3, progress=False,
    )  # fmt: skip
    squares = ((run.positions - start) ** 2).mean(axis=(1, 2))
    expected = BOLTZMANN * 350.0 / (stiffness / 4.184 / 100.0)
    mean = mean_with_error(squares)
    assert abs(mean.value - expected) < 4 * mean.error
    assert mean.error < 0.03 * expected
    temperature = mean_with_error(run.log["temperature"])
    assert abs(temperature.value - 350.0) < 4 * temperature.error
    assert temperature.error < 10.0


def test_frames_log_and_times_belong_together(tmp_path: Path) -> None:
    system, topology, start = water()
    starts = np.stack([start, start + 5.0, start - 5.0])
    run = sample(system, topology, starts, output=tmp_path, timestep=0.25, minimize=False, **STEPS)
    assert run.positions.shape == (12, 3, 3)
    assert [len(part.log) for part in run.starts] == [4, 4, 4]
    np.testing.assert_allclose(run.starts[1].log["time"], [0.0025, 0.005, 0.0075, 0.01])
    np.testing.assert_array_equal(run.log["start"], np.repeat([0, 1, 2], 4))
    np.testing.assert_allclose(run.log["total"], run.log["potential"] + run.log["kinetic"], rtol=1e-15)
    np.testing.assert_allclose(run.log["temperature"], 2 * run.log["kinetic"] / (9 * BOLTZMANN), rtol=1e-12)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    for frame, logged in zip(run.positions, run.log["potential"], strict=True):
        context.setPositions(frame * 0.1)
        energy = context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole)
        assert energy == pytest.approx(logged, abs=1e-4)
    assert not np.allclose(run.starts[0].positions, run.starts[1].positions - 5.0)  # the noise differs
    assert run.speed > 0
    assert SampleResult.open(tmp_path) == run


@pytest.mark.parametrize("format", ["dcd", "xtc"])
def test_trajectories_are_what_mdtraj_reads(tmp_path: Path, format: str) -> None:
    import mdtraj

    system, topology, start = water()
    topology.setPeriodicBoxVectors(np.eye(3) * 2.0 * unit.nanometer)
    run = sample(system, topology, start, output=tmp_path, format=format, **STEPS)
    peer = mdtraj.load(str(run.starts[0].files.trajectory), top=str(tmp_path / "topology.pdb"))
    np.testing.assert_allclose(run.positions, 10.0 * peer.xyz, rtol=0, atol=1e-5)
    np.testing.assert_allclose(peer.unitcell_lengths, 2.0, rtol=1e-6)
    reference = sample(system, topology, start, output=tmp_path / "dcd", **STEPS).positions
    np.testing.assert_allclose(run.positions, reference, rtol=0, atol=1e-5 if format == "dcd" else 5.1e-3)


@pytest.mark.parametrize("missing", [1, 56, 200])
def test_a_truncated_trajectory_with_a_box_is_damaged(tmp_path: Path, missing: int) -> None:
    system, topology, start = water()
    topology.setPeriodicBoxVectors(np.eye(3) * 2.0 * unit.nanometer)
    run = sample(system, topology, start, output=tmp_path, **STEPS)
    assert len(run.positions) == 4
    trajectory = run.starts[0].files.trajectory
    os.truncate(trajectory, trajectory.stat().st_size - missing)
    with pytest.raises(InputError, match="damaged: its header claims 4 frames of 3 atoms"):
        _ = run.positions


def test_starts_of_one_temperature_keep_their_numbers(tmp_path: Path) -> None:
    system, topology, start = water()
    starts, kelvin = np.repeat(start[None], 4, axis=0), [300.0, 400.0, 300.0, 400.0]
    run = sample(system, topology, starts, output=tmp_path, temperature=kelvin, **STEPS)
    assert np.unique(run.log["start"]).tolist() == [0, 1, 2, 3]
    assert np.unique(run.at(400.0).log["start"]).tolist() == [1, 3]


def test_nve_conserves_the_energy_and_takes_quantities(tmp_path: Path) -> None:
    system, topology, start = water()
    run = sample(
        system, topology, start * unit.angstrom, output=tmp_path, ensemble="nve", duration=5 * unit.picosecond,
        timestep=0.00025 * unit.picosecond, temperature=300 * unit.kelvin, friction=10 / unit.picosecond,
        interval=20, progress=False,
    )  # fmt: skip
    log = run.starts[0].log
    assert log["time"][-1] == pytest.approx(5.0)
    drift = energy_drift(log["time"], log["total"], n_atoms=3)
    assert abs(drift.value) < 1e-3
    assert np.ptp(log["total"]) < 0.05
    assert np.ptp(log["kinetic"]) > 0.2


def test_platforms_give_the_same_start(tmp_path: Path) -> None:
    """Without noise, CPU (float32) and Reference follow each other for a few steps."""
    system, topology, start = water()
    few: dict[str, Any] = {**STEPS, "ensemble": "nve", "minimize": False, "equilibration": 0, "temperature": 300.0}
    ours = sample(system, topology, start, output=tmp_path / "a", platform="Reference", **few)
    cpu = sample(system, topology, start, output=tmp_path / "b", platform="CPU", **few)
    np.testing.assert_allclose(ours.positions, cpu.positions, rtol=0, atol=1e-3)
    assert np.abs(ours.positions[-1] - start).max() > 0.05


def test_auto_platform_is_reference_for_a_small_molecule_only() -> None:
    assert choose_platform(water()[0])[0].getName() == "Reference"
    big, _, _ = oscillators(80, 1.0)
    assert choose_platform(big)[0].getName() != "Reference"
    with pytest.raises(InputError, match="no OpenMM platform 'Quantum'"):
        choose_platform(big, "Quantum")


@pytest.mark.parametrize(
    ("step", "quickest", "expected"), [(5e-5, 1e-6, "Reference"), (1e-3, 1e-4, "CPU"), (1e-3, 9e-4, "Reference")]
)
def test_auto_platform_is_the_quickest_where_it_is_worth_it(
    monkeypatch: pytest.MonkeyPatch, step: float, quickest: float, expected: str
) -> None:
    """Measured times are replaced by these: no step that takes less than 0.1 ms on Reference, or gains less than 1.2
    times, moves to another platform."""
    times = {"Reference": step, "CPU": quickest}
    monkeypatch.setattr(
        platform_module, "_seconds", lambda system, candidate, x: (times.get(candidate[0].getName(), 1.0), None)
    )
    system, _, start = oscillators(80, 1.0)
    assert choose_platform(system, "auto", start)[0].getName() == expected


@pytest.mark.parametrize(("n_steps", "expected"), [(10, "Reference"), (1000, "CPU")])
def test_a_run_shorter_than_the_measurement_stays_on_reference(
    monkeypatch: pytest.MonkeyPatch, n_steps: int, expected: str
) -> None:
    """A measurement of 50 ms, of which most is for the context, and 1 ms per step."""

    def seconds(system: openmm.System, candidate: tuple[openmm.Platform, Any], x: np.ndarray) -> tuple[float, None]:
        time.sleep(0.05)
        return {"Reference": 1e-3, "CPU": 1e-4}.get(candidate[0].getName(), 1.0), None

    monkeypatch.setattr(platform_module, "_seconds", seconds)
    system, _, start = oscillators(80, 1.0)
    assert choose_platform(system, "auto", start, n_steps)[0].getName() == expected


def test_platforms_are_measured_without_moving_anything() -> None:
    system, _, start = oscillators(80, 1.0)
    reference = (openmm.Platform.getPlatformByName("Reference"), {})
    assert 0 < platform_module._seconds(system, reference, start)[0] < 1.0
    impossible = openmm.System()
    impossible.addParticle(1.0)
    force = openmm.CustomExternalForce("no_such_name*x")
    force.addParticle(0)
    impossible.addForce(force)
    assert platform_module._seconds(impossible, reference, np.ones((1, 3))) == (np.inf, None)


def test_the_context_of_the_measurement_gives_the_energies_of_the_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saves one of three contexts, which take seconds each with long expressions; the run is the same."""
    system, topology, start = water()
    made = []
    make = openmm.Context.__init__
    monkeypatch.setattr(
        openmm.Context, "__init__", lambda self, *settings: (made.append(settings), make(self, *settings))[1]
    )
    measured = sample(system, topology, start, output=tmp_path / "measured", platform="auto", **STEPS)
    assert len(made) == 2
    named = sample(system, topology, start, output=tmp_path / "named", platform="Reference", **STEPS)
    assert len(made) == 4
    np.testing.assert_array_equal(measured.positions, named.positions)


def test_what_a_trial_of_opencl_prints_does_not_get_among_results(capfd: pytest.CaptureFixture[str]) -> None:
    """OpenMM warns of PoCL on standard output, which holds the JSON of a command."""
    try:
        opencl = openmm.Platform.getPlatformByName("OpenCL")
    except openmm.OpenMMException:
        pytest.skip("OpenMM has no OpenCL platform here")
    smallest = openmm.System()
    smallest.addParticle(1.0)
    try:
        openmm.Context(smallest, openmm.VerletIntegrator(0.001), opencl)
    except openmm.OpenMMException:
        pytest.skip("there is no OpenCL device")
    warning = capfd.readouterr().out
    platform_module._usable(opencl, oscillators(2, 1.0)[0])
    printed = capfd.readouterr()
    assert printed.out == ""
    assert warning in printed.err


def test_a_run_goes_on_with_auto_on_its_platform(tmp_path: Path) -> None:
    system, topology, start = water()
    sample(system, topology, start, output=tmp_path, platform="CPU", **STEPS)
    assert json.loads((tmp_path / "settings.json").read_text())["platform"] == "CPU"
    sample(system, topology, start, output=tmp_path, **{**STEPS, "n_steps": 80})
    assert json.loads((tmp_path / "settings.json").read_text())["platform"] == "CPU"
    with zipfile.ZipFile(tmp_path / "checkpoint_0.zip") as archive:
        assert " CPU " in json.loads(archive.read("run.json"))["made_on"]
    sample(system, topology, start, output=tmp_path, overwrite=True, **STEPS)
    assert json.loads((tmp_path / "settings.json").read_text())["platform"] == "Reference"


def _two_groups() -> tuple[openmm.System, Any, Any]:
    system, topology, start = water()
    system.getForce(1).setForceGroup(1)
    return system, topology, start


def test_several_time_steps_conserve_the_energy(tmp_path: Path) -> None:
    """Bonds four times in a step of 1 fs, the angle once: the drift is noise; a single step of 1 fs is worse.

    How far the total energy fluctuates goes with the energy that a start happens to have, hence the mean of eight.
    """
    system, topology, start = _two_groups()
    settings: dict[str, Any] = {
        "ensemble": "nve", "duration": 10.0, "timestep": 1.0, "interval": 20, "temperature": 300.0, "friction": 10.0,
        "seed": 2, "progress": False,
    }  # fmt: skip
    spread = {}
    for name, respa in (("respa", [(0, 4), (1, 1)]), ("single", [(0, 1), (1, 1)])):
        starts = np.repeat(start[None], 8, axis=0)
        run = sample(system, topology, starts, output=tmp_path / name, respa=respa, **settings)
        drifts = [energy_drift(each.log["time"], each.log["total"], n_atoms=3) for each in run.starts]
        assert max(abs(drift.value) for drift in drifts) < 1e-3
        spread[name] = np.mean([drift.fluctuation for drift in drifts])
        assert all(np.ptp(each.log["kinetic"]) > 0.1 for each in run.starts)
    assert spread["respa"] < 0.5 * spread["single"]


def test_several_time_steps_sample_the_temperature(tmp_path: Path) -> None:
    """Equipartition of 40 carbons on springs, half of the stiffness in either group: ⟨x²⟩ = kT/k."""
    stiffness = 1e5
    system, topology, start = oscillators(40, stiffness / 2)
    outer = copy.deepcopy(system.getForce(0))
    outer.setForceGroup(5)
    system.addForce(outer)
    run = sample(
        system, topology, start, output=tmp_path, temperature=350.0, friction=20.0, duration=10.0,
        respa=[(0, 2), (5, 1)], interval=25, equilibration=2000, seed=3, progress=False,
    )  # fmt: skip
    mean = mean_with_error(((run.positions - start) ** 2).mean(axis=(1, 2)))
    expected = BOLTZMANN * 350.0 / (stiffness / 4.184 / 100.0)
    assert abs(mean.value - expected) < 4 * mean.error
    assert mean.error < 0.03 * expected


def test_parameters_are_set(tmp_path: Path) -> None:
    system, topology, start = water()
    field = openmm.CustomExternalForce("height")
    field.addGlobalParameter("height", 0.0)
    field.addParticle(0)
    system.addForce(field)
    fixed: dict[str, Any] = {**STEPS, "minimize": False, "platform": "Reference"}
    plain = sample(system, topology, start, output=tmp_path / "a", **fixed)
    lifted = sample(system, topology, start, output=tmp_path / "b", parameters={"height": 41.84}, **fixed)
    np.testing.assert_allclose(lifted.log["potential"], plain.log["potential"] + 10.0, rtol=0, atol=1e-9)
    with pytest.raises(MismatchError, match="parameters"):
        sample(system, topology, start, output=tmp_path / "b", parameters={"height": 1.0}, **fixed)


def test_minimum_of_a_water_like_molecule() -> None:
    system, _, start = water()
    positions, energy = minimize(system, start * 1.05, tolerance=1e-4)
    assert energy == pytest.approx(0.0, abs=1e-6)
    bonds = np.linalg.norm(positions[1:] - positions[0], axis=1)
    np.testing.assert_allclose(bonds, 0.96, atol=1e-4)
    with pytest.raises(MismatchError, match="shape"):
        minimize(system, start[:2])


def test_blow_up_keeps_the_last_good_frame(tmp_path: Path) -> None:
    """−x⁴ reaches infinity in a finite time."""
    system = openmm.System()
    system.addParticle(12.0)
    runaway = openmm.CustomExternalForce("-20*x^4")
    runaway.addParticle(0, [])
    system.addForce(runaway)
    topology = topology_of(["C"])
    settings: dict[str, Any] = {
        "output": tmp_path, "n_steps": 40000, "interval": 20, "equilibration": 0, "minimize": False, "progress": False,
        "checkpoint_interval": 50,
    }  # fmt: skip
    with pytest.raises(NumericalError, match=r"blew up between step \d+.* and step \d+.*last_good_0.pdb") as caught:
        sample(system, topology, [[10.0, 0.0, 0.0]], **settings)
    left = SampleResult.open(tmp_path)
    assert len(left.positions) == len(left.log) > 2
    assert np.isfinite(left.positions).all()
    assert np.isfinite(left.log["total"]).all()
    assert f"between step {20 * len(left.positions)} and" in str(caught.value)
    line = (tmp_path / "last_good_0.pdb").read_text().splitlines()[1]
    assert float(line[30:38]) == pytest.approx(left.positions[-1, 0, 0], abs=1e-3)
    with pytest.raises(NumericalError):  # the checkpoint is from before
        sample(system, topology, [[10.0, 0.0, 0.0]], **settings)
    np.testing.assert_array_equal(SampleResult.open(tmp_path).positions, left.positions)


def _with(force: openmm.Force) -> openmm.System:
    system = water()[0]
    system.addForce(force)
    return system


def _refused(change: dict[str, Any], positions: Any = None) -> dict[str, Any]:
    system, topology, start = water()
    return {
        "system": system, "topology": topology, "positions": start if positions is None else positions,
        **STEPS, **change,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "positions", "message"),
    [
        ({"n_steps": None}, None, "either n_steps or duration"),
        ({"duration": 1.0}, None, "either n_steps or duration"),
        ({"n_steps": 5}, None, "fewer than the interval"),
        ({"interval": 0}, None, "interval is 0"),
        ({"timestep": float("nan")}, None, "timestep is nan"),
        ({"temperature": -1}, None, "temperature is -1"),
        ({"temperature": 300 * unit.nanometer}, None, "temperature is needed"),
        ({"friction": "high"}, None, "friction is 'high'"),
        ({"ensemble": "npt"}, None, "nvt, nve"),
        ({"temperature": [300.0, 400.0]}, None, r"temperatures have shape \(2,\)"),
        ({"parameters": {"lambda": 1.0}}, None, "no force of the system has a global parameter 'lambda'"),
        ({"respa": [(0, 2), (1, 1)]}, None, r"respa names the force groups \[0, 1\]; expected .* once: \[0\]"),
        ({"respa": [(0, 0)]}, None, "the evaluations of respa is 0"),
        ({"format": "xyz"}, None, "dcd, xtc"),
        ({"seed": 0.5}, None, "seed is 0.5"),
        ({}, np.zeros((3, 2)), "shape"),
        ({}, np.zeros((0, 3, 3)), "shape"),
        ({}, [[0, 0, 0], [0.96, 0, 0], [0.96, 0.1, 0]], "atoms 1 and 2 of start 0 overlap"),
        ({}, [[0, 0, 0], [0.96, 0, 0], [np.nan, 0.1, 0]], "not finite"),
        ({"minimize": False}, [[0, 0, 0], [60.0, 0, 0], [-60.0, 0.1, 0]], "energy of start 0"),
        ({"topology": topology_of(["C"])}, None, "topology has 1 atoms"),
        (
            {"system": _with(openmm.MonteCarloBarostat(1.0, 300.0))},
            None,
            "MonteCarloBarostat .* is set to 300 K; expected",
        ),
        (
            {"system": _with(openmm.AndersenThermostat(500.0, 1.0)), "ensemble": "nve"},
            None,
            "AndersenThermostat, which changes the energy of an nve run",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, change: dict[str, Any], positions: Any, message: str
) -> None:
    output = tmp_path / "run"
    with pytest.raises(InputError, match=message) as caught:
        sample(**_refused(change, positions), output=output)
    assert "\n" not in str(caught.value)
    assert not output.exists()
