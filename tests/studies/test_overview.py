"""All studies of a molecule: trained and refined models, options from a file, what is left out, and the report."""

from __future__ import annotations

import html
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.analysis import SurfaceProfile
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.reference import engine, label
from openmm_hybrid.studies import overview
from openmm_hybrid.studies.overview import OverviewSettings, OverviewStudy
from openmm_hybrid.studies.overview_result import REPORT, Overview
from openmm_hybrid.studies.published import beside_published
from openmm_hybrid.studies.surfaces_result import ModelSurface, SurfaceMinimum, Surfaces
from openmm_hybrid.tasks import Store
from openmm_hybrid.testing import StudySuite

METHANOL = oh.Molecule.from_smiles("CO")
OPTIONS = """
[minima]
n_conformers = 2

[spectra]
temperatures = [100.0, 200.0]
n-runs = 2
picoseconds = 0.4
equilibration = 0.0
"""


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shaken geometries of methanol with labels of MMFF94."""
    rng = np.random.default_rng(0)
    shaken = METHANOL.positions + rng.normal(scale=0.04, size=(60, METHANOL.n_atoms, 3))
    path = tmp_path_factory.mktemp("frames") / "methanol.npz"
    label(engine("mmff94"), METHANOL, shaken, output=path, progress=False)
    return path


@pytest.fixture(scope="module")
def trained(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models of these frames, which take seconds to train."""
    folder = tmp_path_factory.mktemp("trained")
    run(OverviewSettings("CO", frames=frames, n_train=40, leave_out=overview.PARTS), folder)
    (folder / "settings.json").unlink()
    return folder


@pytest.fixture
def settings(frames: Path, trained: Path, tmp_path: Path) -> OverviewSettings:
    options = tmp_path / "options.toml"
    options.write_text(OPTIONS, encoding="utf-8")
    shutil.copytree(trained, tmp_path / "study")
    costly = ("surfaces", "ensembles", "spectra", "relabel")
    return OverviewSettings("CO", frames=frames, n_train=40, leave_out=costly, options=options)


class TestOverview(StudySuite):
    @pytest.fixture
    def study(self) -> OverviewStudy:
        return OverviewStudy()

    @pytest.fixture
    def other_settings(self, settings: OverviewSettings) -> OverviewSettings:
        return replace(settings, n_train=30)


def run(settings: OverviewSettings, folder: Path) -> Overview:
    return OverviewStudy().run(settings, folder, progress=False)


def test_models_of_labelled_frames(settings: OverviewSettings, tmp_path: Path) -> None:
    found = run(replace(settings, leave_out=("ensembles", "relabel")), tmp_path / "study")
    assert list(found.results) == ["minima", "spectra"]
    assert list(found.left_out) == ["surfaces"]  # methanol has one rotor, and a surface needs two
    assert found.reference == "sgdml"
    errors = {name: table.force_rmse for name, table in found.lineup.errors.items()}
    assert max(errors["sgdml"], errors["cross"]) < 0.5 * errors["gaff-2.2.20"]
    assert found.lineup.errors["cross"].n_frames == 20
    figures = found.as_dict()["figures"]
    assert figures["minima.minima.sgdml"]["value"] == 1
    assert {"minima", "spectra"} == {name.split(".")[0] for name in figures if "rmse" not in name}
    page = (tmp_path / "study" / REPORT).read_text(encoding="utf-8")
    assert "<h2>Minima</h2>" in page
    assert page.count("data:image/png") == 1 + 2 + 2
    assert "surface" in page[page.index("<h2>Left out</h2>") :]


def test_studies_that_are_tasks_give_the_same(settings: OverviewSettings, tmp_path: Path) -> None:
    """Two studies at a time; one that is not possible is left out with its reason, and the report has all of them."""
    pytest.importorskip("distributed", reason="Dask is not installed (extra cluster)")
    settings = replace(settings, leave_out=("ensembles", "relabel"))
    shutil.copytree(tmp_path / "study", tmp_path / "tasks")
    in_turn = run(settings, tmp_path / "study")
    found = run(replace(settings, workers=2), tmp_path / "tasks")
    assert list(found.results) == ["minima", "spectra"]
    assert found.left_out == in_turn.left_out
    values, others = (
        {name: figure["value"] for name, figure in each.as_dict()["figures"].items()} for each in (found, in_turn)
    )
    # Workers sum with another number of threads, and a shift is the difference of wavenumbers of 3000 1/cm.
    assert values == pytest.approx(others, rel=1e-9, abs=1e-8)
    assert (tmp_path / "tasks" / REPORT).read_text(encoding="utf-8").count("data:image/png") == 1 + 2 + 2
    stored = list(Store(tmp_path / "tasks" / ".tasks").outcomes())
    assert sorted((outcome.name, outcome.ok) for outcome in stored) == [
        ("study minima", True), ("study spectra", True), ("study surfaces", False),
    ]  # fmt: skip
    with pytest.raises(InputError, match="workers = 0"):
        replace(settings, workers=0)


def test_molecule_takes_the_order_of_the_frames(settings: OverviewSettings, tmp_path: Path) -> None:
    settings = replace(settings, molecule="OC", leave_out=overview.PARTS)
    found = run(settings, tmp_path / "study")
    assert found.lineup.molecule.elements == METHANOL.elements != oh.Molecule.from_smiles("OC").elements
    with pytest.raises((InputError, MismatchError)):
        run(replace(settings, molecule="CN"), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_other_labels_of_the_same_geometries_are_refused(
    settings: OverviewSettings, frames: Path, tmp_path: Path
) -> None:
    settings, known = replace(settings, leave_out=overview.PARTS), oh.Frames.load(frames)
    run(settings, tmp_path / "study")
    other = replace(known, forces=0.9 * known.labels()[1]).save(tmp_path / "methanol.npz")
    with pytest.raises(MismatchError, match="another study of all: frames differs"):
        run(replace(settings, frames=other), tmp_path / "study")


def test_a_name_is_that_of_the_files(settings: OverviewSettings, tmp_path: Path) -> None:
    found = run(replace(settings, name="wood spirit"), tmp_path / "study")
    assert [path.name for path in found.save(tmp_path / "study")] == ["study_wood_spirit.json", "study_wood_spirit.csv"]
    assert "wood spirit" in (tmp_path / "study" / REPORT).read_text(encoding="utf-8")
    with pytest.raises(MismatchError, match="name"):
        run(replace(settings, name="methanol"), tmp_path / "study")


def test_refined_molecule(tmp_path: Path) -> None:
    """A folder of `refine` is taken as it is, and its engine is the reference."""
    few = oh.RefineSettings(
        engine="mmff94", n_first=40, n_scan=0, n_fresh=10, n_more=0, rounds=1, n_profile=0,
        hot_ps=0.0, frequencies=False, n_conformers=1,
    )  # fmt: skip
    refined = oh.refine("CO", tmp_path / "methanol", few, progress=False)
    options = tmp_path / "options.toml"
    options.write_text("[minima]\nn_conformers = 2\n", encoding="utf-8")
    settings = OverviewSettings(
        str(refined.path), engine="mmff94", options=options,
        leave_out=("surfaces", "ensembles", "spectra", "relabel"),
    )  # fmt: skip
    found = run(settings, tmp_path / "study")
    assert found.lineup.models == ("gaff-2.2.20", str(refined.path), "mmff94")
    assert not (tmp_path / "study" / "refined").exists()
    figures = found.as_dict()["figures"]
    assert figures["minima.minima.methanol"]["value"] == 1
    assert figures["refine.own_force"]["value"] == refined.rounds[0].own_force
    assert refined.verdict in html.unescape((tmp_path / "study" / "report.html").read_text(encoding="utf-8"))
    for other in ({"engine": "uff"}, {"base": "gaff-1.81"}, {"charges": "resp"}):
        with pytest.raises(MismatchError, match=next(iter(other))):
            run(replace(settings, **other), tmp_path / "other")
    with pytest.raises(InputError, match="different names"):
        run(replace(settings, models=("somewhere/methanol.npz",)), tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[surfaces]\nn_angle = 12", "has no option 'n_angle'"),
        ("[surfaces]\nn_angles = 'many'", "n_angles = 'many'"),
        ("[minima]\nmodels = ['mmff94']", "has no option 'models'"),
        ("[surface]\nn_angles = 12", "has 'surface'"),
        ("n_angles = 12", "has 'n_angles'"),
        ("[surfaces\n", "cannot read"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(content: str, message: str, tmp_path: Path) -> None:
    options = tmp_path / "options.toml"
    options.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        run(OverviewSettings("CCO", options=options), tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_published_numbers_of_ethanol() -> None:
    """Each number belongs to its dihedral, whatever the order of the two."""
    flat = np.zeros((6, 6))
    methyl = SurfaceProfile(((60.0, 0.0),), ((0.0, 3.4), (120.0, 3.5)))
    hydroxyl = SurfaceProfile(((-180.0, 0.05), (60.0, 0.0)), ((0.0, 1.1), (118.0, 1.25)))
    minima = (SurfaceMinimum((60.0, 180.0), 0.0), SurfaceMinimum((60.0, 60.0), 0.1))
    surface = ModelSurface("sgdml", flat, minima, (), (methyl, hydroxyl), 0.0, 0.0, 1)
    result = Surfaces("ethanol", "CCO", ("H3–C0–C1–O2", "C0–C1–O2–H8"), "relaxed", 10.0, (surface,))
    found = beside_published(oh.Molecule.from_smiles("CCO"), {"surfaces": result}, ["sgdml"])
    assert {one.key: one.values["sgdml"] for one in found} == {"gauche": 0.1, "barrier": 1.2, "methyl": 3.4}
    wrong = (SurfaceMinimum((60.0, -60.0), 0.0), SurfaceMinimum((60.0, 180.0), 0.2))  # a model that prefers gauche
    result = replace(result, surfaces=(replace(surface, minima=wrong),))
    found = beside_published(oh.Molecule.from_smiles("CCO"), {"surfaces": result}, ["sgdml"])
    assert found[0].values == {"sgdml": -0.2}
    assert beside_published(METHANOL, {"surfaces": result}, ["sgdml"]) == []
    assert beside_published(oh.Molecule.from_smiles("CCO"), {}, ["sgdml"]) == []
