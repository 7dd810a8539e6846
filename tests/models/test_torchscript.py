"""TorchScript files: parity in a process that knows only torch, metadata, refusal of damaged and foreign files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.models.torchscript import export_torchscript, load_torchscript, metadata, write_script
from tests.helpers.morse import PairMorse, UnscriptableMorse

NUMBERS = (6, 8, 1, 1)
POSITIONS = np.random.default_rng(0).normal(scale=1.5, size=(3, 4, 3))

ALONE = """
import json, sys, numpy, torch
extra = {"metadata.json": ""}
module = torch.jit.load(sys.argv[1], _extra_files=extra)
energies, forces = module(torch.from_numpy(numpy.load(sys.argv[2])))
numpy.savez(sys.argv[3], energies=energies.numpy(), forces=forces.numpy(), notes=extra["metadata.json"].decode())
if any(name.startswith(("openmm", "ase", "rdkit")) for name in sys.modules):
    sys.exit("more than torch was imported")
"""


def test_a_process_with_torch_alone_gives_the_same_numbers(tmp_path: Path) -> None:
    model = PairMorse(NUMBERS)
    path = export_torchscript(model, tmp_path / "new" / "m.pt", name="methanol-like", theory="Morse")
    np.save(tmp_path / "x.npy", POSITIONS)
    command = [sys.executable, "-I", "-c", ALONE, str(path), str(tmp_path / "x.npy"), str(tmp_path / "out.npz")]
    subprocess.run(command, check=True, capture_output=True)
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_allclose(out["energies"], model.predict(POSITIONS)[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(out["forces"], model.predict(POSITIONS)[1], rtol=0, atol=1e-12)
        notes = json.loads(str(out["notes"]))
    assert notes["units"] == {"length": "Å", "energy": "kcal/mol", "force": "kcal/mol/Å"}
    assert notes["elements"] == ["C", "O", "H", "H"]
    assert (notes["name"], notes["theory"], notes["dtype"]) == ("methanol-like", "Morse", "float64")
    assert {"openmm_hybrid", "torch"} <= set(notes["versions"])


def test_float32_files_compute_in_float32(tmp_path: Path) -> None:
    model = PairMorse(NUMBERS)
    module = load_torchscript(export_torchscript(model, tmp_path / "m.pt", dtype="float32")).module()
    energies, _ = module(torch.tensor(POSITIONS))
    assert energies.dtype == torch.float32
    np.testing.assert_allclose(energies.numpy(), model.predict(POSITIONS)[0], rtol=1e-5)


def test_converting_a_loaded_module_leaves_the_model_as_it_is(tmp_path: Path) -> None:
    loaded = load_torchscript(export_torchscript(PairMorse(NUMBERS), tmp_path / "m.pt"))
    loaded.module().to(torch.float32)
    np.testing.assert_allclose(loaded.predict(POSITIONS)[0], PairMorse(NUMBERS).predict(POSITIONS)[0], rtol=1e-14)


def test_refusals_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="no TorchScript form"):
        export_torchscript(UnscriptableMorse(NUMBERS), tmp_path / "m.pt")
    with pytest.raises(InputError, match="float16"):
        export_torchscript(PairMorse(NUMBERS), tmp_path / "m.pt", dtype="float16")
    assert not list(tmp_path.iterdir())


def _foreign(path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


def _newer(path: Path) -> None:
    notes = {"format": "openmm-hybrid-torchscript", "format_version": 99}
    torch.jit.save(
        torch.jit.script(torch.nn.Linear(2, 2)), str(path), _extra_files={"metadata.json": json.dumps(notes)}
    )


def _cut(path: Path) -> None:
    export_torchscript(PairMorse(NUMBERS), path)
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"not a zip file"), "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (_cut, "damaged"),
        (_foreign, "without this package's metadata"),
        (_newer, "format version 99"),
        (lambda path: None, "does not exist"),
    ],
)
def test_damaged_and_foreign_files_are_refused_in_one_line(write: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    write(path)  # type: ignore[operator]
    with pytest.raises(InputError, match=message) as caught:
        load_torchscript(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_bonds_are_kept(tmp_path: Path) -> None:
    model = oh.ForceField.load("ethanol-nn")
    found = load_torchscript(export_torchscript(model, tmp_path / "m.pt"))
    np.testing.assert_array_equal(found.bonds, model.bonds)
    again = load_torchscript(export_torchscript(found, tmp_path / "again.pt"))
    np.testing.assert_array_equal(again.bonds, model.bonds)
    assert load_torchscript(export_torchscript(PairMorse(NUMBERS), tmp_path / "n.pt")).bonds is None


@pytest.mark.parametrize("bonds", ["0-1", [[0, 9]], [[0]], [[0, True]], [["a", 1]]])
def test_bonds_that_are_none_are_refused(tmp_path: Path, bonds: object) -> None:
    model = PairMorse(NUMBERS)
    notes = metadata(model, name="", theory="", dtype="float64", convention="model") | {"bonds": bonds}
    write_script(torch.jit.script(model.module()), tmp_path / "m.pt", notes)
    with pytest.raises(InputError, match="are no pairs of its atoms"):
        load_torchscript(tmp_path / "m.pt")
