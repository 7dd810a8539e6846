"""`label` hands its options to the engine, and only those that the user gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import Chem
from typer.testing import CliRunner

import openmm_hybrid as oh
from openmm_hybrid.cli import app
from openmm_hybrid.core.errors import InputError
from tests.helpers.gaff_molecules import gasteiger
from tests.helpers.sgdml_data import water


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", ("gfn2", {})),
        ("--engine pyscf --method pbe --basis def2-svp", ("pyscf", {"method": "pbe", "basis": "def2-svp"})),
        ("--engine pyscf:pbe/def2-svp?density_fit=true", ("pyscf:pbe/def2-svp?density_fit=true", {})),
        ("--charge -1 --multiplicity 2", ("gfn2", {"charge": -1, "multiplicity": 2})),
    ],
)
def test_options_reach_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, expected: tuple[str, dict[str, Any]]
) -> None:
    asked = []

    def engine(name: str, **keywords: Any) -> None:
        asked.append((name, keywords))
        raise InputError("asked")

    monkeypatch.setattr(oh.reference, "engine", engine)
    monkeypatch.chdir(tmp_path)
    water(3).save("frames.npz")
    CliRunner().invoke(app, ["label", "frames.npz", "-o", "labels.npz", *options.split()])
    assert asked == [expected]


def test_a_stop_names_the_journal_and_how_to_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: Any, **keywords: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(oh.reference, "label", stop)
    monkeypatch.chdir(tmp_path)
    water(3).save("frames.npz")
    done = CliRunner().invoke(app, ["label", "frames.npz", "-o", "labels.npz"])
    assert done.exit_code == 130
    assert "labels.npz.journal; call again with the same settings to resume" in done.stderr


def test_the_file_of_the_frames_is_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    water(3).save("frames.npz")
    before = Path("frames.npz").read_bytes()
    done = CliRunner().invoke(app, ["label", "frames.npz", "-o", f"{tmp_path}/frames.npz"])
    assert done.exit_code == 2
    assert "is the file of the frames" in done.stderr
    assert Path("frames.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["frames.npz"]


def test_chunks_in_a_store_give_the_same_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    water(5).save("frames.npz")
    command = ["label", "frames.npz", "--engine", "mmff94", "-o"]
    assert CliRunner().invoke(app, [*command, "alone.npz"]).exit_code == 0
    done = CliRunner().invoke(app, [*command, "labels.npz", "--store", "store", "--chunk", "2"])
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(oh.Frames.load("labels.npz").forces, oh.Frames.load("alone.npz").forces)
    assert len(list(Path("store").glob("*.npz"))) == 3
    assert not Path("alone.npz.tasks").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--scheduler-file none.json", "none.json does not exist"),
        ("--scheduler tcp://a:1 --scheduler-file none.json", "one of them"),
        ("--workers 0", "workers = 0"),
        ("--chunk 0", "chunk = 0"),
    ],
)
def test_where_labels_cannot_be_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, words: str
) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed (extra cluster)")
    monkeypatch.chdir(tmp_path)
    water(3).save("frames.npz")
    done = CliRunner().invoke(app, ["label", "frames.npz", "-o", "labels.npz", *options.split()])
    assert done.exit_code == 2
    assert words in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["frames.npz"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("label frames.npz -o out.npz --threads 8", "--threads 8 has no effect with one worker"),
        ("label frames.npz -o out.npz --threads 0", "--threads 0 has no effect with one worker"),
        ("label frames.npz -o out.npz --memory 2GB", "--memory 2GB has no effect with one worker"),
        ("label frames.npz -o out.npz --store store --memory 2GB", "--memory 2GB has no effect with one worker"),
        ("refine-batch library.smi -o out --memory 2GB", "--memory 2GB has no effect with one worker"),
        ("refine-batch library.smi -o out --threads 0", "threads = 0"),
    ],
)
def test_options_of_workers_are_refused_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    water(3).save("frames.npz")
    Path("library.smi").write_text("CO methanol\n", encoding="utf-8")
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code == 2
    assert words in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"frames.npz", "library.smi"}


@pytest.fixture(scope="module")
def dication(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a build and of a run of the ethylenediammonium dication in vacuum."""
    folder = tmp_path_factory.mktemp("dication")
    molecule = oh.Molecule.from_smiles("[NH3+]CC[NH3+]", name="dication")
    built = oh.build(molecule, base="gaff-2.2.20", charges=gasteiger(molecule), progress=False)
    oh.save_system(folder / "build", built.system, built.topology, built.positions)
    oh.sample(
        built.system, built.topology, built.positions, output=folder / "run", n_steps=20, interval=10,
        equilibration=0, platform="Reference", progress=False,
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("name", ["build", "run"])
def test_the_charge_is_that_of_the_system_in_the_folder(dication: Path, name: str, tmp_path: Path) -> None:
    """The same geometries by tblite itself, with the molecule's charge of +2 e."""
    path = tmp_path / "labels.npz"
    done = CliRunner().invoke(app, ["label", str(dication / name), "-o", str(path)])
    assert done.exit_code == 0, done.output
    assert f"net charge +2 e, as the System in {dication / name}" in done.stdout
    found = oh.Frames.load(path)
    assert found.theory.startswith("GFN2-xTB, charge +2")
    engine = oh.reference.engine("gfn2", charge=2)
    for positions, energy, forces in zip(found.positions, found.energies, found.forces, strict=True):
        expected = engine.compute(found.atomic_numbers, positions)
        assert energy == pytest.approx(expected[0], abs=1e-6)
        np.testing.assert_allclose(forces, expected[1], atol=1e-6)


@pytest.mark.parametrize("charge", ["0", "1", "-2"])
def test_another_charge_than_the_systems_is_refused(dication: Path, charge: str, tmp_path: Path) -> None:
    options = ["-o", str(tmp_path / "labels.npz"), "--charge", charge]
    done = CliRunner().invoke(app, ["label", str(dication / "run"), *options])
    assert done.exit_code == 2
    assert "has the net charge +2 e, and --charge is" in done.stderr
    assert "leave --charge out" in done.stderr


def test_a_run_that_does_not_record_its_charge_is_labelled_with_a_warning(dication: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(dication / "run", run)
    settings = json.loads((run / "settings.json").read_text())
    assert settings.pop("net_charge") == 2
    (run / "settings.json").write_text(json.dumps(settings))
    command = ["label", str(run), "-o", str(tmp_path / "labels.npz")]
    assert "does not record its net charge" in CliRunner().invoke(app, command).stderr
    done = CliRunner().invoke(app, [*command[:-1], str(tmp_path / "charged.npz"), "--charge", "2"])
    assert done.exit_code == 0
    assert "charge +2" in oh.Frames.load(tmp_path / "charged.npz").theory


def test_a_folder_with_two_charges_is_refused(dication: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    shutil.copytree(dication / "build", build)
    Chem.MolToMolFile(oh.Molecule.from_smiles("NCCN").to_rdkit(), str(build / "molecule.sdf"))
    done = CliRunner().invoke(app, ["label", str(build), "-o", str(tmp_path / "labels.npz")])
    assert "has the net charge +2 e, and molecule.sdf +0 e" in done.stderr


def test_a_force_field_gets_the_bonds_of_the_folder(dication: Path, tmp_path: Path) -> None:
    """The energy of RDKit's MMFF94 for the drawn molecule, at the geometry of the build."""
    folder = tmp_path / "build"
    shutil.copytree(dication / "build", folder)
    molecule = oh.Molecule.from_smiles("[NH3+]CC[NH3+]", name="dication")
    Chem.MolToMolFile(molecule.to_rdkit(), str(folder / "molecule.sdf"))
    path = tmp_path / "labels.npz"
    done = CliRunner().invoke(app, ["label", str(folder), "-o", str(path), "--engine", "mmff94"])
    assert done.exit_code == 0, done.output
    found = oh.Frames.load(path)
    engine = oh.reference.engine("mmff94", charge=2).for_molecule(molecule)
    assert found.energies[0] == pytest.approx(engine.compute(found.atomic_numbers, found.positions[0])[0], abs=1e-6)
    assert json.loads((tmp_path / "labels.npz.journal").read_text().splitlines()[0])["settings"] == engine.settings
