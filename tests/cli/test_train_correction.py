"""`train correction` with each recipe, and `sample` with what it wrote."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import openmm_hybrid as oh
from openmm_hybrid.cli import app
from tests.helpers import few_atoms


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Methanol with GAFF, and frames labelled with GAFF and a term of the C-O bond and one of its torsion."""
    place = tmp_path_factory.mktemp("correct")
    line = f"build CO --name methanol -o {place / 'methanol'} --charges am1-bcc"
    assert CliRunner().invoke(app, line.split()).exit_code == 0
    molecule = oh.Molecule.from_file(place / "methanol" / "molecule.sdf")
    base = oh.gaff.SystemModel(*_system(place))
    positions = molecule.positions + np.random.default_rng(0).normal(scale=0.06, size=(40, 6, 3))
    extra = few_atoms.Builder(molecule.atomic_numbers, molecule.bonds)
    extra.add("bond", few_atoms.Harmonic("distance"), {(0, 1): [200.0, 1.45]})
    energies, forces = oh.Sum((base, oh.ForceField(extra.finish()))).predict(positions)
    oh.Frames(molecule.atomic_numbers, positions, energies, forces, name="methanol").save(place / "labels.npz")
    return place


def _system(place: Path):
    from openmm_hybrid.systems.system_files import load_system

    return load_system(place / "methanol")[:2]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("global", "--gate", "correction of methanol"),
        ("local", "--atoms 1,0,5 --gate", "without net force and torque"),
        ("pattern", "--smarts [#8][#6] --lam 1e-4", "without net force and torque"),
        ("distilled", "--along 0,1 --recipe distilled", "functions of 2-5"),
        ("populations", "--along 2,5 --sampled {}/labels.npz --temperature 500", "bit apart"),
    ],
)
def test_correct_and_sample(folder: Path, name: str, options: str, said: str) -> None:
    if name == "distilled":  # no rotation about a bond changes a bond's length
        done = _run(folder, f"train correction {{}}/methanol {{}}/labels.npz -o {{}}/{name}.npz {options}")
        assert done.exit_code == 2
        assert "no rotation about a bond" in done.stderr
        options = "--along 2,5"
    done = _run(folder, f"train correction {{}}/methanol {{}}/labels.npz -o {{}}/{name}.npz {options}")
    assert done.exit_code == 0, done.stderr
    assert said in done.stdout
    assert _run(folder, f"export {{}}/{name}.npz -o {{}}/{name}.pt").exit_code == 0
    assert isinstance(oh.load(folder / f"{name}.pt"), oh.EnergyModel)
    run = f"sample {{}}/methanol -o {{}}/{name}-run --duration 0.02 --interval 20 --model {{}}/{name}.npz"
    done = _run(folder, run)
    assert done.exit_code == 0, done.stderr
    assert ("gate: 2 frames" in done.stdout) == ("--gate" in options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--recipe some", "--recipe"),
        ("--atoms 0,1 --smarts CO", "one of them"),
        ("--recipe local", "without --atoms or --smarts"),
        ("--recipe global --atoms 0,1", "recipe global with --atoms"),
        ("--recipe distilled", "without --along"),
        ("--recipe populations --along 2,5", "without --sampled"),
        ("--recipe distilled --along 2,5 --sampled {}/labels.npz", "with --sampled"),
        ("--recipe populations --along 2,5 --sampled {}/labels.npz", "without --temperature"),
        ("--atoms 0,1 --temperature 500", "recipe local with --temperature"),
        ("--along 0,5 --gate --sigma 2", "recipe distilled with --gate, --sigma"),
        ("--along 0,5 --seed 0", "with --seed; expected options that it takes: --along"),
        ("--along 0,x5", "cannot read the coordinates"),
    ],
)
def test_refuses_options_that_do_not_go_together(folder: Path, options: str, message: str) -> None:
    done = _run(folder, f"train correction {{}}/methanol {{}}/labels.npz -o {{}}/refused.npz {options}")
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert not (folder / "refused.npz").exists()


def _run(folder: Path, line: str):
    return CliRunner().invoke(app, [part.replace("{}", str(folder)) for part in line.split()])


def test_the_global_recipe_tells_its_errors_on_frames_that_it_has_not_seen(folder: Path) -> None:
    done = _run(folder, "train correction {}/methanol {}/labels.npz -o {}/few.npz --n-train 30 --sigma 10")
    assert done.exit_code == 0, done.stderr
    found = re.search(
        r"force RMSE (\S+) kcal/mol/Å on 10 frames that it was not trained on, (\S+) without", done.stdout
    )
    assert found, done.stdout
    data, model = oh.Frames.load(folder / "labels.npz"), oh.correction.load(folder / "few.npz")
    rest = data[np.setdiff1d(np.arange(40), model.model.idxs_train)]
    residual = rest.forces - oh.gaff.SystemModel(*_system(folder)).predict(rest.positions)[1]
    error = residual - model.model.predict(rest.positions)[1]
    expected = [np.sqrt(np.mean(each**2)) for each in (error, residual)]
    assert [float(text) for text in found.groups()] == pytest.approx(expected, rel=0.01)
    assert expected[0] < 0.5 * expected[1]
    done = _run(folder, "train correction {}/methanol {}/labels.npz -o {}/all.npz")
    assert "RMSE" not in done.stdout
