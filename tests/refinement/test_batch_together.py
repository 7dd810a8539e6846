"""Libraries that are fitted together: common parameters, molecules that are left out, resumption, refusals."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.tasks import DaskRunner

SMALL = oh.RefineSettings(
    engine="mmff94", n_conformers=1, n_first=20, n_scan=0, n_fresh=10, n_more=0, rounds=1, n_profile=0, hot_ps=0.0,
    frequencies=False,
)  # fmt: skip
LIBRARY = "OO peroxide\nCO methanol\nC1CC broken\nCB(O)O boron\n"

pytestmark = pytest.mark.filterwarnings("ignore:1 of 4 molecules are left out")


def _batch(library: Path, folder: Path, settings: oh.RefineSettings = SMALL, **others: Any) -> oh.BatchResult:
    return oh.refine_batch(library, folder, settings, time_limit=None, progress=False, **{"together": True, **others})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, oh.BatchResult]:
    """A library, its folder, and the result of a common fit."""
    library = tmp_path_factory.mktemp("together") / "library.smi"
    library.write_text(LIBRARY)
    with pytest.warns(UserWarning, match=r"broken \(line 3\)"):
        result = _batch(library, library.parent / "out")
    return library, library.parent / "out", result


@pytest.fixture
def unfitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Exception]]:
    """A library of two molecules whose common fit raises the last of some errors."""
    errors: list[Exception] = []

    def fail(members: Sequence[Any]) -> None:
        raise errors.pop()

    monkeypatch.setattr("openmm_hybrid.refinement.batch_task.refine_members", fail)
    (tmp_path / "library.smi").write_text("O water\nC methane\n")
    return tmp_path / "library.smi", errors


def test_terms_of_equal_types_are_equal_and_the_rest_is_told(fitted: tuple[Path, Path, oh.BatchResult]) -> None:
    _, folder, result = fitted
    assert [(each.name, each.state) for each in result.molecules] == [
        ("peroxide", "refined"),
        ("methanol", "refined"),
        ("broken", "failed"),
        ("boron", "failed"),
    ]
    assert "cannot read the SMILES 'C1CC'" in result.failed[0].reason
    assert "GAFF has no parameters for atom 1 (B)" in result.failed[1].reason
    models = [oh.load(folder / name).forcefield.parameters for name in ("peroxide", "methanol")]  # type: ignore[union-attr]
    first, second = (dict(zip(model.names, model.values, strict=True)) for model in models)
    common = first.keys() & second.keys()
    assert {name for name in common if name.startswith("bonds.morse/ho-oh/")}
    assert {name: first[name] for name in common} == {name: second[name] for name in common}


def test_the_summary_is_that_of_a_batch(fitted: tuple[Path, Path, oh.BatchResult]) -> None:
    _, folder, result = fitted
    with (folder / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["n_atoms"], row["labels"]) for row in rows[:2]] == [
        ("peroxide", "4", "30"),
        ("methanol", "6", "30"),
    ]
    stored = json.loads((folder / "result.json").read_text())
    assert [each["verdict"] for each in stored["molecules"][:2]] == [
        oh.load(folder / name).verdict  # type: ignore[union-attr]
        for name in ("peroxide", "methanol")
    ]
    page = (folder / "index.html").read_text()
    assert "Force fields for library, fitted together" in page
    assert 'href="methanol/report.html"' in page
    assert result.verdict.startswith("2 of 4 molecules refined, 2 failed")


def test_another_call_goes_on_with_the_fit_that_there_is(
    fitted: tuple[Path, Path, oh.BatchResult], tmp_path: Path
) -> None:
    """Neither the order in the library nor another target is another fit."""
    _, folder, result = fitted
    fits = [folder / name / "round-1" / "fit.json" for name in ("peroxide", "methanol")]
    before = [path.stat().st_mtime_ns for path in fits]
    library = tmp_path / "library.smi"
    library.write_text("".join(reversed(LIBRARY.splitlines(keepends=True))))
    again = _batch(library, folder, replace(SMALL, target=9.0))
    assert {each.name: each.number("force") for each in again.molecules} == {
        each.name: each.number("force") for each in result.molecules
    }
    assert [path.stat().st_mtime_ns for path in fits] == before


def test_the_folder_tells_a_common_fit_from_others(fitted: tuple[Path, Path, oh.BatchResult], tmp_path: Path) -> None:
    library, folder, _ = fitted
    with pytest.raises(MismatchError, match="its molecules are fitted together"):
        _batch(library, folder, together=False)
    with pytest.raises(MismatchError, match="temperature"):
        _batch(library, folder, replace(SMALL, temperature=300.0))
    for text, words in (
        (f"{LIBRARY}CCC propane\n", "propane is not one of the molecules"),
        (LIBRARY.replace("CO methanol\n", ""), "methanol is one of the molecules"),
        (LIBRARY.replace("CO methanol\n", "CCCO methanol\n"), "methanol is CO there, CCCO now"),
    ):
        other = tmp_path / "library.smi"
        other.write_text(text)
        with pytest.warns(UserWarning, match="left out"), pytest.raises(MismatchError, match=words):
            _batch(other, folder)


def test_a_batch_of_an_earlier_version_is_one_of_separate_fits(unfitted: tuple[Path, list[Exception]]) -> None:
    """Its note has no word on that."""
    library, errors = unfitted
    folder = library.parent / "out"
    errors.append(NumericalError("no frame is labelled"))
    _batch(library, folder)
    note = json.loads((folder / "job.json").read_text())
    del note["together"]
    (folder / "job.json").write_text(json.dumps(note))
    with pytest.raises(MismatchError, match="refined each on its own"):
        _batch(library, folder)


def test_a_common_fit_fails_or_stops_as_a_whole_and_is_done_again(unfitted: tuple[Path, list[Exception]]) -> None:
    library, errors = unfitted
    folder = library.parent / "out"
    errors.append(KeyboardInterrupt())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        _batch(library, folder)
    assert {each["state"] for each in json.loads((folder / "result.json").read_text())["molecules"]} == {"waiting"}
    errors.append(NumericalError("no frame is labelled"))
    for result in (_batch(library, folder), _batch(library, folder)):
        assert [each.reason for each in result.failed] == ["no frame is labelled."] * 2
    errors.append(NumericalError("a bond broke"))
    assert {each.reason for each in _batch(library, folder, retry=True).failed} == {"a bond broke."}


def test_what_a_common_fit_cannot_do_is_refused_first(tmp_path: Path) -> None:
    library, folder = tmp_path / "library.smi", tmp_path / "out"
    library.write_text("CO methanol\nCCO ethanol\n")
    with pytest.raises(InputError, match=r"openff-2\.3\.0 share no parameters"):
        _batch(library, folder, replace(SMALL, base="openff-2.3.0"))
    pytest.importorskip("distributed", reason="Dask is not installed (extra cluster)")
    for runner in (DaskRunner(workers=2), DaskRunner(workers=1, scheduler="tcp://127.0.0.1:9")):
        with pytest.raises(InputError, match="expected one process"):
            _batch(library, folder, runner=runner)
    library.write_text("CO methanol\n")
    with pytest.raises(InputError, match="methanol is the only molecule"):
        _batch(library, folder)
    assert not folder.exists()
