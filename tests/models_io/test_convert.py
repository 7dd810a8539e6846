"""Conversion: data sets between formats, models of 2018 to today's layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid import ForceField
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.models_io.convert import convert
from openmm_hybrid.sgdml import load, train
from tests.helpers.sgdml_data import water


def test_frames_go_round_all_formats(tmp_path: Path) -> None:
    frames = water(5)
    frames.save(tmp_path / "a.npz")
    for source, target in (("a.npz", "b.xyz"), ("b.xyz", "c.h5"), ("c.h5", "d.npz")):
        assert convert(tmp_path / source, tmp_path / target).startswith("5 frames")
    back = Frames.load(tmp_path / "d.npz")
    np.testing.assert_allclose(back.positions, frames.positions, rtol=0, atol=1e-9)
    assert back.forces is not None
    assert frames.forces is not None
    np.testing.assert_allclose(back.forces, frames.forces, rtol=1e-9)
    assert back.theory == frames.theory


def test_model_of_2018(reference_data: Callable[[str], Path], tmp_path: Path) -> None:
    old = reference_data("sgdml_model_2018_ethanol.npz")
    assert "model" in convert(old, tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz", allow_pickle=False) as archive:
        assert {"R_desc", "std", "tril_perms_lin"} <= set(archive.files)
        assert "Rt_desc" not in archive.files
    positions = Frames.load(reference_data("md17_ethanol.npz"))[:3].positions
    for ours, theirs in zip(load(tmp_path / "new.npz").predict(positions), load(old).predict(positions), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_what_cannot_be_converted(tmp_path: Path) -> None:
    frames, model = tmp_path / "a.npz", tmp_path / "m.npz"
    water(12).save(frames)
    train(water(12), sigma=2, progress=False).save(model)
    (tmp_path / "link.npz").symlink_to(frames)
    before = frames.read_bytes()
    for target, source, message in (
        (frames, frames, "itself"),
        (tmp_path / "link.npz", frames, "itself"),
        (tmp_path / "m.xyz", model, "use export"),
        (tmp_path / "a.pdb", frames, "ends in"),
        (tmp_path / "b.xyz", tmp_path / "none.npz", "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            convert(source, target)
    assert frames.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_models_of_one_layout_are_refused_in_plain_words(tmp_path: Path) -> None:
    path = ForceField.load("ethanol-gaff").save(tmp_path / "model.npz")
    with pytest.raises(InputError, match="is a model in its only layout; expected frames, or an sGDML model"):
        convert(path, tmp_path / "other.npz")
