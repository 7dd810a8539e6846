"""The correction of a refined force field: its errors on frames that neither saw, its file, and runs with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.models.system import SystemModel
from openmm_hybrid.refinement.correct import Corrector
from openmm_hybrid.sgdml.gate import Gated

PLAIN = oh.RefineSettings(
    engine="mmff94", n_conformers=4, n_first=300, n_fresh=40, rounds=1, n_profile=0, hot_ps=0.0
)  # fmt: skip
SETTINGS = replace(PLAIN, correct=True)


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> oh.Refined:
    """Methanol after one round, with a correction."""
    return oh.refine("CO", tmp_path_factory.mktemp("methanol") / "out", SETTINGS, progress=False)


def test_the_errors_are_smaller_on_frames_that_neither_saw(refined: oh.Refined) -> None:
    errors = refined.correction_errors
    assert errors is not None
    assert errors.corrected_unseen < 0.8 * errors.unseen
    assert errors.corrected_sampled < 0.8 * errors.sampled
    assert errors.n_unseen == 300 // 8
    assert errors.n_sampled == 40
    assert errors.sampled == pytest.approx(refined.rounds[0].own_force, rel=1e-9)
    assert errors.unseen == pytest.approx(refined.rounds[0].unseen_force, rel=1e-6)


def test_the_errors_are_those_of_the_stored_models(refined: oh.Refined) -> None:
    fresh = oh.Frames.load(refined.path / "round-1" / "fresh.npz")
    again = oh.load(refined.path)
    assert isinstance(again, oh.Refined)
    assert again.correction_errors == refined.correction_errors
    assert again.correction is not None
    both = oh.Sum((again.forcefield, again.correction.in_molecule()))
    found = float(np.sqrt(np.mean((both.predict(fresh.positions)[1] - fresh.labels()[1]) ** 2)))
    assert again.correction_errors is not None
    assert again.correction_errors.corrected_sampled == pytest.approx(found, rel=1e-6)


def test_no_test_frame_is_near_a_training_frame(refined: oh.Refined) -> None:
    """A kernel model is nearly exact at its training frames."""
    correction, labels = refined.correction, refined.labels
    assert correction is not None
    assert isinstance(correction.model, Gated)
    assert refined.correction_errors is not None
    n_train = refined.correction_errors.n_train
    trained = np.sort(correction.model.distance.descriptors, axis=1)
    pairs = np.triu_indices(labels.n_atoms, k=1)
    difference = labels.positions[:, pairs[0]] - labels.positions[:, pairs[1]]
    described = np.sort(1.0 / np.linalg.norm(difference, axis=2), axis=1)
    near = np.abs(described[:, None] - trained[None]).max(axis=2).min(axis=1) < 1e-6
    left_out = json.loads((refined.path / "round-1" / "fit.json").read_text(encoding="utf-8"))["left_out"]
    assert near.sum() == n_train
    assert not near[left_out].any()
    assert not near[-40:].any()


def test_the_same_call_does_not_train_again(refined: oh.Refined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openmm_hybrid.correction.train", _fails)
    without = oh.refine("CO", refined.path, PLAIN, progress=False)
    assert without.correction is None
    assert without.correction_errors is None
    assert not (refined.path / "correction.npz").exists()
    assert "orrection" not in (refined.path / "report.html").read_text(encoding="utf-8")
    again = oh.refine("CO", refined.path, SETTINGS, progress=False)
    assert again.correction_errors == refined.correction_errors
    assert again.correction is not None


def test_a_training_that_fails_leaves_the_finished_result(refined: oh.Refined, monkeypatch: pytest.MonkeyPatch) -> None:
    file = refined.path / "round-1" / "correction.npz"
    content = file.read_bytes()
    file.unlink()
    monkeypatch.setattr("openmm_hybrid.correction.train", _fails)
    try:
        with pytest.raises(NumericalError, match="no solution"):
            oh.refine("CO", refined.path, SETTINGS, progress=False)
        assert oh.Refined.load(refined.path).correction is not None
    finally:
        file.write_bytes(content)


def test_other_labels_are_trained_anew(refined: oh.Refined, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "correction.npz").write_bytes((refined.path / "round-1" / "correction.npz").read_bytes())
    monkeypatch.setattr("openmm_hybrid.correction.train", _fails)
    fewer = refined.labels[np.arange(100)]
    corrector = Corrector(
        oh.Molecule.from_smiles("CO"), refined.forcefield, fewer, unseen=np.arange(10), sampled=np.arange(10, 20),
        folder=tmp_path, progress=False,
    )  # fmt: skip
    with pytest.raises(NumericalError, match="no solution"):
        corrector.run()


def _fails(*_: object, **__: object) -> None:
    raise NumericalError("no solution")


def test_verdict_and_report_tell_the_errors(refined: oh.Refined) -> None:
    assert "With the correction, the force RMSE is" in refined.verdict
    content = json.loads((refined.path / "result.json").read_text(encoding="utf-8"))
    assert content["correction"]["n_sampled"] == 40
    page = (refined.path / "report.html").read_text(encoding="utf-8")
    assert "with the correction" in page
    assert "outer_timestep=2.0" in page


def test_a_correction_that_does_not_help_is_named(refined: oh.Refined) -> None:
    errors = refined.correction_errors
    assert errors is not None
    assert errors.helps
    assert str(replace(errors, corrected_sampled=2.0 * errors.sampled)).startswith("The correction does not help")


def test_the_system_is_without_the_correction_and_runs_with_it(refined: oh.Refined, tmp_path: Path) -> None:
    system, topology, positions = oh.load_system(refined.path / "system")
    alone = SystemModel(system, topology)
    np.testing.assert_allclose(
        alone.predict(positions[None])[1], refined.forcefield.predict(positions[None])[1], atol=1e-6
    )
    correction = refined.correction
    assert correction is not None
    run = oh.sample(
        system, topology, positions, models=[correction], timestep=0.5, outer_timestep=2.0, temperature=300,
        output=tmp_path / "run", n_steps=50, interval=10, equilibration=0, minimize=False, platform="Reference",
        progress=False,
    )  # fmt: skip
    assert np.isfinite(run.starts[0].positions).all()
    assert len(run.starts[0].positions) == 5
