"""The study transfer: models of cold frames, tested on hot ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.figures import set_error_figure
from openmm_hybrid.reference import engine, label
from openmm_hybrid.studies.transfer import Transfer, TransferSettings, TransferStudy
from openmm_hybrid.testing import StudySuite

METHANOL = oh.Molecule.from_smiles("CO")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shaken geometries of methanol with labels of MMFF94: cold ones, and a file of cold and hot ones."""
    rng = np.random.default_rng(0)
    sizes = np.repeat([0.03, 0.06], [60, 20])
    shaken = METHANOL.positions + sizes[:, None, None] * rng.normal(size=(80, METHANOL.n_atoms, 3))
    target = tmp_path_factory.mktemp("frames")
    label(engine("mmff94"), METHANOL, shaken[:50], output=target / "cold.npz", progress=False)
    label(engine("mmff94"), METHANOL, shaken[40:], output=target / "mixed.npz", progress=False)
    return target


@pytest.fixture
def settings(folder: Path) -> TransferSettings:
    tests = (f"{folder}/mixed.npz:0-19", f"{folder}/mixed.npz:20-39")
    return TransferSettings(folder / "cold.npz", test=tests, models=("sgdml",), n_train=40)


class TestTransfer(StudySuite):
    @pytest.fixture
    def study(self) -> TransferStudy:
        return TransferStudy()

    @pytest.fixture
    def other_settings(self, settings: TransferSettings) -> TransferSettings:
        return replace(settings, sigma=10.0)


def run(settings: TransferSettings, folder: Path) -> Transfer:
    return TransferStudy().run(settings, folder, progress=False)


def test_all_models_are_worse_on_hot_frames(settings: TransferSettings, tmp_path: Path) -> None:
    found = run(replace(settings, models=("gaff", "cross", "hybrid", "sgdml"), n_train=None), tmp_path / "study")
    assert found.sets == ["mixed:0-19", "mixed:20-39"]
    assert found.errors["gaff", "mixed:0-19"].n_frames == 10  # the other ten are in the training file
    force = {key: table.force_rmse for key, table in found.errors.items()}
    for model in found.models:
        assert force[model, "mixed:0-19"] < force[model, "mixed:20-39"]
    assert force["cross", "mixed:0-19"] < 0.5 * force["gaff", "mixed:0-19"]
    assert force["hybrid", "mixed:0-19"] < force["cross", "mixed:0-19"]
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "study").glob("*.npz")}
    again = run(replace(settings, models=("hybrid",), n_train=None), tmp_path / "study")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "study").glob("*.npz")} == written
    assert again.errors["hybrid", "mixed:20-39"] == found.errors["hybrid", "mixed:20-39"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": ()}, "test sets: none"),
        ({"test": ("mixed.npz", "other/mixed.npz")}, "different names"),
        ({"models": ("sgdml", "sgdml")}, "different ones"),
        ({"n_train": 1}, "n_train = 1"),
        ({"sigma": -1.0}, "sigma"),
        ({"charges": "formal"}, "formal"),
    ],
)
def test_wrong_settings(settings: TransferSettings, change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(settings, **change)  # type: ignore[arg-type]


def test_sets_that_do_not_fit(settings: TransferSettings, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="frames from 0 to 39"):
        run(replace(settings, test=(f"{folder}/mixed.npz:20-40",)), tmp_path / "study")
    with pytest.raises(InputError, match=r"all frames of .* are in the training file"):
        run(replace(settings, test=(f"{folder}/cold.npz",)), tmp_path / "study")
    with pytest.raises(InputError, match="at most 50"):
        run(replace(settings, n_train=51), tmp_path / "study")
    label(engine("mmff94"), oh.Molecule.from_smiles("C"), _methane(), output=tmp_path / "c.npz", progress=False)
    with pytest.raises(MismatchError, match="other atoms"):
        run(replace(settings, test=(str(tmp_path / "c.npz"),)), tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("change", ["energies", "forces", "theory"])
def test_other_labels_of_the_same_geometries_are_refused(
    settings: TransferSettings, change: str, tmp_path: Path
) -> None:
    frames = oh.Frames.load(settings.frames)
    run(settings, tmp_path / "study")
    values = {"energies": 2.0 * frames.labels()[0], "forces": 2.0 * frames.labels()[1], "theory": "another level"}
    other = replace(frames, **{change: values[change]}).save(tmp_path / "cold.npz")  # type: ignore[arg-type]
    with pytest.raises(MismatchError, match="another transfer study"):
        run(replace(settings, frames=other), tmp_path / "study")


def _methane() -> np.ndarray:
    return oh.Molecule.from_smiles("C").positions[None]


def test_figure_shows_every_error() -> None:
    figure = set_error_figure(("cold", "hot"), {"gaff": (5.0, 8.0), "cross": (0.5, 1.0)})
    lines = figure.axes[0].get_lines()
    assert [line.get_ydata().tolist() for line in lines] == [[5.0, 8.0], [0.5, 1.0]]  # type: ignore[union-attr]
    with pytest.raises(InputError):
        set_error_figure(("cold", "hot"), {"gaff": (5.0,)})
