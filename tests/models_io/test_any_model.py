"""Every model is read by one function, from its file or by its name. Source: the models that were saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import sha256
from openmm_hybrid.core.versioned_npz import Arrays
from openmm_hybrid.models_io.any_model import load_model, save_model
from tests.helpers import few_atoms
from tests.helpers.morse import PairMorse, UnscriptableMorse

NUMBERS = (6, 8, 1)
POSITIONS = np.array([[[0.0, 0.0, 0.0], [1.2, 0.1, 0.0], [-0.5, 0.9, 0.2]]])


def same(one: oh.EnergyModel, other: oh.EnergyModel, positions: NDArray[np.float64] = POSITIONS) -> None:
    assert one.atomic_numbers.tolist() == other.atomic_numbers.tolist()
    for got, expected in zip(one.predict(positions), other.predict(positions), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-10)


def test_names_are_those_of_the_shipped_sets() -> None:
    assert isinstance(oh.load("ethanol-cross"), oh.ForceField)
    with pytest.raises(InputError, match="did you mean ethanol-cross"):
        oh.load("ethanol-cros")


def test_torchscript_files(tmp_path: Path) -> None:
    model = PairMorse(NUMBERS)
    same(oh.load(oh.export_torchscript(model, tmp_path / "morse.pt")), model)


def test_sgdml_files_of_both_layouts(reference_data: Callable[[str], Path], tmp_path: Path) -> None:
    path = reference_data("sgdml_model_2018_ethanol.npz")
    old = oh.load(path)
    positions = oh.Frames.load(reference_data("md17_ethanol.npz"))[:3].positions
    same(oh.load(old.save(tmp_path / "new.npz")), oh.sgdml.load(path), positions)


def test_composed_models_are_one_file(tmp_path: Path) -> None:
    inner = oh.OnAtoms(PairMorse((8, 6)), (1, 0), NUMBERS)
    model = oh.Difference(oh.Sum((PairMorse(NUMBERS), inner)), PairMorse(NUMBERS, 3.0))
    loaded = oh.load(model.save(tmp_path / "model.npz"))
    assert isinstance(loaded, oh.Difference)
    assert isinstance(loaded.minuend, oh.Sum)
    assert isinstance(loaded.minuend.parts[1], oh.OnAtoms)
    same(loaded, model)
    assert isinstance(
        oh.load(oh.Sum((few_atoms.base(), few_atoms.twist())).save(tmp_path / "sum.npz")).parts[1], oh.ForceField
    )


def test_a_model_without_a_file_form_says_so(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="no TorchScript form"):
        oh.Sum((PairMorse(NUMBERS), UnscriptableMorse(NUMBERS))).save(tmp_path / "sum.npz")
    assert not list(tmp_path.iterdir())


class Constant(UnscriptableMorse):
    """A model of another distribution."""

    kind: ClassVar[str] = "test-constant"

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return {"depth": self.depth}, {"numbers": self.atomic_numbers}

    @classmethod
    def from_arrays(cls, description: dict[str, Any], arrays: Arrays) -> Constant:
        return cls(tuple(arrays.integers("numbers", (None,))), description["depth"])


def test_models_of_other_distributions_are_found_by_their_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Constant(NUMBERS, 2.0)
    with pytest.raises(InputError, match="unknown kind of model 'test-constant'"):
        model.save(tmp_path / "model.npz")
    point = EntryPoint("test-constant", f"{__name__}:Constant", "openmm_hybrid.models")
    monkeypatch.setattr(EntryPoint, "load", lambda self: Constant)
    monkeypatch.setattr("openmm_hybrid.core.registry.entry_points", lambda group: [point])
    path = model.save(tmp_path / "model.npz")
    loaded = oh.load(path)
    assert isinstance(loaded, Constant)
    same(loaded, model)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"model\.npz.*unknown kind of model 'test-constant'"):
        oh.load(path)


def test_missing_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = oh.Sum((few_atoms.base(), few_atoms.twist())).save(tmp_path / "model.npz")
    content = path.read_bytes()
    for size in (10, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"model\.npz"):
            oh.load(path)
    with pytest.raises(InputError, match="does not exist"):
        oh.load(tmp_path / "nowhere.npz")
    few_atoms.frames(2).save(tmp_path / "frames.npz")
    with pytest.raises(InputError, match=r"frames\.npz"):
        oh.load(tmp_path / "frames.npz")


def test_models_in_folders_are_verified(tmp_path: Path) -> None:
    model = PairMorse(NUMBERS)
    description = json.loads(json.dumps(save_model(model, tmp_path)))
    same(load_model(description, tmp_path), model)
    (path,) = tmp_path.iterdir()
    assert path.name == f"model-{sha256(path)[:12]}.npz"
    for change, message in (
        ({"kind": "pickle"}, "kind 'pickle'"),
        ({"file": "../model.npz"}, "names the file"),
        ({"file": "model.npz"}, "does not exist"),
        ({"sha256": 64 * "0"}, "hash is not the manifest's"),
    ):
        with pytest.raises(InputError, match=message):
            load_model(description | change, tmp_path)
