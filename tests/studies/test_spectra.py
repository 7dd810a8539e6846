"""The study spectra: oscillators with known frequencies, ethanol, and runs that are stopped and resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray
from scipy import constants

import openmm_hybrid as oh
from openmm_hybrid.analysis import band_value, bands, vdos
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.studies import spectra_runs
from openmm_hybrid.studies.spectra import SpectraSettings, SpectraStudy
from openmm_hybrid.studies.spectra_result import SpectraResult
from openmm_hybrid.studies.spectra_runs import RunPlan, run
from openmm_hybrid.studies.subject import Predict, masses, model_labels, partial_charges, predictor, study_molecule
from openmm_hybrid.testing import StudySuite
from tests.helpers.oscillators import topology_of

K = 600.0  # kcal/mol/Å²
LENGTH = 1.2  # Å
CHLORIDE = oh.Molecule.from_smiles("Cl")
WEIGHTS = masses(CHLORIDE)
WAVENUMBER = np.sqrt(K * 4184.0 * 1e20 / constants.N_A / (WEIGHTS.prod() / WEIGHTS.sum() * constants.atomic_mass)) / (
    200.0 * np.pi * constants.speed_of_light
)
"""cm⁻¹: √(k/μ)/2πc."""


def harmonic(charge: float = 0.2) -> oh.ForceField:
    """Hydrogen chloride with a harmonic bond."""
    system, force = openmm.System(), openmm.HarmonicBondForce()
    nonbonded = openmm.NonbondedForce()
    for weight, sign in zip(WEIGHTS, (-1, 1), strict=True):
        system.addParticle(weight)
        nonbonded.addParticle(sign * charge, 0.3, 0.0)
    nonbonded.addException(0, 1, 0.0, 0.1, 0.0)
    force.addBond(0, 1, 0.1 * LENGTH, K * 418.4)
    system.addForce(force)
    system.addForce(nonbonded)
    topology = topology_of(["Cl", "H"])
    topology.addBond(*topology.atoms())
    return oh.ForceField.from_system(system, topology)


class Morse(EnergyModel):
    """E = D (1 − exp(−a (r − r0)))² of hydrogen chloride."""

    depth = 100.0

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        return CHLORIDE.atomic_numbers

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        a = np.sqrt(K / (2 * self.depth))
        difference = positions[:, 1] - positions[:, 0]
        r = np.linalg.norm(difference, axis=-1)
        decay = np.exp(-a * (r - LENGTH))
        pull = (2 * a * self.depth * (1 - decay) * decay / r)[:, None] * difference
        return self.depth * (1 - decay) ** 2, np.stack([pull, -pull], axis=1)


def settings_for(folder: Path) -> SpectraSettings:
    model = harmonic().save(folder / "spring.npz")
    return SpectraSettings(
        "Cl", models=(str(model),), temperatures=(100.0, 300.0), n_runs=4, picoseconds=0.5, equilibration=0.1
    )


class TestSpectra(StudySuite):
    @pytest.fixture
    def study(self) -> SpectraStudy:
        return SpectraStudy()

    @pytest.fixture
    def settings(self, tmp_path: Path) -> SpectraSettings:
        return settings_for(tmp_path)

    @pytest.fixture
    def other_settings(self, settings: SpectraSettings) -> SpectraSettings:
        return replace(settings, seed=1)


def study(settings: SpectraSettings, folder: Path) -> SpectraResult:
    return SpectraStudy().run(settings, folder, progress=False)


def plan(**changes: float) -> RunPlan:
    start = np.array([[0.0, 0.0, 0.0], [LENGTH, 0.0, 0.0]])
    made = RunPlan(
        start, CHLORIDE.atomic_numbers, WEIGHTS, CHLORIDE.bonds, 300.0, 0.25, 8,
        n_equilibration=300, n_frames=1000, n_runs=8, seed=3,
    )  # fmt: skip
    return replace(made, **changes)


@pytest.mark.parametrize("timestep", [0.5, 1.0])
def test_a_harmonic_oscillator_has_its_frequency(timestep: float, tmp_path: Path) -> None:
    settings = replace(settings_for(tmp_path), picoseconds=2.0, timestep=timestep, n_runs=8)
    result = study(settings, tmp_path / "study")
    (model,) = result.models
    (band,) = model.bands
    assert model.harmonic == pytest.approx([WAVENUMBER], abs=0.05)
    for value in model.values(band):
        assert value.position == pytest.approx(WAVENUMBER, abs=0.5)
        assert value.power == pytest.approx(1.0, abs=0.001)  # 3 · 2 − 5 modes
    figures = result.as_dict()["figures"]
    assert abs(figures[f"shift.spring.{band.name}"]["value"]) < 0.2
    assert figures[f"harmonic.spring.{band.name}"]["value"] == pytest.approx(WAVENUMBER, abs=0.05)
    # Double harmonic intensity of a diatomic with charges ±q, km/mol.
    reduced = WEIGHTS.prod() / WEIGHTS.sum()
    expected = constants.N_A * (0.2 * constants.e) ** 2 / (
        12e3 * constants.epsilon_0 * constants.speed_of_light**2 * reduced * constants.atomic_mass
    )  # fmt: skip
    assert model.intensities(band) == pytest.approx([expected, expected], rel=0.01)


def test_a_morse_oscillator_shifts_red_as_its_energy_says(tmp_path: Path) -> None:
    positions = []
    for temperature in (100.0, 400.0):
        runs = run(plan(temperature=temperature), Morse().evaluate, tmp_path / f"{temperature}.npz", "", progress=False)
        spectrum = vdos(runs.velocities, WEIGHTS, 2.0, n_modes=1, timestep=0.25)
        value = band_value(spectrum, bands([WAVENUMBER], margin=300.0)[0])
        # At the energy E a Morse oscillator has the frequency ω₀ √(1 − E/D).
        energies, weights = runs.energies.mean(axis=1), runs.kinetic.mean(axis=1)
        expected = WAVENUMBER * np.average(np.sqrt(1 - energies / Morse.depth), weights=weights)
        assert value.position == pytest.approx(expected, abs=1.0)
        positions.append(value.position)
    assert positions[1] < positions[0] - 5.0


def test_runs_keep_their_energy_and_are_at_the_temperature(tmp_path: Path) -> None:
    runs = run(
        plan(n_runs=64, n_equilibration=200, n_frames=400),
        predictor(harmonic()),
        tmp_path / "runs.npz",
        "",
        progress=False,
    )
    drift = runs.drift(2.0)
    assert abs(drift.value) < 1e-4
    assert drift.fluctuation < 0.01
    # Energies of one oscillator are exponential, with the mean kT and an error of kT/√n.
    assert runs.temperature(1) == pytest.approx(300.0, abs=4 * 300.0 / 8.0)
    momentum = np.einsum("a,rfai->rfi", WEIGHTS, runs.velocities)
    np.testing.assert_allclose(momentum, 0.0, atol=1e-6)


def test_ethanol_at_low_temperature_has_its_harmonic_frequencies(tmp_path: Path) -> None:
    settings = SpectraSettings(
        "C(C)O", models=("ethanol-gaff",), temperatures=(20.0,), n_runs=12, picoseconds=3.0, equilibration=0.6,
        timestep=1.0, n_conformers=3,
    )  # fmt: skip
    (model,) = study(settings, tmp_path).models
    spectrum = model.spectra[0].vdos
    assert spectrum.density @ spectrum.steps == pytest.approx(21.0)
    assert sum(len(band.harmonic) for band in model.bands) == 21
    for band in model.bands:
        (value,) = model.values(band)
        spread = 0.5 * (band.harmonic[-1] - band.harmonic[0])  # the runs may prefer one of the modes
        assert value.position == pytest.approx(band.centre, abs=6.0 + spread), band.name
    assert model.slope(model.bands[0]) is None


def stopping(predict: Predict, calls: int) -> Predict:
    """The same energies and forces, until Ctrl-C after a number of calls."""
    left = iter(range(calls))

    def stopped(positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return predict(positions)

    return stopped


def test_a_stopped_run_resumes_to_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short, predict = plan(n_equilibration=20, n_frames=40), predictor(harmonic())
    whole = run(short, predict, tmp_path / "whole.npz", "", progress=False)
    monkeypatch.setattr(spectra_runs, "_SAVE_EVERY", 0.0)
    for calls in (100, 150, 83, 60):  # 480 calls are needed, and one after each start
        with pytest.raises(KeyboardInterrupt):
            run(short, stopping(predict, calls), tmp_path / "parts.npz", "", progress=False)
    resumed = run(short, stopping(predict, 150), tmp_path / "parts.npz", "", progress=False)
    np.testing.assert_array_equal(resumed.velocities, whole.velocities)
    np.testing.assert_array_equal(resumed.energies, whole.energies)
    again = run(short, stopping(predict, 0), tmp_path / "parts.npz", "", progress=False)
    np.testing.assert_array_equal(again.kinetic, whole.kinetic)
    with pytest.raises(InputError, match="belongs to another"):
        run(replace(short, seed=4), predict, tmp_path / "parts.npz", "", progress=False)


def test_models_and_temperatures_can_be_added(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    study(settings, tmp_path / "study")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "study").rglob("*.npz")}
    stiff = harmonic(0.0).save(tmp_path / "other.npz")
    more = replace(
        settings, models=(*settings.models, str(stiff)), temperatures=(100.0, 200.0, 300.0), marker=(2900.0,)
    )
    result = study(more, tmp_path / "study")
    assert [model.label for model in result.models] == ["spring", "other"]
    assert [len(model.spectra) for model in result.models] == [3, 3]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    files = result.save(tmp_path / "kept")
    assert [file.suffix for file in files] == [".json", ".csv", ".png", ".svg", ".png", ".svg"]
    header, first = files[1].read_text().splitlines()[:2]
    assert len(header.split(",")) == len(first.split(",")) == 5
    harmonic(0.1).save(tmp_path / "other.npz")
    with pytest.raises(InputError, match="belongs to another model"):
        study(more, tmp_path / "study")


def test_runs_that_lose_a_bond_are_left_out(tmp_path: Path) -> None:
    weak = Morse()
    weak.depth = 3.0
    some = run(plan(temperature=350.0), weak.evaluate, tmp_path / "some.npz", "", progress=False)
    assert 0 < (~some.kept).sum() < 5
    assert np.isfinite(some.velocities).all()
    with pytest.raises(NumericalError, match="lost a bond"):
        run(plan(temperature=2000.0), weak.evaluate, tmp_path / "hot.npz", "", progress=False)


def test_molecules_of_files_and_names_of_models(tmp_path: Path) -> None:
    assert study_molecule("CCO").n_atoms == 9
    with pytest.raises(InputError):
        study_molecule(str(tmp_path))
    named = ("gfn2", "a/b.npz", "pyscf:pbe/def2-svp", str(tmp_path))
    assert list(model_labels(named)) == ["gfn2", "b", "pyscf_pbe_def2-svp", tmp_path.name]
    for names in ((), ("a/m.npz", "b/m.npz")):
        with pytest.raises(InputError, match="different names"):
            model_labels(names)
    np.testing.assert_allclose(partial_charges(oh.Sum((Morse(), harmonic()))), [-0.2, 0.2])
    assert partial_charges(Morse()) is None
    np.testing.assert_allclose(partial_charges(harmonic()), [-0.2, 0.2])
    inner = oh.ForceField.load("ethanol-cross")
    assert partial_charges(inner) is not None


def test_the_molecule_of_a_refinement_has_its_order_of_atoms(tmp_path: Path) -> None:
    model, molecule = oh.ForceField.load("ethanol-cross"), oh.Molecule.from_smiles("C(C)O", n_conformers=3)
    energies, forces = np.array([1.0, 0.0, 2.0]), np.zeros((3, 9, 3))
    oh.Frames(molecule.atomic_numbers, molecule.conformers, energies, forces).save(tmp_path / "labels.npz")
    model.save(tmp_path / "forcefield.npz")
    checks = {"minima": None, "hot_run": None, "profiles": [], "left_out": [], "problems": []}
    content = {"rounds": [], "chosen": 1, "verdict": "", "converged": True, "checks": checks, "correction": None}
    (tmp_path / "result.json").write_text(json.dumps(content | {"molecule": "CCO"}))
    found = study_molecule(str(tmp_path))
    np.testing.assert_array_equal(found.bonds, model.bonds)
    np.testing.assert_allclose(found.positions, molecule.conformers[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_runs": 1}, "2 or more"),
        ({"temperatures": (300.0, 100.0)}, "rising order"),
        ({"temperatures": ()}, "rising order"),
        ({"timestep": 3.0}, "at most 2 fs"),
        ({"picoseconds": 0.1}, "100 frames"),
        ({"gap": 0.0}, "above zero"),
        ({"smoothing": -1.0}, "above zero"),
        ({"models": ()}, "one or more"),
        ({"charges": "am2-bcc"}, "am1-bcc"),
    ],
)
def test_settings_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SpectraSettings("CCO"), **change)


def test_the_document_has_the_figures(tmp_path: Path) -> None:
    result = study(settings_for(tmp_path), tmp_path / "study")
    content = json.loads(result.save(tmp_path / "study")[0].read_text())
    (band,) = result.models[0].bands
    names = {name.split(".")[0] for name in content["figures"]}
    assert {"shift", "shift_error", "harmonic", "position", "modes", "infrared", "drift", "temperature"} <= names
    assert f"shift_error.spring.{band.name}" in content["figures"]
    assert content["harmonic"]["spring"] == pytest.approx([WAVENUMBER], abs=0.05)
    assert "spring" in result.table()
