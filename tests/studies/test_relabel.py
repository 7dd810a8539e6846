"""The study relabel: errors within and across two distributions, frames of a file, and work that is done once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.reference import label
from openmm_hybrid.reference.engine_model import EngineModel
from openmm_hybrid.studies import batched_dynamics, relabel
from openmm_hybrid.studies.relabel import RelabelSettings, RelabelStudy
from openmm_hybrid.studies.relabel_result import RelabelResult
from openmm_hybrid.studies.relabel_sets import Sizes, Teacher, set_of_runs
from openmm_hybrid.testing import StudySuite
from tests.helpers.hydrogen_chloride import CHLORIDE, LENGTH, Morse, harmonic
from tests.helpers.spring_engine import Spring

ETHANOL = oh.Molecule.from_smiles("C(C)O")


def stiff(factor: float) -> oh.ForceField:
    """Hydrogen chloride with another force constant."""
    model = harmonic()
    values = model.parameters.values.copy()
    values[[name.endswith("/k") for name in model.parameters.names]] *= factor
    return model.with_values(values)


def settings_for(folder: Path) -> RelabelSettings:
    sampler, teacher = harmonic().save(folder / "soft.npz"), stiff(1.5).save(folder / "stiff.npz")
    return RelabelSettings(
        "Cl", sampler=str(sampler), teacher=str(teacher), n_train=(6, 12), n_test=12, repeats=2, n_runs=8,
        picoseconds=0.2, equilibration=0.05, sigma=2.0, lam=1e-8, solver="direct",
    )  # fmt: skip


def study(settings: RelabelSettings, folder: Path) -> RelabelResult:
    return RelabelStudy().run(settings, folder, progress=False)


class TestRelabel(StudySuite):
    @pytest.fixture
    def study(self) -> RelabelStudy:
        return RelabelStudy()

    @pytest.fixture
    def settings(self, tmp_path: Path) -> RelabelSettings:
        return settings_for(tmp_path)

    @pytest.fixture
    def other_settings(self, settings: RelabelSettings) -> RelabelSettings:
        return replace(settings, seed=1)


def stretched(folder: Path) -> Path:
    """A poor force field of ethanol, whose bonds are too long."""
    model = oh.ForceField.load("ethanol-gaff")
    values = model.parameters.values.copy()
    values[[name.startswith("bonds/") and name.endswith("/r0") for name in model.parameters.names]] += 0.08
    return model.with_values(values).save(folder / "stretched.npz")


@pytest.fixture(scope="module")
def ethanol(tmp_path_factory: pytest.TempPathFactory) -> tuple[RelabelSettings, Path, RelabelResult]:
    folder = tmp_path_factory.mktemp("ethanol")
    settings = RelabelSettings(
        "C(C)O", sampler=str(stretched(folder)), teacher="ethanol-cross", n_train=(20, 40), n_test=40, repeats=4,
        n_runs=18, picoseconds=0.34, equilibration=0.1, n_conformers=3, solver="direct",
    )  # fmt: skip
    return settings, folder / "study", study(settings, folder / "study")


def test_errors_are_smaller_on_the_own_distribution(ethanol: tuple[RelabelSettings, Path, RelabelResult]) -> None:
    _, _, result = ethanol
    assert result.sets == ("stretched", "ethanol-cross")
    for test in result.sets:
        rise = result.cross_minus_same(test, 40)
        assert rise.value > 2.0 * rise.error, test
    for train in result.sets:
        same, cross = (result.errors[train, test, 40].force_mae for test in (train, result.other(train)))
        assert cross.value - same.value > np.hypot(cross.error, same.error), train
    first, second = (result.errors["ethanol-cross", "ethanol-cross", n].force_mae for n in (20, 40))
    assert second.value < first.value
    assert result.overlap.divergence > 2.0 * result.overlap.floor


def test_labels_are_those_of_the_teacher_and_sets_have_runs_of_their_own(
    ethanol: tuple[RelabelSettings, Path, RelabelResult],
) -> None:
    settings, folder, _ = ethanol
    teacher = oh.ForceField.load("ethanol-cross")
    for name in ("stretched", "ethanol-cross"):
        pool, test = (oh.Frames.load(folder / "frames" / f"{name}-{part}.npz") for part in ("train", "test"))
        assert (len(pool), len(test)) == (settings.repeats * 40, 40)
        for part in (pool, test):
            energies, forces = teacher.predict(part.positions)
            np.testing.assert_allclose(part.energies, energies, atol=1e-9)
            np.testing.assert_allclose(part.forces, forces, atol=1e-9)
            assert part.theory == "ethanol-cross"
        assert not oh.Frames.concatenate([pool, test]).duplicates()


def test_the_document_has_the_matrix(ethanol: tuple[RelabelSettings, Path, RelabelResult], tmp_path: Path) -> None:
    _, _, result = ethanol
    files = result.save(tmp_path)
    assert [path.name for path in files[2:]] == [
        f"{result.name}{ending}.{kind}" for ending in ("", "_distances") for kind in ("png", "svg")
    ]
    figures = json.loads(files[0].read_text())["figures"]
    for train in result.sets:
        for test in result.sets:
            for kind in ("mae", "rmse", "energy_mae", "energy_rmse"):
                assert (
                    figures[f"{kind}.{train}.{test}.40"]["value"] > figures[f"{kind}_error.{train}.{test}.40"]["value"]
                )
    assert figures["interval.stretched"] == {"value": 20.0, "unit": "fs"}
    assert figures["divergence.C–H"]["value"] > 0.0
    lines = result.table().splitlines()
    assert len(lines) == 1 + 4 + 1 + 2 + 1
    same = result.errors["stretched", "stretched", 20].force_mae
    assert f"{same.value:.3f} ± {same.error:.3f}" in lines[1]


def failing(*_: Any, **__: Any) -> Any:
    raise AssertionError("computed a second time")


def test_a_second_call_computes_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, folder = settings_for(tmp_path), tmp_path / "study"
    trained: list[int] = []

    def stopping(real: Callable[..., Any], after: int) -> Callable[..., Any]:
        def train(data: Any, **keywords: Any) -> Any:
            if len(trained) == after:
                raise KeyboardInterrupt
            trained.append(data.n_train)
            return real(data, **keywords)

        return train

    real = relabel.train_on
    for after in (3, 5):
        monkeypatch.setattr(relabel, "train_on", stopping(real, after))
        with pytest.raises(KeyboardInterrupt):
            study(settings, folder)
        monkeypatch.setattr(batched_dynamics, "_advanced", failing)
    monkeypatch.setattr(relabel, "train_on", stopping(real, 100))
    result = study(settings, folder)
    assert trained == 4 * [6, 12]
    monkeypatch.setattr(relabel, "train_on", failing)
    again = study(settings, folder)
    monkeypatch.undo()
    undisturbed = study(settings, tmp_path / "undisturbed")
    assert result.figures() == again.figures() == undisturbed.figures()


def test_a_changed_model_or_file_is_another_study(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    study(settings, tmp_path / "study")
    stiff(1.4).save(tmp_path / "stiff.npz")
    with pytest.raises(MismatchError, match="belongs to another relabel study: teacher"):
        study(settings, tmp_path / "study")


def frames_of(model: oh.ForceField, n: int, offset: float = 0.0) -> oh.Frames:
    positions = np.zeros((n, 2, 3))
    positions[:, 1, 0] = LENGTH + 0.03 * np.random.default_rng(0).normal(size=n)
    energies, forces = model.predict(positions)
    return oh.Frames(CHLORIDE.atomic_numbers, positions, energies + offset, forces, name="file")


def test_frames_of_a_file_take_the_place_of_dynamics(tmp_path: Path) -> None:
    path = frames_of(stiff(1.5), 200, offset=7.0).save(tmp_path / "given.npz")
    settings = replace(settings_for(tmp_path), frames=path)
    result = study(settings, tmp_path / "study")
    assert result.sets == ("soft", "given")
    assert result.check is not None
    assert result.check.energy_offset == pytest.approx(-7.0)
    assert result.check.force_mae < 1e-6
    assert list(result.intervals) == ["soft"]
    assert not (tmp_path / "study" / "dynamics" / "given.npz").exists()
    assert result.errors["soft", "given", 12].energy_mae.value < 0.5  # without the file's zero of energy
    assert "file" in result.table().splitlines()[-1]
    assert study(settings, tmp_path / "study").figures() == result.figures()
    frames_of(stiff(1.5), 201).save(path)
    with pytest.raises(MismatchError, match="belongs to another relabel study: frames"):
        study(settings, tmp_path / "study")


def test_files_that_do_not_fit_are_refused_before_anything_is_computed(tmp_path: Path) -> None:
    settings = replace(settings_for(tmp_path), frames=tmp_path / "given.npz")
    few = frames_of(harmonic(), 20)
    unlabelled = replace(frames_of(harmonic(), 60), energies=None)
    water = oh.Frames(np.array([8, 1, 1]), np.eye(3)[None], np.zeros(1), np.zeros((1, 3, 3)))
    for frames, message in ((few, "20 frames"), (unlabelled, "no energies"), (water, "not those of the frames")):
        frames.save(tmp_path / "given.npz")
        with pytest.raises(InputError, match=message):
            study(settings, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_labels_of_an_engine_are_kept_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Spring(stop_at=10)
    teacher = Teacher(EngineModel(engine, CHLORIDE), "spring", CHLORIDE, progress=False)
    runs = np.zeros((8, 5, 2, 3))
    runs[..., 1, 0] = LENGTH + 0.01 * np.arange(40.0).reshape(8, 5)
    sizes = Sizes(8, 2, 6)
    assert sizes.test_runs(8) == 2
    with pytest.raises(KeyboardInterrupt):
        set_of_runs(runs, sizes, teacher, tmp_path / "set", seed=0)
    engine.stop_at = None
    found = set_of_runs(runs, sizes, teacher, tmp_path / "set", seed=0)
    assert engine.calls == 16 + 6
    assert not set(found.pool_groups) & set(found.groups)
    assert not set(found.pool_groups[:8]) & set(found.pool_groups[8:])
    assert np.unique(found.groups, return_counts=True)[1].tolist() == [3, 3]
    lengths = found.test.positions[:, 1, 0]
    np.testing.assert_array_equal(np.floor((lengths - LENGTH + 0.001) / 0.05), found.groups)
    np.testing.assert_allclose(found.test.energies, lengths**2)
    direct = label(Spring(), CHLORIDE, found.pool.positions, output=tmp_path / "direct.npz", progress=False)
    np.testing.assert_array_equal(found.pool.forces, direct.frames.forces)


def test_too_few_runs_or_labels_are_reported(tmp_path: Path) -> None:
    sizes = Sizes(8, 2, 6)
    runs = np.zeros((5, 5, 2, 3))
    runs[..., 1, 0] = LENGTH + 0.01 * np.arange(25.0).reshape(5, 5)
    teacher = Teacher(Morse(), "morse", CHLORIDE, progress=False)
    with pytest.raises(NumericalError, match="from different runs"):
        set_of_runs(runs, sizes, teacher, tmp_path / "few", seed=0)
    runs = np.concatenate([runs, runs])
    runs[::2] += 1.0
    broken = Teacher(EngineModel(Spring(failing=(0,)), CHLORIDE), "spring", CHLORIDE, progress=False)
    with pytest.raises(NumericalError, match="have no label"):
        set_of_runs(runs, sizes, broken, tmp_path / "broken", seed=0)


@pytest.mark.parametrize("n_runs", [5, 8, 16, 31])
@pytest.mark.parametrize("n_test", [2, 40, 2000])
def test_runs_have_enough_frames_for_all_sets(n_runs: int, n_test: int) -> None:
    sizes = Sizes(100, 3, n_test)
    n_test_runs, per_run = sizes.test_runs(n_runs), sizes.frames_per_run(n_runs)
    assert 2 <= n_test_runs <= n_runs - 3
    assert n_test_runs * per_run >= n_test
    assert (n_runs - n_test_runs) // 3 * per_run >= 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_train": ()}, "rising order"),
        ({"n_train": (40, 20)}, "rising order"),
        ({"n_runs": 4}, "5 or more"),
        ({"n_test": 1}, "2 or more"),
        ({"repeats": 0}, "above zero"),
        ({"temperature": -1.0}, "above zero"),
        ({"picoseconds": 0.1}, "10 steps or more"),
        ({"sigma": -2.0}, "sigma > 0"),
        ({"teacher": "gaff-2.2.20"}, "different names"),
        ({"frames": Path("gaff-2.2.20.npz")}, "rename"),
        ({"charges": "am2-bcc"}, "am1-bcc"),
        ({"solver": "dirct"}, "direct"),
    ],
)
def test_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(RelabelSettings("CCO"), **change)


def test_a_search_of_sigma_has_validation_frames() -> None:
    settings = RelabelSettings("CCO", sigma="search")
    assert (settings.n_valid, settings.sizes.n_part) == (80, 480)
    assert RelabelSettings("CCO").sizes == Sizes(400, 3, 200)
