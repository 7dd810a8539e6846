"""The study spectra: oscillators with known frequencies, ethanol, and runs that are stopped and resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import constants

from openmm_hybrid.analysis import band_value, bands, vdos
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.studies import batched_dynamics
from openmm_hybrid.studies.batched_dynamics import Batch, BatchPlan, run_batch
from openmm_hybrid.studies.spectra import SpectraSettings, SpectraStudy
from openmm_hybrid.studies.spectra_result import SpectraResult
from openmm_hybrid.studies.subject import Equilibrium, Predict, predictor
from openmm_hybrid.testing import StudySuite
from tests.helpers.hydrogen_chloride import CHLORIDE, LENGTH, WAVENUMBER, WEIGHTS, Morse, harmonic


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


START = np.array([[[0.0, 0.0, 0.0], [LENGTH, 0.0, 0.0]]])


def plan(**changes: float) -> BatchPlan:
    made = BatchPlan(
        CHLORIDE.atomic_numbers, CHLORIDE.bonds, 300.0, 0.25, 8, n_equilibration=300, stride=1, n_frames=1000,
        n_runs=8, seed=3, constant_energy=True,
    )  # fmt: skip
    return replace(made, **changes)


def run(wanted: BatchPlan, predict: Predict, path: Path) -> Batch:
    return run_batch(wanted, predict, lambda: START, path, "", progress=False)


@pytest.mark.parametrize("timestep", [0.5, 1.0])
def test_a_harmonic_oscillator_has_its_frequency(timestep: float, tmp_path: Path) -> None:
    settings = replace(settings_for(tmp_path), picoseconds=1.0, timestep=timestep, n_runs=8)
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
        runs = run(plan(temperature=temperature), Morse().evaluate, tmp_path / f"{temperature}.npz")
        spectrum = vdos(runs.frames, WEIGHTS, 2.0, n_modes=1, timestep=0.25)
        value = band_value(spectrum, bands([WAVENUMBER], margin=300.0)[0])
        # At the energy E a Morse oscillator has the frequency ω₀ √(1 − E/D).
        energies, weights = runs.energies.mean(axis=1), runs.kinetic.mean(axis=1)
        expected = WAVENUMBER * np.average(np.sqrt(1 - energies / Morse.depth), weights=weights)
        assert value.position == pytest.approx(expected, abs=1.0)
        positions.append(value.position)
    assert positions[1] < positions[0] - 5.0


def test_runs_keep_their_energy_and_are_at_the_temperature(tmp_path: Path) -> None:
    runs = run(
        plan(n_runs=64, n_equilibration=200, n_frames=200),
        predictor(harmonic()),
        tmp_path / "runs.npz",
    )
    drift = runs.drift(2.0)
    assert abs(drift.value) < 1e-4
    assert drift.fluctuation < 0.01
    # Energies of one oscillator are exponential, with the mean kT and an error of kT/√n.
    assert runs.temperature(1) == pytest.approx(300.0, abs=4 * 300.0 / 8.0)
    momentum = np.einsum("a,rfai->rfi", WEIGHTS, runs.frames)
    np.testing.assert_allclose(momentum, 0.0, atol=1e-6)


class Straight(EnergyModel):
    """Carbon dioxide: ½k (r − r0)² of both bonds, and k' (1 + cos θ) of the angle."""

    length, stretch, bend = 1.16, 2000.0, 110.0

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        return np.array([8, 6, 8])

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        arms = positions[:, [0, 2]] - positions[:, [1]]
        r = np.linalg.norm(arms, axis=-1, keepdims=True)
        units, cosine = arms / r, (arms / r).prod(axis=1).sum(axis=-1)
        slopes = self.stretch * (r - self.length) * units
        slopes += self.bend * (units[:, ::-1] - cosine[:, None, None] * units) / r
        energies = 0.5 * self.stretch * ((r - self.length) ** 2).sum(axis=(1, 2)) + self.bend * (1.0 + cosine)
        return energies, np.stack([-slopes[:, 0], slopes.sum(axis=1), -slopes[:, 1]], axis=1)


def test_a_linear_molecule_has_both_bends(tmp_path: Path) -> None:
    molecule, model = Molecule.from_smiles("O=C=O"), Straight()
    order = np.argsort(molecule.atomic_numbers == 6, kind="stable")[[0, 2, 1]]
    molecule = Molecule.from_geometry([8, 6, 8], molecule.positions[order], template="O=C=O")
    minimum = Equilibrium.find(model.evaluate, molecule, tmp_path / "minimum.npz", n_conformers=1, seed=0)
    assert len(minimum.harmonic) == 4
    wanted = replace(SpectraSettings("O=C=O").plan(molecule, minimum, 300.0), n_runs=32, n_equilibration=60, n_frames=5)
    assert wanted.linear
    found = []
    for one, name in ((wanted, "linear.npz"), (replace(wanted, linear=False), "bent.npz")):
        runs = run_batch(one, model.evaluate, lambda: minimum.positions[None], tmp_path / name, "", progress=False)
        found.append(runs.temperature(4))
    assert found[0] / found[1] == pytest.approx(4 / 3, abs=0.2)  # a bent molecule has one vibration less
    assert "linear" in wanted.job
    assert "linear" not in plan().job  # files of molecules that are not linear, or have no bend, stay valid


def test_ethanol_at_low_temperature_has_its_harmonic_frequencies(tmp_path: Path) -> None:
    settings = SpectraSettings(
        "C(C)O", models=("ethanol-gaff",), temperatures=(20.0,), n_runs=8, picoseconds=2.0, equilibration=0.6,
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
    whole = run(short, predict, tmp_path / "whole.npz")
    monkeypatch.setattr(batched_dynamics, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(batched_dynamics, "_PAUSE", 0.0)
    for calls in (100, 150, 83, 60):  # 480 calls are needed, and one after each start
        with pytest.raises(KeyboardInterrupt):
            run(short, stopping(predict, calls), tmp_path / "parts.npz")
    resumed = run(short, stopping(predict, 150), tmp_path / "parts.npz")
    np.testing.assert_array_equal(resumed.frames, whole.frames)
    np.testing.assert_array_equal(resumed.energies, whole.energies)
    again = run(short, stopping(predict, 0), tmp_path / "parts.npz")
    np.testing.assert_array_equal(again.kinetic, whole.kinetic)
    with pytest.raises(InputError, match="belongs to another"):
        run(replace(short, seed=4), predict, tmp_path / "parts.npz")


def test_models_and_temperatures_can_be_added(tmp_path: Path) -> None:
    settings = replace(settings_for(tmp_path), temperatures=(100.0,))
    study(settings, tmp_path / "study")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "study").rglob("*.npz")}
    stiff = harmonic(0.0).save(tmp_path / "other.npz")
    more = replace(settings, models=(*settings.models, str(stiff)), temperatures=(100.0, 200.0), marker=(2900.0,))
    result = study(more, tmp_path / "study")
    assert [model.label for model in result.models] == ["spring", "other"]
    assert [len(model.spectra) for model in result.models] == [2, 2]
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
    some = run(plan(temperature=350.0), weak.evaluate, tmp_path / "some.npz")
    assert 0 < (~some.kept).sum() < 5
    assert np.isfinite(some.frames).all()
    with pytest.raises(NumericalError, match="lost a bond"):
        run(plan(temperature=2000.0), weak.evaluate, tmp_path / "hot.npz")


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
