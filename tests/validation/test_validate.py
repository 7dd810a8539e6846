"""Each check passes for a sound System and finds a fault of its kind."""

from __future__ import annotations

import json
import re
import sys
import warnings
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import openmm_hybrid as oh
from openmm_hybrid.cli import app
from openmm_hybrid.core.errors import InputError, MismatchError, MissingDependencyError, NumericalError
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.forms.harmonic import Harmonic
from openmm_hybrid.sampling.reporters import degrees_of_freedom
from openmm_hybrid.systems.system_files import save_system
from openmm_hybrid.validation import derivatives, drift, physical, platforms
from openmm_hybrid.validation.context import Subject, forces
from openmm_hybrid.validation.platforms import difference_checks, platform_checks
from openmm_hybrid.validation.result import Check, Validation
from openmm_hybrid.validation.settings import ValidateSettings
from tests.helpers.boxes import ETHANOL
from tests.helpers.classical_ethanol import forcefield, frames, molecule

SHORT = ValidateSettings(drift_ps=0.5, runs=2, sample_ps=2.0, n_atoms=3)
KELVIN = 300.0


def subject() -> Subject:
    return Subject.of(molecule()[0], ETHANOL)


def status(checks: list[Check]) -> set[str]:
    return {check.status for check in checks}


def test_status_of_a_check() -> None:
    def made(value: float, error: float) -> str:
        return Check("c", value, 1.0, "1", "a source", error).status

    assert [made(0.5, 0.0), made(-0.5, 0.1), made(-2.0, 0.0)] == ["passed", "passed", "failed"]
    assert [made(2.0, 0.6), made(0.5, 2.0), made(4.0, 1.4)] == ["open", "open", "failed"]
    assert made(float("nan"), 0.0) == "failed"


def test_platforms_agree() -> None:
    checks = platform_checks(subject(), ("Reference", "CPU"))
    assert status(checks) == {"passed"}
    assert {check.name.split(", ")[2] for check in checks} >= {"HarmonicBondForce", "NonbondedForce"}


def test_opencl_on_the_processor_is_checked_if_it_is_named(capfd) -> None:
    names = [openmm.Platform.getPlatform(k).getName() for k in range(openmm.Platform.getNumPlatforms())]
    if "OpenCL" not in names:
        pytest.skip("needs OpenMM's OpenCL platform")
    settings = replace(SHORT, checks=("platforms",), platforms=("OpenCL",))
    found = oh.validate(subject().system, subject().positions, settings=settings, progress=False)
    medians = {check.name: check.value for check in found.checks if check.name.endswith("median")}
    assert status(found.checks) == {"passed"}
    assert max(medians.values()) > 1e-9  # single precision differs from double
    assert capfd.readouterr().out == ""  # OpenMM's warning about PoCL is no result


def test_the_reciprocal_space_of_a_force_belongs_to_it() -> None:
    """Also where the System has a force group of its own for it."""
    system, force = openmm.System(), openmm.NonbondedForce()
    system.setDefaultPeriodicBoxVectors(*np.diag([2.0, 2.0, 2.0]))
    for number in range(8):
        system.addParticle(16.0)
        force.addParticle((-1) ** number, 0.3, 0.6)
    force.setNonbondedMethod(force.PME)
    force.setCutoffDistance(0.8)
    force.setReciprocalSpaceForceGroup(1)
    system.addForce(openmm.CustomExternalForce("0"))
    system.addForce(force)
    corners = np.stack(np.meshgrid(*[np.arange(2)] * 3), axis=-1).reshape(-1, 3)
    crystal = Subject.of(system, 7.0 * corners + np.random.default_rng(0).normal(scale=0.3, size=(8, 3)))
    whole = forces(crystal.context(openmm.VerletIntegrator(0.001), "Reference"))
    nothing, pairs = platforms._by_force(crystal, "Reference")
    np.testing.assert_allclose(pairs, whole, rtol=1e-9, atol=1e-9)
    assert not nothing.any()
    system.getForce(1).setReciprocalSpaceForceGroup(7)
    _, pairs = platforms._by_force(Subject.of(system, crystal.positions), "Reference")
    np.testing.assert_allclose(pairs, whole, rtol=1e-9, atol=1e-9)


def test_a_force_that_is_wrong_on_one_atom_is_found() -> None:
    right = np.random.default_rng(0).normal(size=(100, 3))
    wrong = right.copy()
    wrong[17] *= 1.01
    assert [check.status for check in difference_checks("x", right * (1 + 1e-7), right)] == ["passed", "passed"]
    assert [check.status for check in difference_checks("x", wrong, right)] == ["passed", "failed"]
    assert [check.status for check in difference_checks("x", right * 1.0001, right)] == ["failed", "passed"]
    assert status(difference_checks("x", right * np.nan, right)) == {"failed"}


def test_forces_are_derivatives() -> None:
    assert derivatives.force_check(subject(), 3, seed=0).status == "passed"


@pytest.mark.parametrize("method", ["PME", "Ewald", "CutoffPeriodic", "LJPME"])
def test_a_cutoff_is_no_wrong_force(method: str) -> None:
    """Pairs that pass the cutoff within a step make the energy jump."""
    rng = np.random.default_rng(0)
    system, force = openmm.System(), openmm.NonbondedForce()
    system.setDefaultPeriodicBoxVectors(*np.diag([2.0, 2.0, 2.0]))
    grid = np.stack(np.meshgrid(*[np.arange(5)] * 3), axis=-1).reshape(-1, 3)[:124]
    for number in range(len(grid)):
        system.addParticle(16.0)
        force.addParticle(0.4 * (-1) ** number, 0.3, 0.6)
    force.setNonbondedMethod(getattr(openmm.NonbondedForce, method))
    force.setCutoffDistance(0.8)
    system.addForce(force)
    crystal = Subject.of(system, 4.0 * grid + rng.normal(scale=0.3, size=(len(grid), 3)))
    assert derivatives.force_check(crystal, 10, 0).status == "passed"
    unchanged = openmm.XmlSerializer.clone(system)
    assert openmm.XmlSerializer.serialize(crystal.system) == openmm.XmlSerializer.serialize(unchanged)


def test_virtual_sites_move_with_their_atoms() -> None:
    """Two waters whose negative charge is a virtual site."""
    system, force = openmm.System(), openmm.NonbondedForce()
    for first in (0, 4):
        for mass, charge in ((16.0, 0.0), (1.0, 0.5), (1.0, 0.5), (0.0, -1.0)):
            system.addParticle(mass)
            force.addParticle(charge, 0.3, 0.1)
        system.setVirtualSite(first + 3, openmm.ThreeParticleAverageSite(first, first + 1, first + 2, 0.8, 0.1, 0.1))
        for i, j in combinations(range(first, first + 4), 2):
            force.addException(i, j, 0.0, 0.3, 0.0)
    system.addForce(force)
    water = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0], [0.0, 0.0, 0.0]])
    waters = Subject.of(system, np.concatenate([water, water + np.array([0.5, 1.0, 3.0])]))
    assert derivatives.force_check(waters, 6, 0).status == "passed"


def test_a_scaled_force_is_no_derivative() -> None:
    centre = np.random.default_rng(1).normal(size=(5, 3))

    def energy(positions: NDArray[np.float64]) -> float:
        return float(np.square(positions - centre).sum() ** 1.5)

    positions = centre + np.random.default_rng(2).normal(size=(5, 3))
    moved = positions - centre
    forces = -3.0 * np.sqrt(np.square(moved).sum()) * moved
    assert derivatives.differences_check(energy, forces, positions, np.arange(5)).status == "passed"
    forces[3, 1] *= 1.001
    assert derivatives.differences_check(energy, forces, positions, np.arange(5)).status == "failed"


def test_derivatives_by_parameters() -> None:
    model = forcefield(bonds="morse", angles="spline8", cross=("angle",), pairs="inner")
    checks = derivatives.parameter_checks(model, frames(1)[0])
    assert status(checks) == {"passed"}
    assert len(checks) == len(model.groups)


def test_a_wrong_derivative_by_a_parameter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Harmonic.design

    def wrong(self: Harmonic, *arguments: object) -> object:
        energies, slopes = right(self, *arguments)  # type: ignore[arg-type]
        return energies * 1.0001, slopes

    monkeypatch.setattr(Harmonic, "design", wrong)
    found = {check.name: check.status for check in derivatives.parameter_checks(forcefield(), frames(1)[0])}
    assert found["parameters, bonds"] == found["parameters, angles"] == "failed"
    assert found["parameters, propers"] == "passed"


def test_energy_is_conserved() -> None:
    assert drift.drift_check(subject(), "Reference", SHORT).status != "failed"


def test_an_energy_that_is_not_conserved_is_found() -> None:
    """Springs whose energy has steps without a force: the total energy jumps whenever a bond crosses one."""
    system, _ = molecule()
    jumps = openmm.CustomBondForce("5*floor(60*r)")
    jumps.addBond(0, 1)
    system.addForce(jumps)
    settings = replace(SHORT, checks=("derivatives",))
    ((_, wrong),) = drift.constant_energy(Subject.of(system, ETHANOL), "Reference", settings, [0.5], 0.2)
    ((_, sound),) = drift.constant_energy(subject(), "Reference", settings, [0.5], 0.2)
    assert wrong[0].std() > 5.0 * sound[0].std()


def test_runs_start_alike_at_each_time_step_and_differ_from_each_other() -> None:
    settings = replace(SHORT, runs=3)
    (times, whole), (other_times, half) = drift.constant_energy(subject(), "Reference", settings, [0.5, 0.25], 0.4)
    assert whole.shape == half.shape == (3, 200)
    assert (times[-1], other_times[-1]) == pytest.approx((0.4, 0.4))
    starts = whole.mean(axis=1)
    np.testing.assert_allclose(half.mean(axis=1), starts, atol=0.1)
    assert np.abs(np.subtract.outer(starts, starts))[np.triu_indices(3, 1)].min() > 0.5


def test_the_drift_is_the_slope_per_degree_of_freedom(monkeypatch: pytest.MonkeyPatch) -> None:
    """A total energy that rises by 0.01 kT per ps and degree of freedom drifts by 10 kT/ns."""
    n_dof = degrees_of_freedom(subject().system)

    def rising(*_: object) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        time = np.linspace(0.0, 10.0, 50)
        return [(time, np.tile(0.01 * BOLTZMANN * KELVIN * n_dof * time, (2, 1)))]

    monkeypatch.setattr(drift, "constant_energy", rising)
    check = drift.drift_check(subject(), "Reference", SHORT)
    assert check.value == pytest.approx(10.0, rel=1e-9)
    assert check.status == "failed"


def thermal(temperature: float, number: int = 4000, seed: int = 0) -> physical.Sample:
    """Energies of ethanol's degrees of freedom as harmonic oscillators: gamma distributions."""
    n_dof = degrees_of_freedom(subject().system)
    rng = np.random.default_rng(seed)
    potential, kinetic = rng.gamma(n_dof / 2, BOLTZMANN * temperature, size=(2, number))
    return physical.Sample(temperature, potential, kinetic)


def test_kinetic_energies_of_the_canonical_ensemble() -> None:
    pytest.importorskip("physical_validation")
    assert status(physical.kinetic_checks(subject(), thermal(KELVIN), KELVIN, 0)) == {"passed"}


def test_another_temperature_and_scaled_velocities_are_found() -> None:
    pytest.importorskip("physical_validation")
    hot, sound = thermal(1.05 * KELVIN), thermal(KELVIN)
    assert "failed" in status(physical.kinetic_checks(subject(), hot, KELVIN, 0))
    scaled = replace(sound, kinetic=1.02**2 * sound.kinetic)
    assert "failed" in status(physical.kinetic_checks(subject(), scaled, KELVIN, 0))
    # Velocities rescaled to one temperature have the right mean and no width.
    narrow = replace(sound, kinetic=sound.kinetic.mean() + 0.5 * (sound.kinetic - sound.kinetic.mean()))
    found = {check.name: check.status for check in physical.kinetic_checks(subject(), narrow, KELVIN, 0)}
    assert found == {"kinetic energy, mean": "passed", "kinetic energy, width": "failed"}


def test_ensembles_at_two_temperatures() -> None:
    pytest.importorskip("physical_validation")
    first, second = thermal(KELVIN), thermal(360.0, seed=1)
    assert physical.ensemble_check(subject(), first, second).status == "passed"
    wrong = replace(thermal(345.0, seed=1), temperature=360.0)
    assert physical.ensemble_check(subject(), first, wrong).status == "failed"


def test_the_second_temperature_lies_two_deviations_away() -> None:
    run = thermal(KELVIN)
    deviation = run.potential.std()
    assert physical.second_temperature(run) == pytest.approx(
        min(1.5 * KELVIN, KELVIN + 2 * BOLTZMANN * KELVIN**2 / deviation)
    )


def test_fluctuations_fall_with_the_square_of_the_time_step() -> None:
    pytest.importorskip("physical_validation")
    waves = np.sin(np.linspace(0.0, 40.0, 400)) + np.arange(4.0)[:, None]
    assert physical.convergence_check({1.0: 4.0 * waves, 0.5: waves}).status == "passed"
    assert physical.convergence_check({1.0: 2.0 * waves, 0.5: waves}).status == "failed"


def test_runs_that_differ_leave_the_ratio_of_fluctuations_open() -> None:
    """One of four runs that has the wrong ratio does not tell; the error is that of the library's value by hand."""
    pytest.importorskip("physical_validation")
    wave = np.sin(np.linspace(0.0, 40.0, 400))
    factors = np.array([4.0, 4.0, 4.0, 8.0])[:, None]
    found = physical.convergence_check({1.0: factors * wave, 0.5: np.tile(wave, (4, 1))})
    ratios = np.sqrt([np.mean(np.delete(factors, run) ** 2) for run in range(4)])
    assert found.value == pytest.approx(np.sqrt(np.mean(factors**2)) / 4.0 - 1.0)
    assert found.error == pytest.approx(np.sqrt(0.75 * np.sum((ratios / 4.0 - np.mean(ratios / 4.0)) ** 2)))
    assert found.status == "open"


def test_all_checks_of_a_sound_system() -> None:
    pytest.importorskip("physical_validation")
    system, _ = molecule()
    system.addForce(openmm.CMMotionRemover())
    settings = replace(SHORT, platforms=("Reference",), sample_ps=20.0)
    result = oh.validate(system, ETHANOL, model=forcefield(), settings=settings, progress=False)
    assert result.passed, str(result)
    assert result.notes == ("CMMotionRemover of the System was left out.",)
    assert system.getForce(system.getNumForces() - 1).getName() == "CMMotionRemover"
    names = " ".join(check.name for check in result.checks)
    assert all(word in names for word in ("finite differences", "parameters", "drift", "kinetic", "fs", "ensembles"))
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["passed"] is True


def test_runs_too_short_for_a_test_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be tested is named, and the other checks are there."""
    pytest.importorskip("physical_validation")
    monkeypatch.setattr(physical, "sample", lambda *_: thermal(KELVIN, number=3))
    settings = replace(SHORT, checks=("derivatives", "ensemble"), platforms=("Reference",))
    result = oh.validate(molecule()[0], ETHANOL, settings=settings, progress=False)
    assert [check.name for check in result.checks] == ["forces, finite differences"]
    assert "cannot test the ratio of the ensembles" in " ".join(result.notes)


def test_dynamics_that_end_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(*_: object) -> None:
        raise openmm.OpenMMException("Particle coordinate is NaN")

    pytest.importorskip("physical_validation")
    monkeypatch.setattr(physical, "sample", ends)
    settings = replace(SHORT, checks=("kinetic",), platforms=("Reference",))
    result = oh.validate(molecule()[0], ETHANOL, settings=settings, progress=False)
    assert not result.passed
    assert "Particle coordinate is NaN" in result.verdict
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["checks"][0]["value"] is None


def test_the_two_runs_of_the_ensemble_are_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs with one seed have proportional velocities at the start and the same noise."""
    pytest.importorskip("physical_validation")
    made: list[physical.Sample] = []
    right = physical.sample

    def short(subject: Subject, platform: str, settings: ValidateSettings, temperature: float, run: int = 0) -> object:
        made.append(right(subject, platform, settings, KELVIN, run))  # one temperature: the seeds alone differ
        return replace(made[-1], temperature=temperature)

    monkeypatch.setattr(physical, "sample", short)
    monkeypatch.setattr(physical, "_EQUILIBRATION", 0)
    settings = replace(SHORT, checks=("ensemble",), platforms=("Reference",), sample_ps=0.5)
    oh.validate(molecule()[0], ETHANOL, settings=settings, progress=False)
    first, second = made
    assert np.abs(first.kinetic - second.kinetic).max() > 0.01


@pytest.mark.parametrize("check", ["kinetic", "ensemble", "timestep"])
def test_dynamics_that_blow_up_are_a_failure(monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    """On the Reference platform OpenMM goes on with energies that are not finite."""
    pytest.importorskip("physical_validation")
    monkeypatch.setattr("openmm_hybrid.validation.validate._at_temperature", lambda subject, *_: subject)
    settings = replace(SHORT, checks=(check,), platforms=("Reference",), timestep=5.0)
    result = oh.validate(molecule()[0], ETHANOL, settings=settings, progress=False)
    assert [made.status for made in result.checks] == ["failed"]
    assert re.search(r"1 of 1 checks failed: dynamics .*blew up at a time step of .*shorter time step", result.verdict)


def test_the_ensemble_is_tried_where_the_kinetic_energy_cannot_be_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise NumericalError("physical_validation cannot test the distribution of the kinetic energy")

    pytest.importorskip("physical_validation")
    monkeypatch.setattr(physical, "sample", lambda *given: thermal(given[3]))
    monkeypatch.setattr(physical, "kinetic_checks", fails)
    settings = replace(SHORT, checks=("kinetic", "ensemble"), platforms=("Reference",))
    result = oh.validate(molecule()[0], ETHANOL, settings=settings, progress=False)
    assert len(result.checks) == len(result.notes) == 1
    assert result.checks[0].name.startswith("ensembles at")


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_a_blow_up_before_the_checks_is_one_line(tmp_path: Path, platform: str) -> None:
    """OpenMM's own error (CPU), or a geometry that is not finite (Reference)."""
    save_system(tmp_path / "built", *molecule(), ETHANOL)
    arguments = ["validate", str(tmp_path / "built"), "--timestep", "5", "--platform", platform, "--check", "drift"]
    outcome = CliRunner().invoke(app, [*arguments, "--quick"])
    assert isinstance(outcome.exception, SystemExit), outcome.exception
    assert outcome.exit_code == 2
    assert re.search(r"dynamics to the geometry of the checks.*blew up.*shorter time step", outcome.output, re.DOTALL)


def test_refusals() -> None:
    system, _ = molecule()
    with pytest.raises(MismatchError, match="positions"):
        oh.validate(system, ETHANOL[:5], progress=False)
    with pytest.raises(InputError, match="'Wrong' cannot run"):
        oh.validate(system, ETHANOL, settings=ValidateSettings(platforms=("Wrong",)), progress=False)
    for wrong in ({"runs": 1}, {"drift_ps": -1.0}, {"checks": ("drit",)}, {"temperature": float("nan")}):
        with pytest.raises(InputError):
            ValidateSettings(**wrong)


def test_long_dynamics_are_told_before_they_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openmm_hybrid.validation.validate._steps", lambda *_: iter(()))

    def run(settings: ValidateSettings) -> None:
        oh.validate(molecule()[0], ETHANOL, settings=settings, progress=False)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(SHORT)
        run(replace(SHORT, checks=("kinetic",), drift_ps=1e9))
    for checks in (("drift",), ("drift", "timestep")):
        with pytest.warns(UserWarning, match=r"9 particles on the Reference platform will take: drift [0-9]+ min"):
            run(replace(SHORT, checks=checks, drift_ps=1e9))


def test_a_missing_package_is_named_before_any_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "physical_validation", None)
    monkeypatch.setattr("openmm_hybrid.validation.validate.drift_check", lambda *_: pytest.fail("a run began"))
    settings = replace(SHORT, checks=("drift", "kinetic"), platforms=("Reference",))
    with pytest.raises(MissingDependencyError, match="physical_validation"):
        oh.validate(molecule()[0], ETHANOL, settings=settings, progress=False)


def test_lengths_count_beside_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[ValidateSettings] = []

    def noted(*_: object, settings: ValidateSettings, **__: object) -> Validation:
        found.append(settings)
        return Validation((), {})

    monkeypatch.setattr("openmm_hybrid.validation.validate.validate", noted)
    save_system(tmp_path / "built", *molecule(), ETHANOL)
    for options in ([], ["--quick"], ["--quick", "--runs", "7"]):
        CliRunner().invoke(app, ["validate", str(tmp_path / "built"), *options], catch_exceptions=False)
    assert [(each.runs, each.drift_ps, each.n_atoms) for each in found] == [(4, 100.0, 30), (2, 1.0, 5), (7, 1.0, 5)]


def test_the_command(tmp_path: Path) -> None:
    system, topology = molecule()
    save_system(tmp_path / "built", system, topology, ETHANOL)
    arguments = ["validate", "--check", "derivatives", "--check", "platforms", "--quick"]
    for given in ("built", "built/system.xml"):
        done = CliRunner().invoke(app, [*arguments, str(tmp_path / given), "-o", str(tmp_path / "out.json")])
        assert done.exit_code == 0, done.output
        assert "No check failed" in done.stdout
        assert json.loads((tmp_path / "out.json").read_text())["passed"] is True
    assert CliRunner().invoke(app, [*arguments, str(tmp_path / "absent")]).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "--solvated", str(tmp_path / "built")]).exit_code == 2


def test_a_system_file_has_no_box_of_water(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["validate", str(tmp_path / "system.xml"), "--solvated"])
    assert outcome.exit_code == 2
    assert "refine --solvate" in outcome.output


def test_the_command_fails_with_a_failed_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Validation((Check("forces", 1.0, 0.1, "1", "a source"),), {})
    monkeypatch.setattr("openmm_hybrid.validation.validate.validate", lambda *_, **__: failed)
    system, topology = molecule()
    save_system(tmp_path / "built", system, topology, ETHANOL)
    done = CliRunner().invoke(app, ["validate", str(tmp_path / "built")])
    assert done.exit_code == 1
    assert "1 of 1 checks failed: forces." in done.stdout
