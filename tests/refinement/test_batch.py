"""Batches of refinements: names, failures, resumption, the summary; one real molecule that is killed and resumed."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import pytest

import openmm_hybrid as oh
from benchmarks.kills import kill_when
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.data.library_files import LibraryEntry
from openmm_hybrid.refinement.batch import live_table
from openmm_hybrid.refinement.batch_task import entry_task
from openmm_hybrid.refinement.check_results import Checks
from openmm_hybrid.tasks import Runner, Store, Task, TaskResult
from openmm_hybrid.tasks.perform import perform_here

ROOT = Path(__file__).parents[2]
LIBRARY = "CO methanol\nCC ethane\nC1CC broken\n"


@final
@dataclass(frozen=True)
class Here(Runner):
    """One task after another in this process, where the refinements of these tests are replaced."""

    def check(self) -> None:
        """Nothing can be wrong."""

    def perform_all(self, tasks: Sequence[Task], store: Store) -> Iterator[TaskResult]:
        """Outcomes in the order of the tasks."""
        for task in tasks:
            yield perform_here(task, store)


@final
class Refinements:
    """Stands for `refine`: it notes its calls, writes the report, and fails for some molecules."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail: dict[str, Exception] = {}

    def __call__(self, molecule: oh.Molecule, output: str, settings: oh.RefineSettings, *, progress: bool) -> Any:
        self.calls.append(molecule.name)
        if molecule.name in self.fail:
            raise self.fail[molecule.name]
        Path(output).mkdir(parents=True, exist_ok=True)
        (Path(output) / "report.html").write_text("the report")
        numbers = {"unseen_force": 1.0, "own_force": 1.5, "base_force": 9.0, "unseen_energy": 1.0, "own_energy": 1.0}
        entry = oh.refinement.Round(
            n_train=20, n_labels=30, own_worst=2.0, base_energy=3.0, n_broken=0, n_broken_hot=0, notes=(), **numbers
        )
        return oh.Refined(Path(output), None, (entry,), 1, f"{molecule.name}: good <&>", True, Checks())  # type: ignore[arg-type]


@pytest.fixture
def refinements(monkeypatch: pytest.MonkeyPatch) -> Refinements:
    made = Refinements()
    monkeypatch.setattr("openmm_hybrid.refinement.batch_task.refine", made)
    return made


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "library.smi"
    path.write_text(LIBRARY)
    return path


def _batch(library: Path, folder: Path, settings: oh.RefineSettings | None = None, **others: Any) -> oh.BatchResult:
    return oh.refine_batch(library, folder, settings, runner=Here(), time_limit=None, progress=False, **others)


def test_each_molecule_is_refined_and_the_unreadable_one_is_told(
    refinements: Refinements, library: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    with pytest.warns(UserWarning, match=r"1 of 3 molecules are left out: broken \(line 3\)"):
        result = _batch(library, folder)
    assert refinements.calls == ["methanol", "ethane"]
    assert [(each.name, each.state) for each in result.molecules] == [
        ("methanol", "refined"),
        ("ethane", "refined"),
        ("broken", "failed"),
    ]
    assert result.verdict.startswith("2 of 3 molecules refined, 1 failed; median force RMSE 1.50 kcal/mol/Å")
    assert "cannot read the SMILES 'C1CC'" in result.failed[0].reason
    with (folder / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["state"], row["force"], row["n_atoms"]) for row in rows] == [
        ("methanol", "refined", "1.5", "6"),
        ("ethane", "refined", "1.5", "8"),
        ("broken", "failed", "", ""),
    ]
    content = json.loads((folder / "result.json").read_text())
    assert content["molecules"][1]["verdict"] == "ethane: good <&>"
    assert "openmm" in content["versions"]
    page = (folder / "index.html").read_text()
    assert '<a href="methanol/report.html">methanol</a>' in page
    assert "ethane: good &lt;&amp;&gt;" in page
    assert 'href="broken' not in page
    assert "http" not in page
    assert (folder / "methanol" / "report.html").is_file()
    with pytest.raises(InputError, match="holds many refinements"):
        oh.load(folder)


@pytest.mark.filterwarnings("ignore:1 of [34] molecules")
def test_failures_are_kept_and_done_again_on_request(refinements: Refinements, library: Path, tmp_path: Path) -> None:
    refinements.fail = {"methanol": NumericalError("no frame is labelled"), "ethane": ZeroDivisionError("a fault")}
    reasons = [each.reason for each in _batch(library, tmp_path / "out").failed]
    assert reasons[:2] == ["no frame is labelled.", "ZeroDivisionError: a fault"]
    refinements.fail = {}
    assert len(_batch(library, tmp_path / "out").failed) == 3
    assert len(refinements.calls) == 2
    assert [each.name for each in _batch(library, tmp_path / "out", retry=True).failed] == ["broken"]
    assert len(refinements.calls) == 4


@pytest.mark.filterwarnings("ignore:1 of [34] molecules")
def test_a_stopped_batch_goes_on_where_it_was(refinements: Refinements, library: Path, tmp_path: Path) -> None:
    refinements.fail = {"ethane": KeyboardInterrupt()}  # type: ignore[dict-item]
    with pytest.raises(KeyboardInterrupt):
        _batch(library, tmp_path / "out")
    states = [each["state"] for each in json.loads((tmp_path / "out" / "result.json").read_text())["molecules"]]
    assert states == ["refined", "waiting", "failed"]
    refinements.fail = {}
    assert len(_batch(library, tmp_path / "out").refined) == 2
    assert refinements.calls == ["methanol", "ethane", "ethane"]
    library.write_text(f"{LIBRARY}CCC propane\n")
    assert len(_batch(library, tmp_path / "out").refined) == 3
    assert refinements.calls[3:] == ["propane"]


@pytest.mark.filterwarnings("ignore:1 of [34] molecules")
def test_other_settings_or_molecules_are_refused_before_anything_runs(
    refinements: Refinements, library: Path, tmp_path: Path
) -> None:
    folder, settings = tmp_path / "out", oh.RefineSettings()
    _batch(library, folder, settings)
    with pytest.raises(MismatchError, match=r"another batch.*temperature 500\.0 there, 300\.0 now"):
        _batch(library, folder, replace(settings, temperature=300.0))
    _batch(library, folder, replace(settings, target=1.0))
    library.write_text("CCO methanol\n")
    with pytest.raises(MismatchError, match="methanol is CO there, CCO now"):
        _batch(library, folder, settings)
    assert refinements.calls == ["methanol", "ethane"] * 2


@pytest.mark.filterwarnings("ignore:1 of [34] molecules")
def test_another_file_of_the_engine_is_another_batch(refinements: Refinements, library: Path, tmp_path: Path) -> None:
    teacher, entry = tmp_path / "teacher.npz", LibraryEntry("methanol", "line 1", smiles="CO")
    settings, keys = oh.RefineSettings(engine=f"model:{teacher}"), []
    for name in ("ethanol-gaff", "ethanol-cross"):
        oh.ForceField.load(name).save(teacher)
        keys.append(entry_task(entry, settings, tmp_path, None).key)
    assert keys[0] != keys[1]
    assert "engine_files" not in entry_task(entry, oh.RefineSettings(), tmp_path, None).arguments
    _batch(library, tmp_path / "out", settings)
    _batch(library, tmp_path / "out", settings)
    assert refinements.calls == ["methanol", "ethane"]
    oh.ForceField.load("ethanol-gaff").save(teacher)
    with pytest.raises(MismatchError, match="engine_files differs"):
        _batch(library, tmp_path / "out", settings)


def test_doubles_and_names_that_clash_are_told_first(refinements: Refinements, tmp_path: Path) -> None:
    library = tmp_path / "library.smi"
    library.write_text("OC a\nCC b\nCO c\n")
    with pytest.warns(UserWarning, match=r"c \(line 3\): it is the same molecule as a \(line 1\)"):
        result = _batch(library, tmp_path / "out")
    assert [each.state for each in result.molecules] == ["refined", "refined", "failed"]
    for text, words in (
        ("CO a b\nCC a_b\n", "gives the folder 'a_b'"),
        ("CO index.html\n", "that of the batch"),
        ("CO ..\n", "that of the batch"),
        ("C1CC x\n", "no molecule of"),
    ):
        library.write_text(text)
        with pytest.raises(InputError, match=words):
            _batch(library, tmp_path / "other")
    library.write_text("CO a\n")
    with pytest.raises(InputError, match="nonsense"):
        _batch(library, tmp_path / "other", oh.RefineSettings(engine="nonsense"))
    assert not (tmp_path / "other").exists()


def test_the_live_table_shows_what_the_folder_tells(tmp_path: Path) -> None:
    from rich.console import Console

    (tmp_path / "a" / "round-1").mkdir(parents=True)
    fit = {"n_labels": 30, "unseen": {"force_rmse": 1.25}, "base": {"force_rmse": 9.0}}
    (tmp_path / "a" / "round-1" / "fit.json").write_text(json.dumps(fit))
    kind = oh.refinement.BatchMolecule
    states = (
        kind.begun("a", tmp_path / "a", 0.0),
        kind.begun("b", tmp_path / "b", 0.0),
        kind("c", "c"),
        kind("d", "d", "failed", "no [frame]"),
    )
    console = Console(width=120)
    with console.capture() as capture:
        console.print(live_table(oh.BatchResult(tmp_path, states)))
    lines = [line.split() for line in capture.get().splitlines()]
    assert " ".join(lines[0]) == "0 of 4 molecules refined, 1 failed, 3 not finished."
    assert lines[2][:5] == ["a", "running", "1", "1.25", "9.00"]
    assert lines[3][:5] == ["b", "running", "–", "–", "–"]
    assert lines[4][-2:] == ["no", "[frame]"]
    assert lines[5] == ["c", "waiting", "–", "–", "–", "–"]


def test_a_killed_batch_of_the_command_line_resumes(tmp_path: Path) -> None:
    """Water, with few labels of MMFF94; the command is killed during the dynamics, with the process of the molecule."""
    (tmp_path / "library.csv").write_text("name,smiles\nwater,O\nbroken,C1CC\n")
    options = [
        "--engine",
        "mmff94",
        "--conformers",
        "1",
        "--first",
        "20",
        "--scan",
        "0",
        "--fresh",
        "10",
        "--more",
        "0",
    ]
    options += ["--rounds", "1", "--hot-ps", "0", "--profile", "0", "--no-frequencies"]
    command = [sys.executable, "-m", "openmm_hybrid.cli", "refine-batch", "library.csv", "-o", "out", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    assert kill_when(first, lambda: (tmp_path / "out" / "water" / "round-0").exists(), poll=0.02)
    assert not (tmp_path / "out" / "water" / "result.json").exists()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "broken (line 3)" in done.stderr
    assert "1 of 2 molecules refined, 1 failed" in done.stdout
    content = json.loads((tmp_path / "out" / "result.json").read_text())
    assert content["molecules"][0]["n_atoms"] == 3
    assert content["molecules"][0]["labels"] == len(oh.load(tmp_path / "out" / "water").labels) == 30  # type: ignore[union-attr]
