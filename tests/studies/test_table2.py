"""The table of refitted force fields: cells, journal, models, published numbers; `train forcefield`, `replace`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
import pytest
from typer.testing import CliRunner

import openmm_hybrid as oh
from openmm_hybrid.cli import app
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.studies.kept_charges import kept_charges
from openmm_hybrid.studies.table2 import Table2Settings, Table2Study
from openmm_hybrid.studies.table2_result import Table, published
from openmm_hybrid.systems.system_files import save_system
from openmm_hybrid.testing import StudySuite
from tests.helpers.forcefield_molecules import built, shaken

FORMS = ("gaff", "cross", "sgdml")


@pytest.fixture(scope="module")
def frames() -> oh.Frames:
    """Ethanol near its minimum, labelled by GAFF with other bonds."""
    system = built("ethanol")
    start = oh.ForceField.from_system(system.system, system.topology)
    values = start.parameters.values.copy()
    values[start.group("bonds").assignment[:, 0]] *= 1.2
    positions = shaken(system, n_frames=60, by=0.03)
    energies, forces = start.with_values(values).predict(positions)
    return oh.Frames(start.atomic_numbers, positions, energies, forces, name="toy_ethanol", theory="GAFF, stiff bonds")


@pytest.fixture(scope="module")
def settings(frames: oh.Frames, tmp_path_factory: pytest.TempPathFactory) -> Table2Settings:
    path = frames.save(tmp_path_factory.mktemp("frames") / "toy_ethanol.npz")
    return Table2Settings((path,), n_train=(24,), forms=FORMS, seeds=1, n_test=10)


@pytest.fixture(scope="module")
def folder(frames: oh.Frames, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with charges, which would take a Hartree-Fock calculation."""
    path = tmp_path_factory.mktemp("table2")
    lowest = frames.positions[int(np.argmin(frames.labels()[0]))]
    molecule = oh.Molecule.from_geometry(frames.atomic_numbers, lowest)
    kept_charges(path / "ethanol-resp.npy", molecule, lambda: built("ethanol").charges)
    return path


@pytest.fixture(scope="module")
def table(settings: Table2Settings, folder: Path) -> Table:
    return Table2Study().run(settings, folder, progress=False)


class TestTable2(StudySuite):
    @pytest.fixture
    def study(self, monkeypatch: pytest.MonkeyPatch) -> Table2Study:
        monkeypatch.setattr(oh.gaff, "assign_charges", lambda *arguments, **keywords: built("ethanol").charges)
        return Table2Study()

    @pytest.fixture
    def settings(self, settings: Table2Settings) -> Table2Settings:
        return replace(settings, forms=("gaff",))

    @pytest.fixture
    def other_settings(self, settings: Table2Settings) -> Table2Settings:
        return replace(settings, n_test=11)


def test_cells_models_and_figures(table: Table, folder: Path, frames: oh.Frames) -> None:
    assert table.rows() == [("ethanol", form, 24) for form in FORMS]
    content = json.loads((folder / "table2.json").read_text())
    assert set(content["figures"]) >= {"force_rmse.ethanol.gaff.24", "energy_mae.ethanol.sgdml.24"}
    # The labels are of GAFF's form: the fit finds them, to the restraint that pulls to the start.
    assert content["figures"]["force_rmse.ethanol.gaff.24"]["value"] < 0.5
    before = oh.ForceField.from_system(built("ethanol").system, built("ethanol").topology).predict(frames.positions)[1]
    assert np.sqrt(np.mean((before - frames.forces) ** 2)) > 3.0
    fitted = oh.ForceField.load(folder / "models" / "ethanol-cross-24-0.npz")
    assert "cross.torsion" in fitted.groups
    assert oh.sgdml.load(folder / "models" / "ethanol-sgdml-24-0.npz").n_atoms == 9
    assert "ethanol cross" in table.table()


def test_resumes_after_the_last_cell(
    table: Table, settings: Table2Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = Table2Study().run(settings, folder)
    assert not capsys.readouterr().err
    assert again.cells == table.cells
    Table2Study().run(replace(settings, forms=("gaff",), seeds=2), folder)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ethanol-")]
    assert [line.split(":")[0] for line in lines] == ["ethanol-gaff-24-1"]


def test_refuses_other_data_and_too_few_frames(
    table: Table, settings: Table2Settings, folder: Path, frames: oh.Frames, tmp_path: Path
) -> None:
    fewer = frames[:50].save(tmp_path / "toy_ethanol.npz")
    with pytest.raises(MismatchError, match="data differ"):
        Table2Study().run(replace(settings, frames=(fewer,)), folder, progress=False)
    with pytest.raises(InputError, match="distinct geometries"):
        Table2Study().run(replace(settings, n_train=(55,)), folder, progress=False)
    with pytest.raises(InputError, match="unknown row 'opls'"):
        replace(settings, forms=("opls",))


def test_other_labels_of_the_same_geometries_are_refused(
    table: Table, settings: Table2Settings, folder: Path, frames: oh.Frames, tmp_path: Path
) -> None:
    relabelled = replace(frames, forces=0.9 * frames.labels()[1]).save(tmp_path / "toy_ethanol.npz")
    with pytest.raises(MismatchError, match="data differ"):
        Table2Study().run(replace(settings, frames=(relabelled,)), folder, progress=False)


def test_two_molecules_of_one_name_are_refused_first(frames: oh.Frames, tmp_path: Path) -> None:
    paths = [
        replace(frames, name=f"{name}_300K").save(tmp_path / f"{name}_300K.npz") for name in ("ethanol", "aspirin")
    ]
    for files in (paths, [paths[0], paths[0]]):
        with pytest.raises(InputError, match=rf"{files[0]} and {files[1]} both have the name '300k'"):
            Table2Study().run(Table2Settings(tuple(files), n_train=(24,)), tmp_path / "study", progress=False)
    assert not (tmp_path / "study").exists()


def test_two_processes_do_not_write_one_journal(settings: Table2Settings, folder: Path, table: Table) -> None:
    with lock_folder(folder), pytest.raises(InputError, match="another process is writing"):
        Table2Study().run(settings, folder, progress=False)


def test_charges_of_another_molecule_are_computed_again(
    settings: Table2Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run for dimethyl ether under the same name ended before its first cell."""
    ether, asked = oh.Molecule.from_smiles("COC"), []
    kept_charges(tmp_path / "ethanol-resp.npy", ether, lambda: np.zeros(9))

    def charges(molecule: oh.Molecule, method: str, **options: object) -> np.ndarray:
        asked.append(molecule.smiles)
        return built("ethanol").charges

    monkeypatch.setattr(oh.gaff, "assign_charges", charges)
    Table2Study().run(replace(settings, forms=("gaff",)), tmp_path, progress=False)
    assert len(asked) == 1
    np.testing.assert_array_equal(np.load(tmp_path / "ethanol-resp.npy"), built("ethanol").charges)


def test_published_numbers() -> None:
    # Table II of J. Chem. Phys. 153, 124109 (2020): aspirin, GAFF-NN, 11000 frames.
    assert published("force_rmse", "aspirin", "nn", 7000) == 5.95
    assert published("force_rmse", "ethanol", "morse", 110) == 15.38
    assert np.isnan(published("force_rmse", "ethanol", "cross", 110))


def test_curves_for_the_picture(table: Table) -> None:
    computed, paper = table.curves("force_rmse")
    assert set(computed["ethanol"]) == set(FORMS)
    assert paper == {}  # 24 frames are none of the paper's


@pytest.mark.parametrize(("words", "group"), [("", "bonds.morse"), ("--bonds harmonic", "bonds")])
def test_cross_terms_come_with_morse_bonds(tmp_path: Path, frames: oh.Frames, words: str, group: str) -> None:
    """As in `edit(cross=True)`, unless the bonds are named."""
    system = built("ethanol")
    save_system(tmp_path / "ethanol", system.system, system.topology, system.positions)
    frames.save(tmp_path / "frames.npz")
    fit = f"train forcefield {tmp_path}/ethanol {tmp_path}/frames.npz -o {tmp_path}/ff.npz --n-train 24 --n-test 10"
    done = CliRunner().invoke(app, [*fit.split(), "--cross", *words.split()])
    assert done.exit_code == 0, done.output
    groups = oh.ForceField.load(tmp_path / "ff.npz").groups
    assert [name for name in groups if name.startswith("bonds")] == [group]


def test_train_forcefield_and_replace_on_the_command_line(tmp_path: Path, frames: oh.Frames) -> None:
    system = built("ethanol")
    save_system(tmp_path / "ethanol", system.system, system.topology, system.positions)
    frames.save(tmp_path / "frames.npz")
    fit = f"train forcefield {tmp_path}/ethanol {tmp_path}/frames.npz -o {tmp_path}/ff.npz --n-train 24 --n-test 10"
    done = CliRunner().invoke(
        app, [*fit.split(), *["--fixed", "charges/*", "--bonds", "morse", "--report"], f"{tmp_path}/fit.json"]
    )
    assert done.exit_code == 0, done.output
    assert "test" in done.stdout
    assert json.loads((tmp_path / "fit.json").read_text())["molecules"]
    fitted = oh.ForceField.load(tmp_path / "ff.npz")
    assert "bonds.morse" in fitted.groups
    put = CliRunner().invoke(app, ["replace", f"{tmp_path}/ethanol", f"{tmp_path}/ff.npz", "-o", f"{tmp_path}/better"])
    assert put.exit_code == 0, put.output
    made = openmm.XmlSerializer.deserialize((tmp_path / "better" / "system.xml").read_text())
    energies, _ = oh.gaff.SystemModel(made, system.topology).predict(frames.positions[:5])
    np.testing.assert_allclose(energies, fitted.predict(frames.positions[:5])[0], rtol=1e-9)
    same = CliRunner().invoke(
        app, ["replace", f"{tmp_path}/ethanol", f"{tmp_path}/ff.npz", "-o", f"{tmp_path}/ethanol"]
    )
    assert same.exit_code == 2
    assert "name another one" in same.stderr


def test_study_on_the_command_line(folder: Path, table: Table, frames: oh.Frames, tmp_path: Path) -> None:
    frames.save(tmp_path / "toy_ethanol.npz")
    command = ["study", "table2", f"{tmp_path}/toy_ethanol.npz", "-o", str(folder), "--n-train", "24", "--seeds", "1"]
    done = CliRunner().invoke(app, [*command, "--forms", "gaff", "--forms", "cross", "--n-test", "10"])
    assert done.exit_code == 0, done.output
    assert (folder / "table2_force_rmse.png").stat().st_size > 1000
    assert "ethanol gaff" in done.stdout
