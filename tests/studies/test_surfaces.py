"""Surfaces: an analytic force field, ethanol's conformers and symmetry, resuming, and bad settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.models.dihedral_scan import grid
from openmm_hybrid.models.minima import relax
from openmm_hybrid.studies import compared_model
from openmm_hybrid.studies.surfaces import SurfacesSettings, SurfacesStudy
from openmm_hybrid.studies.surfaces_result import Surfaces
from openmm_hybrid.testing import StudySuite
from tests.helpers.twisted_chain import TILT, cosine_energy, cosine_forcefield


@pytest.fixture
def settings(tmp_path: Path) -> SurfacesSettings:
    """Two force fields of trioxidane that differ by the heights of their torsions."""
    truth = cosine_forcefield().save(tmp_path / "truth.npz")
    other = cosine_forcefield(heights=(2.0, 2.0)).save(tmp_path / "other.npz")
    return SurfacesSettings(
        "OOO", models=(str(other), str(truth)), n_conformers=4, n_angles=8, dihedral=("3-0-1-2", "0-1-2-4")
    )


class TestSurfaces(StudySuite):
    @pytest.fixture
    def study(self) -> SurfacesStudy:
        return SurfacesStudy()

    @pytest.fixture
    def other_settings(self, settings: SurfacesSettings) -> SurfacesSettings:
        return replace(settings, n_angles=10)


def run(settings: SurfacesSettings, folder: Path) -> Surfaces:
    return SurfacesStudy().run(settings, folder, progress=False)


def test_cosines_of_both_dihedrals(settings: SurfacesSettings, tmp_path: Path) -> None:
    """Source: E = Σ h (1 + cos 2φ) + t (1 + cos φ), with minima where cos φ = −t/4h, and maxima at 0 and π."""
    settings = replace(settings, n_angles=24)
    truth, other = run(settings, tmp_path / "study").surfaces
    assert (truth.name, other.name) == ("truth", "other")
    lowest = sum(TILT * (1.0 - TILT / (8.0 * h)) for h in (2.0, 1.0))  # h (1 + cos 2φ) = t²/8h at the minimum
    np.testing.assert_allclose(truth.energies.ravel(), cosine_energy(grid(24)) - lowest, atol=1e-4)
    first, second = truth.minima[0].angles
    assert abs(np.cos(np.radians(first)) + TILT / 8.0) < 1e-2
    assert abs(np.cos(np.radians(second)) + TILT / 4.0) < 1e-2
    assert len(truth.wells) == 4
    assert len(truth.minima) == 2  # (+, +) and (+, −): the other two are their mirror images
    tops = {-180.0: 4.0, 0.0: 4.0 + 2.0 * TILT}
    for (angle, energy), (wanted, height) in zip(truth.profiles[0].barriers, tops.items(), strict=True):
        assert angle == pytest.approx(wanted, abs=1.0)
        assert energy == pytest.approx(height - TILT * (1.0 - TILT / 16.0), abs=0.02)
    low = truth.energies <= 10.0
    assert other.rms == pytest.approx(float(np.sqrt(np.mean((other.energies - truth.energies)[low] ** 2))))
    # The molecule's ends are equivalent, and this force field treats them differently: (h₁ − h₂)(cos 2φ₁ − cos 2φ₂).
    assert truth.asymmetry == pytest.approx(2.0, abs=1e-4)
    assert other.asymmetry < 1e-4


def test_ethanol_is_symmetric_and_has_two_conformers(tmp_path: Path) -> None:
    """Source: free minimisation of trans and gauche, and the mirror plane of ethanol."""
    result = run(SurfacesSettings("C(C)O", models=("ethanol-gaff",), n_angles=12, n_conformers=8), tmp_path)
    (surface,) = result.surfaces
    assert result.dihedrals == ("C1–C0–O2–H8", "O2–C0–C1–H5")
    assert surface.asymmetry <= 0.01
    assert surface.largest_force <= 1e-3
    trans, gauche = surface.minima
    assert abs(trans.angles[0]) == pytest.approx(180.0, abs=1.0)
    assert abs(gauche.angles[0]) == pytest.approx(60.0, abs=5.0)
    molecule = oh.Molecule.from_smiles("C(C)O", n_conformers=8)
    model = oh.ForceField.load("ethanol-gaff")
    energies = sorted(relax(model, start, max_force=1e-3)[1] for start in molecule.conformers)
    assert gauche.energy == pytest.approx(energies[-1] - energies[0], abs=1e-3)
    first, second = surface.profiles
    assert [round(angle, -1) for angle, _ in second.barriers] == [-120.0, 0.0, 120.0]
    assert len(first.barriers) == 3
    assert result.as_dict()["figures"]["minima.ethanol-gaff"]["value"] == 2


def test_a_rigid_scan_turns_the_minimum_of_the_reference(settings: SurfacesSettings, tmp_path: Path) -> None:
    result = run(replace(settings, scan="rigid"), tmp_path / "rigid")
    truth, other = result.surfaces
    # Bonds and angles are at rest in all geometries, so that turning costs what relaxing costs.
    energies = cosine_energy(grid(8))
    np.testing.assert_allclose(truth.energies.ravel(), energies - energies.min(), atol=1e-4)
    assert truth.minima == ()
    assert result.as_dict()["surfaces"]["other"]["asymmetry"] is None
    assert "–" in result.table()
    assert not other.energies.min()


def test_a_stopped_study_resumes(settings: SurfacesSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops after every few calls, until it is done; no geometry is relaxed twice."""
    whole = run(settings, tmp_path / "whole")
    real, calls, geometries = compared_model.relax_held, [], []
    monkeypatch.setattr(compared_model, "_BATCH", 12)
    monkeypatch.setattr(compared_model, "_EVERY", 0.0)

    def stopping(model, positions, *arguments, **options):
        calls.append(len(positions))
        if len(calls) % 4 == 0:
            raise KeyboardInterrupt
        geometries.append(len(positions))
        return real(model, positions, *arguments, **options)

    monkeypatch.setattr(compared_model, "relax_held", stopping)
    for _ in range(50):
        try:
            result = run(settings, tmp_path / "stopped")
            break
        except KeyboardInterrupt:
            continue
    assert len(calls) > len(geometries) + 2
    kept = [np.load(path)["energies"] for path in sorted((tmp_path / "stopped").glob("*/*.npz"))]
    assert sum(geometries) == sum(map(len, kept))
    for one, other in zip(result.surfaces, whole.surfaces, strict=True):
        np.testing.assert_allclose(one.energies, other.energies, atol=1e-6)


def test_kept_geometries_of_something_else_are_refused(settings: SurfacesSettings, tmp_path: Path) -> None:
    run(settings, tmp_path / "study")
    path = tmp_path / "study" / "truth" / "round-000.npz"
    whole = path.read_bytes()
    with np.load(path) as content:
        arrays = {name: content[name] for name in content.files}
    np.savez(path, allow_pickle=False, **arrays | {"angles": arrays["angles"][::-1]})
    with pytest.raises(InputError, match="holds other geometries"):
        run(settings, tmp_path / "study")
    path.write_bytes(whole)
    path = tmp_path / "study" / "truth" / "conformers.npz"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match="relaxed geometries"):
        run(settings, tmp_path / "study")
    cosine_forcefield(heights=(3.0, 1.0)).save(Path(settings.models[1]))
    with pytest.raises(MismatchError, match="belongs to another surfaces study: models"):
        run(settings, tmp_path / "study")
    assert run(replace(settings, window=3.0), tmp_path / "other").window == 3.0


def test_bad_settings_are_refused_and_claim_no_folder(settings: SurfacesSettings, tmp_path: Path) -> None:
    for changes in ({"n_angles": 5}, {"window": 0.0}, {"n_conformers": 0}, {"seed": -1}, {"models": ()}):
        with pytest.raises(InputError, match=r"expected"):
            replace(settings, **changes)
    with pytest.raises(InputError, match="different names"):
        replace(settings, models=("gfn2", "gfn2"))
    with pytest.raises(InputError, match="not among the models"):
        replace(settings, reference="gfn2")
    folder = tmp_path / "study"
    for changes, message in (
        ({"dihedral": ("3-0-1-2",)}, "two, or none"),
        ({"dihedral": ("3-0-1-2", "3-0-1-x")}, "four indices"),
        ({"dihedral": ("3-0-1-2", "0-1-2-9")}, "atoms 0 to 4"),
        ({"dihedral": ("3-0-1-2", "2-1-0-3")}, "same bond"),
        ({"molecule": "O", "dihedral": ()}, "has 0 bonds that can turn"),
        ({"models": ("nothing",)}, "nothing"),
    ):
        with pytest.raises(InputError, match=message):
            run(replace(settings, **changes), folder)
    assert not folder.exists()


def test_models_and_folder_may_move(settings: SurfacesSettings, tmp_path: Path) -> None:
    first = run(settings, tmp_path / "study")
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in settings.models:
        Path(name).rename(moved / Path(name).name)
    (tmp_path / "study").rename(moved / "study")
    names = tuple(str(moved / Path(name).name) for name in settings.models)
    again = run(replace(settings, models=names), moved / "study")
    np.testing.assert_array_equal(again.surfaces[0].energies, first.surfaces[0].energies)
    with pytest.raises(MismatchError, match="reference"):
        run(replace(settings, models=names, reference=names[0]), moved / "study")
