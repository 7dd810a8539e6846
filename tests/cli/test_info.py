"""`info` on every kind of file and folder that the package writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import openmm_hybrid as oh
from openmm_hybrid.cli import app
from openmm_hybrid.sgdml.solvers.checkpoint import State, save_state
from openmm_hybrid.systems.system_files import save_system
from tests.helpers.forcefield_molecules import built, shaken


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames, models and folders of ethanol."""
    folder = tmp_path_factory.mktemp("info")
    system = built("ethanol")
    start = oh.ForceField.from_system(system.system, system.topology, name="ethanol")
    positions = shaken(system, n_frames=24, by=0.03)
    energies, forces = start.predict(positions)
    frames = oh.Frames(start.atomic_numbers, positions, energies, forces, name="ethanol", theory="GAFF")
    for name in ("frames.npz", "frames.xyz", "frames.h5"):
        frames.save(folder / name)
    oh.Frames(frames.atomic_numbers, positions, name="ethanol").save(folder / "bare.npz")
    model = oh.sgdml.train(frames, sigma=10, n_train=8, progress=False)
    model.save(folder / "model.npz")
    oh.correction.Correction(model, recipe="train").gated(frames[:8]).save(folder / "gated.npz")
    oh.Sum((start, model)).save(folder / "sum.npz")
    start.save(folder / "forcefield.npz", notes={"theory": "GAFF", "errors": {"force_mae": 1.5}})
    oh.export_torchscript(model, folder / "model.pt", name="ethanol", theory="GAFF")
    save_system(folder / "system", system.system, system.topology, system.positions)
    oh.sample(
        system.system, system.topology, positions[0], output=folder / "run", n_steps=20, interval=10,
        equilibration=0, platform="Reference", progress=False,
    )  # fmt: skip
    header = {"format": "openmm-hybrid labels 2", "atomic_numbers": [8, 1, 1], "n_frames": 5, "theory": "GFN2-xTB"}
    again = {"frame": 0, "failed": "no convergence"}  # before a larger number of steps
    lines = [header, again, {"frame": 0, "energy": 1.0, "forces": [0.0] * 9}, {"frame": 1, "failed": "no convergence"}]
    (folder / "labels.npz.journal").write_text("\n".join(map(json.dumps, lines)))
    vector = torch.zeros(12)
    save_state(folder / "solver.npz", State(7, vector, vector, vector, 1.0), {"sigma": 10.0})
    return folder


def described(stock: Path, name: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["info", str(stock / name), "--json"])
    assert done.exit_code == 0, done.output
    shown = CliRunner().invoke(app, ["info", str(stock / name)])
    found = json.loads(done.stdout)
    assert found["kind"] in shown.stdout.splitlines()[0]
    return dict(found)


@pytest.mark.parametrize("name", ["frames.npz", "frames.xyz", "frames.h5"])
def test_frames(stock: Path, name: str) -> None:
    found = described(stock, name)
    expected = {"kind": "frames", "name": "ethanol", "atoms": 9, "formula": "C2H6O", "frames": 24, "theory": "GAFF"}
    assert expected.items() <= found.items()
    assert found["labels"] == ["energies", "forces"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bare.npz", {"kind": "frames", "labels": ["none"]}),
        ("model.npz", {"kind": "sGDML model", "theory": "GAFF", "training_frames": 8, "formula": "C2H6O"}),
        (
            "gated.npz",
            {"kind": "correction", "model": "sGDML", "recipe": "train", "theory": "GAFF", "data": "ethanol"}
            | {"gate": "fades between the distances 1.5 and 2.5"},
        ),
        ("sum.npz", {"kind": "model", "model": "sum", "theory": "GAFF", "formula": "C2H6O"}),
        ("forcefield.npz", {"kind": "force field", "formula": "C2H6O", "errors": {"force_mae": 1.5}}),
        ("model.pt", {"kind": "TorchScript model", "name": "ethanol", "dtype": "float64", "atoms": 9}),
        ("system", {"kind": "system", "particles": 9, "models": ["none"]}),
        ("run", {"kind": "sampling run", "starts": 1, "frames": 2, "atoms": 9, "platform": "Reference"}),
        ("labels.npz.journal", {"kind": "label journal", "frames": 5, "labelled": 1, "failed": 1, "formula": "H2O"}),
        ("solver.npz", {"kind": "training checkpoint", "iteration": 7, "equations": 12}),
    ],
)
def test_other_kinds(stock: Path, name: str, expected: dict[str, Any]) -> None:
    found = described(stock, name)
    assert expected.items() <= found.items(), found
    if name in ("gated.npz", "forcefield.npz", "model.pt", "system"):
        assert found["written_by"] == f"openmm-hybrid {oh.__version__}"


def test_gated_models_and_force_fields_are_exported(stock: Path, tmp_path: Path) -> None:
    positions = oh.Frames.load(stock / "frames.npz").positions[:3]
    for name, model in (
        ("gated.npz", oh.correction.load(stock / "gated.npz").model),
        ("forcefield.npz", oh.ForceField.load(stock / "forcefield.npz")),
    ):
        done = CliRunner().invoke(app, ["export", str(stock / name), "-o", str(tmp_path / "model.pt")])
        assert done.exit_code == 0, done.output
        exported = oh.load_torchscript(tmp_path / "model.pt")
        np.testing.assert_allclose(exported.predict(positions)[1], model.predict(positions)[1], atol=1e-9)


def test_the_charges_that_a_study_kept_are_not_its_result(tmp_path: Path) -> None:
    result = Path(__file__).parents[2] / "benchmarks" / "results" / "table2.json"
    (tmp_path / "table2.json").write_text(result.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "charges-am1-bcc.json").write_text('{"charges": [0.0]}', encoding="utf-8")
    assert described(tmp_path.parent, tmp_path.name)["kind"] == "result of table2"


def test_committed_results_and_ready_force_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    found = described(root, "benchmarks/results/table2.json")
    assert found["kind"] == "result of table2"
    assert found["force_rmse.ethanol.gaff.110"]["unit"] == "kcal/mol/Å"
    for place in ("forcefields/ethanol-cross", "ethanol-cross"):
        found = json.loads(CliRunner().invoke(app, ["info", place, "--json"]).stdout)
        assert (found["kind"], found["molecule"]) == ("shipped force field", "ethanol")


def test_an_unknown_name_is_answered_with_the_nearest_ones() -> None:
    done = CliRunner().invoke(app, ["info", "aspirin-cros"])
    assert done.exit_code == 2
    assert "aspirin-cros does not exist; did you mean aspirin-cross" in done.stderr


def test_values_with_errors_are_one_text() -> None:
    done = CliRunner().invoke(app, ["info", "ethanol-rotors"])
    assert "js_excess.gaff 0.0356 ± 0.0056 bit" in done.stdout
