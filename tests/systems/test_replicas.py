"""Replicas in one context: exact copies without cross-talk, their own temperatures, files and restarts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray
from openmm import unit

import openmm_hybrid as oh
from openmm_hybrid.analysis.populations import mean_with_error
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.sampling import snapshot
from openmm_hybrid.sampling.sample import sample
from openmm_hybrid.sampling.sample_result import SampleResult
from tests.helpers import ROOT
from tests.helpers.boxes import NUMBERS
from tests.helpers.every_force import ethanol, geometries
from tests.helpers.morse import PairMorse
from tests.helpers.oscillators import oscillators, topology_of, water

MODEL = PairMorse(NUMBERS)
FEW: dict[str, Any] = {"n_steps": 40, "interval": 10, "equilibration": 20, "timestep": 0.25, "progress": False}


def energy_and_forces(system: openmm.System, positions: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """kJ/mol and kJ/mol/nm, in double precision."""
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions / 10)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, np.array(state.getForces(asNumpy=True)._value)


def test_copies_are_exact_and_do_not_feel_each_other() -> None:
    """The sum of single molecules is the analytic result; the copies lie on top of each other."""
    system, topology = ethanol()
    before = openmm.XmlSerializer.serialize(system)
    many, many_topology = oh.replicate(system, topology, 5)
    assert openmm.XmlSerializer.serialize(system) == before
    positions = geometries(5)
    energy, forces = energy_and_forces(many, positions.reshape(-1, 3))
    alone = [energy_and_forces(system, each) for each in positions]
    assert energy == pytest.approx(sum(each[0] for each in alone), rel=1e-12)
    np.testing.assert_allclose(
        forces.reshape(5, 9, 3), [each[1] for each in alone], rtol=0, atol=1e-9 * abs(forces).max()
    )
    assert [force.getForceGroup() for force in many.getForces()] == [
        force.getForceGroup() for force in system.getForces()
    ]
    assert many_topology.getNumAtoms() == 45
    assert [(a.index, b.index) for a, b in many_topology.bonds()][-1] == (2 + 36, 8 + 36)
    assert [atom.element.atomic_number for atom in many_topology.atoms()] == 5 * list(NUMBERS)


def test_constraints_and_masses_are_copied_and_motion_removal_is_not() -> None:
    system, topology = ethanol()
    system.addConstraint(2, 8, 0.096)
    system.addForce(openmm.CMMotionRemover())
    many, _ = oh.replicate(system, topology, 3)
    pairs = [many.getConstraintParameters(k)[:2] for k in range(many.getNumConstraints())]
    assert pairs == [[2, 8], [11, 17], [20, 26]]
    assert [many.getParticleMass(18 + k) for k in range(9)] == [system.getParticleMass(k) for k in range(9)]
    assert not any(isinstance(force, openmm.CMMotionRemover) for force in many.getForces())


def test_a_model_is_evaluated_for_all_copies_at_once() -> None:
    system, topology = ethanol()
    many, many_topology = oh.replicate(system, topology, 4)
    forces = oh.attach(many, many_topology, MODEL, atoms=np.arange(36).reshape(4, 9))
    assert len(forces) == 1
    positions = geometries(4)
    plain = energy_and_forces(oh.replicate(system, topology, 4)[0], positions.reshape(-1, 3))
    both = energy_and_forces(many, positions.reshape(-1, 3))
    energies, model_forces = MODEL.predict(positions)
    assert both[0] - plain[0] == pytest.approx(4.184 * energies.sum(), abs=1e-6)
    np.testing.assert_allclose(both[1] - plain[1], 41.84 * model_forces.reshape(-1, 3), rtol=0, atol=1e-5)


def test_each_replica_is_at_its_own_temperature(tmp_path: Path) -> None:
    """Harmonic oscillators have ⟨x²⟩ = kT/k and ⟨U⟩ = ⟨K⟩ = kT/2; masses and forces are unchanged."""
    stiffness = 1e5  # kJ/mol/nm²
    system, topology, start = oscillators(30, stiffness)
    temperatures = np.array([150.0, 300.0, 600.0])
    run = sample(
        system, topology, start, output=tmp_path, replicas=3, temperature=temperatures, friction=20.0, duration=10.0,
        interval=25, equilibration=2000, seed=5, progress=False,
    )  # fmt: skip
    for part, temperature in zip(run.starts, temperatures, strict=True):
        measured = mean_with_error(part.log["temperature"])
        assert abs(measured.value - temperature) < 4 * measured.error
        assert measured.error < 0.03 * temperature
        expected = BOLTZMANN * temperature / (stiffness / 418.4)
        spread = mean_with_error(((part.positions - start) ** 2).mean(axis=(1, 2)))
        assert abs(spread.value - expected) < 4 * spread.error
        assert spread.error < 0.04 * expected
        potential = mean_with_error(part.log["potential"])
        assert abs(potential.value - 45 * BOLTZMANN * temperature) < 4 * potential.error


def test_the_integrator_of_several_temperatures_steps_as_openmms_own() -> None:
    """Without noise (0 K) and with friction, it follows LangevinMiddleIntegrator, constraints included."""
    from openmm_hybrid.sampling.integrators import langevin_per_particle

    system, _, start = water()
    system.addConstraint(0, 1, 0.096)
    ends = []
    for integrator in (openmm.LangevinMiddleIntegrator(0.0, 50.0, 5e-4), langevin_per_particle(np.zeros(3), 50.0, 0.5)):
        context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
        context.setPositions(start / 10)
        context.setVelocities([[0.0, 0.5, 0.0], [0.0, -1.0, 1.0], [1.0, 0.0, 0.0]])
        context.applyVelocityConstraints(1e-6)
        integrator.step(50)
        ends.append(context.getState(positions=True).getPositions(asNumpy=True)._value)
    np.testing.assert_allclose(ends[0], ends[1], rtol=0, atol=1e-6)
    assert abs(ends[0] - start / 10).max() > 1e-3


def test_files_of_each_replica_hold_its_own_frames_and_energies(tmp_path: Path) -> None:
    system, topology = ethanol()
    starts = geometries(6)
    run = sample(system, topology, starts, output=tmp_path, models=[MODEL], replicas=3, minimize=False, **FEW)
    assert sorted(path.name for path in tmp_path.glob("checkpoint_*")) == ["checkpoint_0.zip", "checkpoint_1.zip"]
    assert run.positions.shape == (24, 9, 3)
    for part in run.starts:
        plain = [energy_and_forces(system, frame)[0] / 4.184 for frame in part.positions]
        np.testing.assert_allclose(part.log["potential"], plain + MODEL.predict(part.positions)[0], rtol=0, atol=1e-3)
        np.testing.assert_allclose(part.log["time"], [0.0025, 0.005, 0.0075, 0.01])
        np.testing.assert_allclose(part.log["temperature"], 2 * part.log["kinetic"] / (27 * BOLTZMANN), rtol=1e-12)
    moved = np.abs(np.subtract.outer(np.arange(6), np.arange(6))) > 0
    ends = np.array([part.positions[-1] for part in run.starts])
    differences = np.abs(ends[:, None] - ends[None]).max(axis=(2, 3))
    assert differences[moved].min() > 0.01
    assert len(np.unique(run.log["start"])) == 6
    assert run.speed > run.starts[0].speed > 0
    assert SampleResult.open(tmp_path) == run


def test_models_serve_a_single_run_too_and_leave_the_system_as_it_is(tmp_path: Path) -> None:
    system, topology = ethanol()
    other, _ = ethanol()
    oh.attach(other, topology, MODEL)
    before = openmm.XmlSerializer.serialize(system)
    settings: dict[str, Any] = {**FEW, "minimize": False, "platform": "Reference"}
    given = sample(system, topology, geometries(1), output=tmp_path / "a", models=[MODEL], **settings)
    attached = sample(other, topology, geometries(1), output=tmp_path / "b", **settings)
    np.testing.assert_array_equal(given.positions, attached.positions)
    assert openmm.XmlSerializer.serialize(system) == before


def test_a_blown_up_replica_is_named_and_the_others_frames_are_kept(tmp_path: Path) -> None:
    """−x⁴ reaches infinity in a finite time, from 10 Å on; from the origin it takes much longer."""
    system = openmm.System()
    system.addParticle(12.0)
    runaway = openmm.CustomExternalForce("-20*x^4")
    runaway.addParticle(0, [])
    system.addForce(runaway)
    starts = np.zeros((3, 1, 3))
    starts[1, 0, 0] = 10.0
    with pytest.raises(
        NumericalError, match=r"simulation of start(s 0 to 2| 1) blew up between .* kept in .*last_good_0"
    ):
        sample(
            system, topology_of(["C"]), starts, output=tmp_path, replicas=3, n_steps=40000, interval=20,
            equilibration=0, minimize=False, progress=False,
        )  # fmt: skip
    left = SampleResult.open(tmp_path)
    assert len({len(part.positions) for part in left.starts}) == 1
    assert len(left.starts[0].positions) > 2
    assert np.isfinite(left.log["total"]).all()
    assert len(list(tmp_path.glob("last_good_*.pdb"))) == 3


def test_one_start_is_repeated_with_its_own_velocities_and_minimum(tmp_path: Path) -> None:
    system, topology, start = water()
    run = sample(system, topology, 1.05 * start, output=tmp_path, replicas=4, **{**FEW, "equilibration": 0})
    firsts = np.array([part.positions[0] for part in run.starts])
    assert firsts.shape == (4, 3, 3)
    assert np.abs(firsts[1:] - firsts[0]).max(axis=(1, 2)).min() > 1e-3
    assert run.log["total"].max() < 10.0  # the stretched start alone has 20


def test_replicas_and_single_runs_sample_the_same(tmp_path: Path) -> None:
    """The same dynamics: mean potential energies of a water-like molecule, within four standard errors."""
    system, topology, start = water()
    settings: dict[str, Any] = {"duration": 5.0, "interval": 20, "friction": 10.0, "timestep": 0.25, "progress": False}
    single = sample(system, topology, np.stack([start] * 4), output=tmp_path / "single", **settings)
    many = sample(system, topology, start, output=tmp_path / "many", replicas=4, **settings)
    one, other = (mean_with_error([part.log["potential"] for part in run.starts]) for run in (single, many))
    assert abs(one.value - other.value) < 4 * np.hypot(one.error, other.error)
    assert other.error < 0.1 * other.value


def _together(output: Path, n_steps: int, temperature: Any) -> SampleResult:
    system, topology, start = water()
    starts = np.stack([start, start + 3, start + 6])
    return sample(
        system, topology, starts, output=output, replicas=3, temperature=temperature, n_steps=n_steps, interval=4,
        equilibration=200, seed=7, checkpoint_interval=30, progress=False,
    )  # fmt: skip


def _assert_same(one: SampleResult, other: SampleResult) -> None:
    np.testing.assert_array_equal(one.positions, other.positions)
    for first, second in zip(one.starts, other.starts, strict=True):
        assert first.files.log.read_bytes() == second.files.log.read_bytes()


@pytest.mark.parametrize("temperature", [500.0, (300.0, 500.0, 700.0)])
def test_a_longer_run_goes_on_bit_for_bit(tmp_path: Path, temperature: Any) -> None:
    whole = _together(tmp_path / "whole", 800, temperature)
    _together(tmp_path / "parts", 120, temperature)
    _assert_same(whole, _together(tmp_path / "parts", 800, temperature))


def test_killed_replicas_go_on_bit_for_bit(tmp_path: Path) -> None:
    """SIGKILL while all write: nearly always between the files of two replicas."""
    code = "import sys; from pathlib import Path; from tests.systems.test_replicas import _together\n"
    code += "_together(Path(sys.argv[1]), 4000, 500.0)"
    arguments = [sys.executable, "-c", code, str(tmp_path / "killed")]
    for size in (20_000, 90_000):
        process = subprocess.Popen(arguments, cwd=ROOT)
        logs = (tmp_path / "killed").glob
        while process.poll() is None and sum(path.stat().st_size for path in logs("log_*.csv")) < size:
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    _assert_same(_together(tmp_path / "whole", 4000, 500.0), _together(tmp_path / "killed", 4000, 500.0))


def test_replicas_that_diffused_away_are_moved_back_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FAR", 0.3)
    system, topology, start = water()
    system.addForce(openmm.CMMotionRemover())
    settings = {**FEW, "n_steps": 400, "interval": 20}
    run = sample(system, topology, np.stack([start, start + 9]), output=tmp_path, replicas=2, **settings)
    for part in run.starts:
        bonds = np.linalg.norm(part.positions[:, 1:] - part.positions[:, :1], axis=-1)
        assert bonds.max() < 1.3
        assert np.abs(part.positions[1:].mean(axis=1)).max() < 4.0
    fixed = water()[0]  # nothing says that the molecule may be moved
    left = sample(fixed, topology, start + 9, output=tmp_path / "b", replicas=2, **settings)
    assert left.positions.mean(axis=(1, 2)).min() > 5.0


def _periodic() -> openmm.System:
    system = ethanol()[0]
    system.getForce(3).setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    return system


def _with(force: openmm.Force) -> openmm.System:
    system = ethanol()[0]
    system.addForce(force)
    return system


def _cutoff() -> openmm.System:
    system = ethanol()[0]
    system.getForce(3).setNonbondedMethod(openmm.NonbondedForce.CutoffNonPeriodic)
    return system


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: {"replicas": 0}, "replicas is 0; expected a whole number, at least 1"),
        (lambda: {"replicas": 2, "positions": geometries(3)}, "3 starts cannot be divided among contexts of 2"),
        (lambda: {"replicas": 2, "ensemble": "nve"}, "replicas cannot run at constant energy"),
        (lambda: {"replicas": 2, "temperature": [300.0]}, r"temperatures have shape \(1,\)"),
        (lambda: {"replicas": 2, "temperature": [300.0, -1.0]}, "temperature is -1.0"),
        (lambda: {"replicas": 2, "system": _periodic()}, "the system is periodic"),
        (lambda: {"replicas": 2, "system": _cutoff()}, "the NonbondedForce has a cutoff"),
        (
            lambda: {"replicas": 2, "system": _with(openmm.GBSAOBCForce())},
            "'GBSAOBCForce' .* cannot be copied.*models=",
        ),
        (lambda: {"models": [PairMorse((8, 6, 1))]}, "9 particles, the model 3 atoms"),
    ],
)
def test_what_cannot_be_replicated_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    system, topology = ethanol()
    arguments = {"system": system, "topology": topology, "positions": geometries(2), **FEW, **change()}
    with pytest.raises((InputError, MismatchError), match=message) as caught:
        sample(**arguments, output=tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.torchforce
def test_an_attached_torch_force_is_refused_by_its_name() -> None:
    system, topology = ethanol()
    oh.attach(system, topology, MODEL)
    with pytest.raises(MismatchError, match=r"'HybridTorchForce \w+' .* cannot be copied.*models="):
        oh.replicate(system, topology, 2)


def test_positions_with_units_serve_too(tmp_path: Path) -> None:
    system, topology, start = water()
    run = sample(system, topology, start * unit.angstrom, output=tmp_path, replicas=2, **FEW)
    assert len(run.starts) == 2
