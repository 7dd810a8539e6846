"""Labels and numbers of frames that a fit warns of or refuses, and fits of forces alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError
from tests.helpers.peroxides import changed, frames, trioxidane

QUIET = {"progress": False, "md_steps": 0}


@pytest.fixture(scope="module")
def ethanol(reference_data: Callable[[str], Path]) -> oh.Frames:
    return oh.Frames.load(reference_data("md17_ethanol.npz"))[::20]


@pytest.fixture(scope="module")
def gaff() -> oh.ForceField:
    return oh.ForceField.load("ethanol-gaff")


def test_labels_in_ev_are_refused_before_the_fit(gaff: oh.ForceField, ethanol: oh.Frames) -> None:
    wrong = replace(ethanol, energies=ethanol.energies / 23.06, forces=ethanol.forces / 23.06)
    with pytest.raises(InputError, match=r"0\.04\d+ times the force field's .*e_unit='eV'"):
        oh.fit(gaff, wrong, n_train=50, n_test=50, **QUIET)


def test_a_bad_frame_is_named_by_its_index_among_all_frames(gaff: oh.ForceField, ethanol: oh.Frames) -> None:
    positions = ethanol.positions.copy()
    positions[321, 8] += [3.0, 0.0, 0.0]
    with pytest.warns(UserWarning, match="frame 321 does not fit the others"):
        result = oh.fit(gaff, replace(ethanol, positions=positions), n_train=400, n_test=0, **QUIET)
    (labels,) = [check for check in result.molecules[0].checks if check.name == "labels"]
    assert not labels.passed
    assert not result.passed
    assert "labels: FAILED, frame 321 does not fit" in result.table()


def test_plausible_labels_are_told_in_the_result(gaff: oh.ForceField, ethanol: oh.Frames) -> None:
    result = oh.fit(gaff, ethanol, n_train=50, n_test=50, **QUIET)
    assert "labels: passed, forces 1.0" in result.table()


@pytest.mark.parametrize(("n_test", "words"), [(200, "test force RMSE "), (0, "2 frames with 42 independent force")])
def test_too_few_frames_are_told_with_the_number_that_is_needed(
    gaff: oh.ForceField, ethanol: oh.Frames, n_test: int, words: str
) -> None:
    """With cross terms ethanol has 623 parameters, and a frame 21 forces without those of the rigid motion."""
    with pytest.warns(UserWarning, match=f"the check 'frames': {words}.* for 623 parameters; use 30 frames or more"):
        oh.fit(gaff.edit(cross=True), ethanol, n_train=2, n_test=n_test, **QUIET)


def test_enough_frames_are_enough(gaff: oh.ForceField, ethanol: oh.Frames) -> None:
    for n_train, n_test in ((20, 100), (40, 0), (300, 100)):
        assert oh.fit(gaff.edit(cross=True), ethanol, n_train=n_train, n_test=n_test, **QUIET).passed


@pytest.mark.parametrize("method", ["solve", "gradient"])
def test_a_fit_of_forces_alone_needs_no_energies(method: str) -> None:
    """The same parameters as with energies of weight 0, and no energy errors."""
    data = frames(changed(trioxidane(), k=1.2), 60, noise=0.04)
    settings = {"n_train": 40, "n_test": 20, "energy_weight": 0.0, "method": method, "progress": False, "md_steps": 50}
    with_energies = oh.fit(trioxidane(), data, **settings)
    alone = oh.fit(trioxidane(), replace(data, energies=None), **settings)
    np.testing.assert_allclose(alone.after, with_energies.after, atol=1e-9)
    assert alone.test.force_rmse == pytest.approx(with_energies.test.force_rmse)
    assert math.isnan(alone.test.energy_rmse)
    assert "energy_rmse" not in alone.as_dict()["molecules"]["trioxidane"]["test"]
    json.dumps(alone.as_dict(), allow_nan=False)
    assert "–" in alone.table()


def test_missing_energies_are_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match=r"no energies; label them .*energy_weight=0"):
        oh.fit(trioxidane(), replace(frames(trioxidane(), 20), energies=None), n_train=10, n_test=5, **QUIET)
