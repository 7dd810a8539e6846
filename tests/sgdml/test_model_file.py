"""Model files: both layouts, round trips, and files that must be refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, KCAL_PER_EV
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.sgdml import SGDMLModel, load, train
from tests.helpers.sgdml_data import SWAP, water

#: The keys of a model that sgdml 1.0.3 has trained with its analytic solver (seen in such a file), with the units that
#: it copies from a data set that names them.
PEER_KEYS = (
    "type code_version dataset_name dataset_theory solver_name z idxs_train md5_train idxs_valid md5_valid n_test "
    "md5_test f_err e_err R_desc R_d_desc_alpha c std sig lam alphas_F perms tril_perms_lin use_E r_unit e_unit"
)


@pytest.fixture(scope="module")
def model() -> SGDMLModel:
    return train(water(), sigma=2, perms=SWAP, indices=range(12), progress=False)


@pytest.fixture
def entries(model: SGDMLModel, tmp_path: Path) -> dict[str, np.ndarray]:
    with np.load(model.save(tmp_path / "source.npz"), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files if key not in ("f_err", "e_err")}


def written(path: Path, entries: dict[str, np.ndarray]) -> Path:
    np.savez(path, **entries)
    return path


def test_round_trip(model: SGDMLModel, tmp_path: Path) -> None:
    again = load(model.save(tmp_path / "water.npz"))
    for expected, found in zip(model.predict(water().positions), again.predict(water().positions), strict=True):
        np.testing.assert_array_equal(found, expected)
    for name in ("sigma", "c", "std", "lam", "name", "theory", "md5_train", "use_E"):
        assert getattr(again, name) == getattr(model, name)
    np.testing.assert_array_equal(again.idxs_train, model.idxs_train)
    np.testing.assert_array_equal(again.alphas, model.alphas)


def test_layout_is_the_peers(model: SGDMLModel, entries: dict[str, np.ndarray], tmp_path: Path) -> None:
    with np.load(model.save(tmp_path / "water.npz"), allow_pickle=False) as archive:
        assert " ".join(sorted(archive.files)) == " ".join(sorted(PEER_KEYS.split(" ")))
    assert entries["R_desc"].shape == (3, 12)
    assert entries["R_d_desc_alpha"].shape == (12, 3)
    assert entries["tril_perms_lin"].tolist() == [0, 4, 1, 3, 2, 5]  # as in the peer's own file of this toy
    assert entries["type"] == "m"
    assert entries["sig"].dtype.kind == "i"


@pytest.mark.parametrize(("name", "mae"), [("ethanol", (0.35, 0.03)), ("aspirin", (0.71, 0.04))])
def test_models_of_2018(name: str, mae: tuple[float, float], reference_data: Callable[[str], Path]) -> None:
    """Force MAE on MD17 as in the data's README (and as stored in the files)."""
    old = load(reference_data(f"sgdml_model_2018_{name}.npz"))
    frames = Frames.load(reference_data(f"md17_{name}.npz"))[::20]
    energies, forces = old.predict(frames.positions)
    assert old.n_train == 1000
    assert len(old.perms) == 6
    assert frames.forces is not None
    assert frames.energies is not None
    assert np.abs(forces - frames.forces).mean() == pytest.approx(mae[0], abs=mae[1])
    assert np.abs(energies - frames.energies).mean() < 0.25


def test_old_layout_written_again_is_the_same_model(reference_data: Callable[[str], Path], tmp_path: Path) -> None:
    old = load(reference_data("sgdml_model_2018_ethanol.npz"))
    new = load(old.save(tmp_path / "ethanol.npz"))
    frames = Frames.load(reference_data("md17_ethanol.npz"))[:5]
    np.testing.assert_array_equal(new.predict(frames.positions)[1], old.predict(frames.positions)[1])
    assert np.isnan(new.lam)


def test_other_units_are_converted(model: SGDMLModel, entries: dict[str, np.ndarray], tmp_path: Path) -> None:
    """A model in bohr and eV predicts, at the same geometry, the same physics."""
    scaled = entries | {
        "R_desc": entries["R_desc"] * ANGSTROM_PER_BOHR,
        "R_d_desc_alpha": entries["R_d_desc_alpha"] * ANGSTROM_PER_BOHR,
        "alphas_F": entries["alphas_F"] / ANGSTROM_PER_BOHR,
        "sig": entries["sig"] * ANGSTROM_PER_BOHR,
        "std": entries["std"] / KCAL_PER_EV,
        "c": entries["c"] / KCAL_PER_EV,
        "r_unit": np.array("bohr"),
        "e_unit": np.array("eV"),
    }
    other = load(written(tmp_path / "bohr.npz", scaled))
    for expected, found in zip(model.predict(water().positions), other.predict(water().positions), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-7)
    assert model.alphas is not None
    assert other.alphas is not None
    np.testing.assert_allclose(other.alphas, model.alphas, rtol=1e-12)


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("key", ["R_desc", "type", "z", "dataset_theory", "perms"])
def test_hostile_pickle_is_refused(key: str, entries: dict[str, np.ndarray], tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    path = written(tmp_path / "hostile.npz", entries | {key: np.array([Hostile(trap)], dtype=object)})
    with pytest.raises(InputError, match=r"hostile\.npz"):
        load(path)
    assert not trap.exists()


def test_pickles_that_are_not_needed_are_not_opened(entries: dict[str, np.ndarray], tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    path = written(tmp_path / "model.npz", entries | {"f_err": np.array([Hostile(trap)], dtype=object)})
    assert load(path).n_train == 12
    assert not trap.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": np.array("d")}, "data set"),
        ({"type": np.array(b"t")}, "training task"),
        ({"type": np.array("x")}, "no sGDML model"),
        ({"lattice": np.eye(3)}, "periodic"),
        ({"alphas_E": np.zeros(11)}, "alphas_E .* shape"),
        ({"sig": np.array("two")}, "not a number"),
        ({"sig": np.array(-1)}, "sigma"),
        ({"c": np.array(np.nan)}, "not finite"),
        ({"z": np.array([8, 1])}, "shape"),
        ({"z": np.array(["O", "H", "H"])}, "integers"),
        ({"R_desc": np.zeros((3, 11))}, "shape"),
        ({"R_desc": np.zeros((3, 12), dtype="U1")}, "numbers"),
        ({"perms": np.array([[0, 1, 2], [1, 0, 2]])}, "elements"),
        ({"perms": np.array([[-1, 0, 1], [-1, 1, 0]])}, "every number from 0"),
        ({"e_unit": np.array("furlong")}, "unknown unit"),
    ],
)
def test_entries_that_make_no_model(
    change: dict[str, np.ndarray], message: str, entries: dict[str, np.ndarray], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        load(written(tmp_path / "broken.npz", entries | change))


def test_files_that_are_no_model(entries: dict[str, np.ndarray], tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.npz", entries).read_bytes()
    broken = {
        "truncated.npz": whole[: len(whole) // 2],
        "damaged.npz": whole.replace(b"\x93NUMPY", b"\x93NUMBY"),
        "text.npz": b"not a model\n",
        "empty.npz": b"",
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            load(tmp_path / name)
    with ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("readme.txt", "a zip file")
    np.save(tmp_path / "array.npy", np.zeros(3))
    water().save(tmp_path / "data.npz")
    for name in ("other.npz", "array.npy", "absent.npz", "data.npz"):
        with pytest.raises(InputError, match=name):
            load(tmp_path / name)
    del entries["std"], entries["sig"]
    with pytest.raises(InputError, match="lacks 'sig'"):
        load(written(tmp_path / "lacking.npz", entries))


def test_nothing_is_left_half_written(model: SGDMLModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.npz"):
        model.save(tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []
