"""A round whose errors are small and whose checks fail leads to another one; labels of GFN2-xTB."""

from __future__ import annotations

from pathlib import Path

import pytest

import openmm_hybrid as oh

SETTINGS = oh.RefineSettings(
    n_conformers=1, n_first=60, n_scan=0, n_fresh=20, n_more=20, rounds=2, target=50.0, factor=50.0, n_profile=4,
    hot_ps=1.0, frequencies=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,2-Difluoroethane after two rounds, since no profile is good enough."""
    path = tmp_path_factory.mktemp("rounds") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("openmm_hybrid.refinement.check_results.LARGEST_TORSION", 1e-6)
        oh.refine("FCCF", path, SETTINGS, progress=False)
    return path


def test_failed_checks_lead_to_another_round_with_their_labels(folder: Path) -> None:
    result = oh.Refined.load(folder)
    assert len(result.rounds) == 2
    assert not result.converged
    (failure,) = result.rounds[0].failures
    assert failure.startswith("torsion profiles deviate by more than 1e-06 kcal/mol")
    assert result.verdict.startswith("Failed checks: torsion profiles deviate")
    checks = folder / "round-1" / "checks"
    scan, minima = (oh.Frames.load(checks / name) for name in ("profiles-4/rotor-1-2.npz", "minima.npz"))
    added = oh.Frames.load(folder / "round-1" / "added.npz")
    assert len(added) == 20 + len(scan) + len(minima)
    assert result.rounds[1].n_labels == 60 + 20 + len(added) + 20
    assert result.rounds[1].n_train == 80 + len(added) - (80 + len(added)) // 8
    assert len(result.labels) == result.rounds[1].n_labels


def test_the_best_of_two_rounds_with_failed_checks_is_the_result(folder: Path) -> None:
    result = oh.Refined.load(folder)
    errors = [entry.own_force for entry in result.rounds]
    assert result.chosen == 1 + errors.index(min(errors))
    chosen = oh.load(folder / f"round-{result.chosen}" / "forcefield.npz")
    assert (result.forcefield.parameters.values == chosen.parameters.values).all()


def test_a_looser_limit_ends_at_the_first_round_and_a_tight_one_goes_back_to_the_second(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    before = oh.Refined.load(folder)
    monkeypatch.setattr("openmm_hybrid.refinement.rounds.fit", never)
    monkeypatch.setattr(type(oh.reference.engine("gfn2")), "compute", never)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("openmm_hybrid.refinement.check_results.LARGEST_TORSION", 100.0)
        loose = oh.refine("FCCF", folder, SETTINGS, progress=False)
    assert (loose.converged, loose.chosen, len(loose.rounds)) == (True, 1, 1)
    assert loose.rounds[0].failures == ()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("openmm_hybrid.refinement.check_results.LARGEST_TORSION", 1e-6)
        again = oh.refine("FCCF", folder, SETTINGS, progress=False)
    assert again.rounds == before.rounds
    assert again.verdict == before.verdict
