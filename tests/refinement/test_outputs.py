"""What a refinement writes for OpenMM, and its budgets: ethanol from a folder of `build`, with labels of MMFF94."""

from __future__ import annotations

import html
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray
from openmm import app, unit

import openmm_hybrid as oh
from openmm_hybrid.cli.info import describe
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.refinement.course import Course
from openmm_hybrid.systems.build_folder import write_build
from tests.helpers.classical_ethanol import predict

CHARGES = [-0.1361, 0.1258, -0.5998, 0.0424, 0.0424, 0.0424, 0.0432, 0.0432, 0.3965]
FEW = oh.RefineSettings(
    engine="mmff94", n_conformers=1, n_first=20, n_fresh=10, n_more=0, rounds=1, target=1e-6, hot_ps=0.0
)
WATER = "amber14/tip3p.xml"
PME = {"nonbondedMethod": app.PME, "nonbondedCutoff": 0.9 * unit.nanometer}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `openmm-hybrid build` writes it."""
    folder = tmp_path_factory.mktemp("ethanol") / "built"
    system = oh.build(oh.Molecule.from_smiles("CCO", name="ethanol"), base="gaff-1.81", charges=CHARGES, progress=False)
    write_build(folder, system, base="gaff-1.81", method="resp")
    return folder


@pytest.fixture(scope="module")
def refined(built: Path) -> oh.Refined:
    return oh.refine(built, built.parent / "refined", replace(FEW, solvate=10.0), progress=False)


def shaken(folder: Path) -> NDArray[np.float64]:
    """The positions in a folder, with each residue moved and its atoms too, Å."""
    _, topology, positions = oh.load_system(folder)
    chance = np.random.default_rng(0)
    moved = positions + chance.normal(scale=0.02, size=positions.shape)
    for residue in topology.residues():
        moved[[atom.index for atom in residue.atoms()]] += chance.normal(scale=0.05, size=3)
    return moved[None]


def by_template(refined: oh.Refined, topology: app.Topology, **options: object) -> openmm.System:
    """The System of GAFF from refined.xml, before `replace`."""
    return app.ForceField(str(refined.path / "refined.xml"), WATER).createSystem(topology, **options)


def by_generator(refined: oh.Refined, topology: app.Topology, **options: object) -> openmm.System:
    forcefield = app.ForceField(WATER)
    oh.register(forcefield, refined.forcefield)
    return forcefield.createSystem(topology, **options)


def test_three_ways_into_water_give_the_same_energies_and_forces(refined: oh.Refined) -> None:
    stored, topology, _ = oh.load_system(refined.path / "solvated")
    replaced = by_template(refined, topology, **PME)
    oh.replace(replaced, topology, refined.forcefield, atoms=range(9))
    positions = shaken(refined.path / "solvated")
    wanted, pulls = predict(stored, positions)
    for system in (replaced, by_generator(refined, topology, **PME)):
        energies, forces = predict(system, positions)
        np.testing.assert_allclose(energies, wanted, rtol=1e-9)
        np.testing.assert_allclose(forces, pulls, rtol=0, atol=1e-9 * np.abs(pulls).max())


def test_interactions_with_water_are_those_of_the_base_force_field(refined: oh.Refined) -> None:
    """Without a cutoff energies add up: the refined and the base System differ by the energies of the molecule."""
    stored, topology, _ = oh.load_system(refined.path / "solvated")
    positions = shaken(refined.path / "solvated")
    base = by_template(refined, topology)
    outer = predict(base, positions)[0] - predict(vacuum(refined), positions[:, :9])[0]
    found = predict(by_generator(refined, topology), positions)[0] - refined.forcefield.predict(positions[:, :9])[0]
    np.testing.assert_allclose(found, outer, rtol=1e-9)
    (kept,), (given,) = (
        [force for force in system.getForces() if isinstance(force, openmm.NonbondedForce)] for system in (stored, base)
    )
    for index in range(stored.getNumParticles()):
        assert kept.getParticleParameters(index) == given.getParticleParameters(index)


def vacuum(refined: oh.Refined) -> openmm.System:
    """The molecule alone with GAFF."""
    _, topology, _ = oh.load_system(refined.path / "system")
    return app.ForceField(str(refined.path / "refined.xml")).createSystem(topology)


def test_a_folder_of_build_gives_base_and_charges(refined: oh.Refined, built: Path) -> None:
    np.testing.assert_allclose(refined.forcefield.outer.charges, CHARGES, atol=1e-12)
    settings = json.loads((refined.path / "result.json").read_text(encoding="utf-8"))["settings"]
    assert (settings["base"], settings["charges"]) == ("gaff-1.81", "resp")
    for other in ({"base": "gaff-2.2.20"}, {"charges": "am1-bcc"}):
        with pytest.raises(MismatchError, match=f"{next(iter(other))} is '.*', and ethanol comes with"):
            oh.refine(built, refined.path, replace(FEW, **other), progress=False)
    with pytest.raises(MismatchError, match="charges_given"):
        oh.refine("CCO", refined.path, replace(FEW, base="gaff-1.81", charges="resp"), progress=False)


def test_load_gives_the_refinement_back(refined: oh.Refined, tmp_path: Path) -> None:
    loaded = oh.load(refined.path)
    assert isinstance(loaded, oh.Refined)
    assert loaded.rounds == refined.rounds
    np.testing.assert_array_equal(loaded.labels.positions, refined.labels.positions)
    (tmp_path / "unfinished" / "round-0").mkdir(parents=True)
    with pytest.raises(InputError, match="no finished refinement"):
        oh.load(tmp_path / "unfinished")
    with pytest.raises(InputError, match="empty"):
        oh.load(tmp_path / "empty")


def test_the_code_in_the_report_runs(refined: oh.Refined, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (refined.path / "report.html").read_text(encoding="utf-8")
    code = html.unescape(page.partition("<pre>")[2].partition("</pre>")[0])
    monkeypatch.chdir(refined.path)
    found: dict[str, Any] = {}
    exec(compile(code, "report.html", "exec"), found)
    positions = shaken(refined.path / "solvated")
    assert found["system"].getNumParticles() == positions.shape[1] > 9
    wanted = predict(by_generator(refined, found["topology"]), positions)[0]
    np.testing.assert_allclose(predict(found["system"], positions)[0], wanted, rtol=1e-12)
    plain = predict(by_template(refined, found["topology"]), positions)[0]
    np.testing.assert_allclose(predict(found["base"], positions)[0], plain, rtol=1e-12)


def test_info_describes_the_folder(refined: oh.Refined, tmp_path: Path) -> None:
    found = describe(refined.path)
    assert found.kind == "refinement"
    assert (found.facts["molecule"], found.facts["base"]) == ("CCO", "gaff-1.81 with resp charges")
    assert (found.facts["labels"], found.facts["verdict"]) == (30, refined.verdict)
    (tmp_path / "round-0").mkdir()
    with pytest.raises(InputError, match="no finished refinement"):
        describe(tmp_path)
    (tmp_path / "result.json").write_text('{"settings": {}}')
    with pytest.raises(InputError, match="damaged"):
        describe(tmp_path)


def test_the_verdict_names_the_budget(refined: oh.Refined, built: Path, tmp_path: Path) -> None:
    assert "not converged within the budget of 1 round; this is round 1 of 1." in refined.verdict
    folder = tmp_path / "copy"
    shutil.copytree(refined.path, folder)
    for budget, words in ((replace(FEW, max_labels=39), "39 labels"), (replace(FEW, max_minutes=1e-4), "0.0001 min")):
        ended = oh.refine(built, folder, replace(budget, rounds=2), progress=False)
        assert f"not converged within the budget of {words}" in ended.verdict
        assert len(ended.rounds) == 1
        assert ended.rounds[-1].n_labels == 30
    assert not (folder / "round-2").exists()
    assert not (folder / "solvated" / "system.xml").exists()  # these calls ask for no box


@pytest.mark.parametrize(
    ("given", "words"),
    [({"max_labels": 29}, "30 or more.*n_first = 20"), ({"solvate": 8.0}, "a cutoff of 9.0"), ({"solvate": -1}, "pos")],
)
def test_budgets_and_boxes_that_are_too_small_are_refused(given: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(FEW, **given)


@pytest.mark.parametrize(("own", "begins"), [(2.0, "Worse than gaff-1.81. m: force"), (0.5, "m: force RMSE 0.50")])
def test_the_verdict_begins_with_a_force_field_that_is_worse_than_its_base(own: float, begins: str) -> None:
    entry = SimpleNamespace(own_force=own, unseen_force=1.0, base_force=2.0, n_labels=10)
    member = SimpleNamespace(
        molecule=SimpleNamespace(name="m"), settings=SimpleNamespace(temperature=500.0, base="gaff-1.81")
    )
    course = SimpleNamespace(rounds=[entry], member=member, good=False)
    assert Course._verdict(course, 0, "1 round").startswith(begins)  # type: ignore[arg-type]
