"""The study ensembles: a model beside itself and beside another one, molecules without rotors, lost runs, and kills."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.analysis import Excess
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.core.files import reading_npz
from openmm_hybrid.studies import batched_dynamics
from openmm_hybrid.studies.ensembles import EnsemblesSettings, EnsemblesStudy
from openmm_hybrid.studies.ensembles_result import Ensembles
from openmm_hybrid.testing import StudySuite
from tests.docs.preludes.common import gasteiger
from tests.helpers.hydrogen_chloride import harmonic

ROOT = Path(__file__).parents[2]

TINY = EnsemblesSettings(
    "C(C)O", models=("ethanol-gaff", "ethanol-cross"), n_conformers=2, starts=4, duration=0.08, equilibration=0.02,
    interval=10,
)  # fmt: skip


class TestEnsembles(StudySuite):
    @pytest.fixture
    def study(self) -> EnsemblesStudy:
        return EnsemblesStudy()

    @pytest.fixture
    def settings(self) -> EnsemblesSettings:
        return TINY

    @pytest.fixture
    def other_settings(self) -> EnsemblesSettings:
        return replace(TINY, temperature=400.0)


def run(settings: EnsemblesSettings, folder: Path) -> Ensembles:
    return EnsemblesStudy().run(settings, folder, progress=False)


@pytest.fixture(scope="module")
def ethanol(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ensembles, Path]:
    """The shipped force field with cross terms beside itself and beside GAFF with Gasteiger's charges."""
    folder = tmp_path_factory.mktemp("ensembles")
    again = oh.ForceField.load("ethanol-cross").save(folder / "again.npz")
    molecule = oh.Molecule.from_smiles("C(C)O")
    built = oh.gaff.build(molecule, charges=gasteiger(molecule), progress=False)
    gaff = oh.ForceField.from_system(built.system, built.topology).save(folder / "gaff.npz")
    settings = replace(
        TINY, models=(str(gaff), str(again), "ethanol-cross"), n_conformers=24, starts=48, duration=0.6,
        equilibration=0.2, interval=20,
    )  # fmt: skip
    return run(settings, folder / "study"), folder / "study"


def test_a_model_is_within_its_error_of_itself_and_gaff_is_not(ethanol: tuple[Ensembles, Path]) -> None:
    result, _ = ethanol
    cross, gaff, again = result.ensembles
    assert (cross.name, gaff.name, again.name) == ("ethanol-cross", "gaff", "again")
    assert cross.divergence is None
    assert not cross.overlaps

    def significance(excess: Excess | None) -> float:
        assert excess is not None
        return excess.value / excess.error

    for excess in (again.divergence, again.surface, *(pair.missing for pair in again.overlaps)):
        assert abs(significance(excess)) < 4.0
    # GAFF has another O–C–C–H, also within a well. Source: 32 starts of 0.6 ps are 4.7 errors apart here.
    assert significance(next(pair.missing for pair in gaff.overlaps if pair.name == "O2···H5")) > 3.0
    # Means over 48 starts.
    for one in result.ensembles:
        assert one.temperature == pytest.approx(500.0, abs=25.0)
        assert (one.n_starts, one.n_lost, one.n_unrelaxed) == (48, 0, 0)


def test_models_have_starts_of_their_own(ethanol: tuple[Ensembles, Path]) -> None:
    _, folder = ethanol
    starts, velocities = [], []
    for name in ("again", "ethanol-cross"):
        with reading_npz(folder / name / "dynamics.npz", "") as arrays:
            starts.append(arrays["starts"])
            velocities.append(arrays["velocities"])
    assert np.abs(starts[0] - starts[1]).max() > 0.1
    assert np.abs(velocities[0] - velocities[1]).max() > 1e-3


def test_wells_and_pairs_are_those_of_ethanol(ethanol: tuple[Ensembles, Path]) -> None:
    """C–C–O–H is trans or gauche, the methyl group staggered; equivalent hydrogens count as one."""
    result, _ = ethanol
    assert result.dihedrals == ("C1–C0–O2–H8", "O2–C0–C1–H5")
    for one in result.ensembles:
        assert sum(share.value for share in one.populations.values()) == pytest.approx(1.0)
    found = {tuple(map(int, name.split("/"))) for name in result.ensembles[0].populations}
    assert len(found) == 2
    assert all(min(abs(first - 60), abs(first - 180)) <= 20 and abs(second - 60) <= 15 for first, second in found)
    # C–C–O–H: H8 to C1; H8 to two H on C0; H8 to three H on C1; O to three H; two H to three H.
    assert dict(result.pairs) == {"C1···H8": 1, "O2···H5": 3, "H3···H5": 6, "H3···H8": 2, "H5···H8": 3}


def test_the_result_is_saved(ethanol: tuple[Ensembles, Path], tmp_path: Path) -> None:
    result, _ = ethanol
    files = result.save(tmp_path)
    names = ["ensembles.png", "ensembles.svg", "ensembles_distances.png", "ensembles_distances.svg"]
    assert [path.name for path in files] == ["ensembles.json", "ensembles.csv", *names]
    content = json.loads(files[0].read_text(encoding="utf-8"))
    gaff = result.ensembles[1]
    assert gaff.divergence is not None
    assert content["figures"]["js_excess.gaff"] == {"value": gaff.divergence.value, "unit": "bit"}
    assert content["figures"]["js_floor"]["value"] == gaff.divergence.floor
    assert (
        content["least_overlapping"][0]
        == min((pair for one in result.ensembles for pair in one.overlaps), key=lambda pair: pair.overlap).name
    )
    assert gaff.overlaps[0].name in result.table()
    assert "Populations of wells of ethanol-cross" in result.table()


def test_models_and_dihedrals_may_change_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(replace(TINY, models=("ethanol-cross",)), tmp_path)
    both = run(TINY, tmp_path)
    monkeypatch.setattr(batched_dynamics, "_advanced", None)
    one = run(replace(TINY, reference="ethanol-gaff", dihedral=("1-0-2-8",)), tmp_path)
    assert [each.name for each in one.ensembles] == ["ethanol-gaff", "ethanol-cross"]
    assert one.dihedrals == ("C1–C0–O2–H8",)
    assert one.ensembles[1].density is not None
    assert one.ensembles[1].density.values.ndim == 1
    assert one.ensembles[1].temperature == both.ensembles[0].temperature
    assert [path.suffix for path in one.save(tmp_path / "one")] == [".json", ".csv", *(2 * [".png", ".svg"])]


def test_a_molecule_without_rotors_has_no_density(tmp_path: Path) -> None:
    harmonic().save(tmp_path / "one.npz")
    shutil.copy(tmp_path / "one.npz", tmp_path / "two.npz")
    settings = replace(TINY, molecule="Cl", models=(str(tmp_path / "one.npz"), str(tmp_path / "two.npz")))
    result = run(settings, tmp_path / "study")
    assert result.dihedrals == ()
    assert not result.pairs
    assert [one.density for one in result.ensembles] == [None, None]
    assert [path.name for path in result.save(tmp_path)] == ["ensembles.json", "ensembles.csv"]
    assert "–" in result.table()


def test_lost_runs_are_counted_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = batched_dynamics.intact

    def losing(lost: int):
        """The check of bonds, with the first of every four runs lost, or more of them."""
        calls = iter(range(10_000))
        return lambda positions, start, bonds: real(positions, start, bonds) & (next(calls) % 6 >= lost)

    settings = replace(TINY, models=("ethanol-gaff",), starts=6)
    monkeypatch.setattr(batched_dynamics, "intact", losing(2))
    (one,) = run(settings, tmp_path / "some").ensembles
    assert (one.n_starts, one.n_lost) == (4, 2)
    assert run(settings, tmp_path / "some").as_dict()["figures"]["lost.ethanol-gaff"]["value"] == 2
    monkeypatch.setattr(batched_dynamics, "intact", losing(3))
    with pytest.raises(NumericalError, match="ethanol-gaff: 3 of 6 starts kept all bonds"):
        run(settings, tmp_path / "few")


def test_a_killed_study_resumes_to_the_same_result(tmp_path: Path) -> None:
    """SIGKILL during the dynamics: all files can be read, and the result is that of an undisturbed study."""
    code = (
        "import sys; from pathlib import Path; from openmm_hybrid.studies import batched_dynamics\n"
        "from tests.studies.test_ensembles import TINY, run\n"
        "batched_dynamics._SAVE_EVERY = batched_dynamics._PAUSE = 0.0\n"
        "run(TINY, Path(sys.argv[1]))"
    )
    folder = tmp_path / "killed"
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT)
        before = _written(folder)
        while process.poll() is None and _written(folder) == before:
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not (folder / "ethanol-gaff" / "dynamics.npz").exists() or before
        for path in folder.rglob("*.npz"):
            with reading_npz(path, "") as arrays:
                assert all(np.isfinite(arrays[name]).all() for name in arrays if name != "description")
    resumed, whole = run(TINY, folder), run(TINY, tmp_path / "whole")
    assert resumed.as_dict()["figures"] == whole.as_dict()["figures"]


def _written(folder: Path) -> list[int]:
    """Times of the last writings of dynamics."""
    return sorted(path.stat().st_mtime_ns for path in folder.glob("*/dynamics.npz"))


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    path = oh.ForceField.load("ethanol-gaff").save(tmp_path / "model.npz")
    settings = replace(TINY, models=(str(path),))
    run(settings, tmp_path / "study")
    oh.ForceField.load("ethanol-cross").save(path)
    with pytest.raises(MismatchError, match="belongs to another model"):
        run(settings, tmp_path / "study")


def test_bad_settings_are_refused_and_claim_no_folder(tmp_path: Path) -> None:
    for changes, message in (
        ({"starts": 3}, "4 or more"),
        ({"interval": 15}, "a multiple of 10"),
        ({"duration": 0.07}, "8 or more"),
        ({"temperature": 0.0}, "temperature = 0"),
        ({"equilibration": -1.0}, "may be zero"),
        ({"timestep": float("nan")}, "timestep = nan"),
        ({"models": tuple(f"m{number}" for number in range(9))}, "8 at most"),
        ({"n_conformers": 0}, "n_conformers"),
    ):
        with pytest.raises(InputError, match=message):
            replace(TINY, **changes)
    folder = tmp_path / "study"
    for changes, message in (
        ({"dihedral": ("1-0-2-8", "5-1-0-2", "6-1-0-2")}, "two or fewer"),
        ({"dihedral": ("5-1-0-2", "6-1-0-2")}, "same bond"),
        ({"dihedral": ("1-0-2-9",)}, "atoms 0 to 8"),
        ({"dihedral": ("1-0-8-2",)}, "not a chain of bonds"),
        ({"models": ("nothing",)}, "nothing"),
    ):
        with pytest.raises(InputError, match=message):
            run(replace(TINY, **changes), folder)
    assert not folder.exists()
