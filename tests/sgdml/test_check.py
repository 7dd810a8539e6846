"""The check of energies against forces: silent on good data, and names each fault that is put in."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, KCAL_PER_EV, KCAL_PER_HARTREE, KJ_PER_KCAL
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.models.residual import RESIDUAL
from openmm_hybrid.sgdml import SGDMLModel, Training, assess, consistency, train, train_on, training_set
from tests.helpers.sgdml_data import water

DATA_SETS = [
    "md17_ethanol.npz",
    "md17_malonaldehyde.npz",
    "md17_aspirin.npz",
    "ethanol_ccsd_t-train.npz",
    "malonaldehyde_ccsd_t-train.npz",
    "aspirin_ccsd-train.npz",
]
#: What the energies are multiplied by → what must be said. A model of forces k·F integrates to k·E, so that sign and
#: unit of the forces are faults of this ratio as well.
RATIOS = {
    -1.0: "wrong sign",
    1.0 / KCAL_PER_EV: "energies in eV with forces in kcal/mol/Å",
    KCAL_PER_EV: "energies in kcal/mol with forces in eV/Å",
    1.0 / KCAL_PER_HARTREE: "energies in hartree with forces in kcal/mol/Å",
    KCAL_PER_HARTREE: "energies in kcal/mol with forces in hartree/Å",
    KCAL_PER_HARTREE / ANGSTROM_PER_BOHR: "energies in kcal/mol with forces in hartree/bohr",
    KCAL_PER_HARTREE / KCAL_PER_EV: "energies in eV with forces in hartree/Å",
    1.0 / ANGSTROM_PER_BOHR: "forces in hartree/bohr",
    ANGSTROM_PER_BOHR: "positions in bohr",
    KJ_PER_KCAL: "energies in kJ/mol with forces in kcal/mol/Å",
    0.1: "energies in kJ/mol with forces in kJ/mol/nm",
    14.0: "no units explain",
}


@pytest.mark.parametrize("name", DATA_SETS)
def test_published_data_are_consistent_and_faults_are_named(reference_data: Callable[[str], Path], name: str) -> None:
    frames = Frames.load(reference_data(name))[:500]
    data = training_set(frames, n_train=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = train_on(data, sigma=20, progress=False)
    assert result.consistency is not None
    assert result.consistency.fault == ""
    assert result.consistency.slope == pytest.approx(1.0, abs=0.06)  # measured: 0.978 to 1.012
    assert result.consistency.correlation > 0.99
    energies = data.train.energies
    assert energies is not None
    for ratio, words in RATIOS.items():
        assert words in consistency(result.model, replace(data.train, energies=ratio * energies)).fault
    both = consistency(result.model, replace(data.train, energies=-energies / KCAL_PER_EV)).fault
    assert "wrong sign" in both
    assert "energies in eV" in both
    for seed in range(5):
        mixed = np.random.default_rng(seed).permutation(energies)
        assert "hardly correlate" in consistency(result.model, replace(data.train, energies=mixed)).fault


def trained(frames: Frames) -> tuple[SGDMLModel, Training]:
    training = train_on(training_set(frames, n_train=40, n_valid=20), sigma=2, progress=False)
    return training.model, training


def test_scatter_beyond_the_force_error_is_noticed() -> None:
    frames = water(60)
    assert frames.energies is not None
    _, good = trained(frames)
    assert good.consistency is not None
    assert good.consistency.fault == ""
    noise = 0.3 * frames.energies.std() * np.random.default_rng(0).normal(size=60)
    with pytest.warns(UserWarning, match="scatter"):
        trained(replace(frames, energies=frames.energies + noise))


def test_energies_are_not_judged_by_a_model_that_does_not_describe_the_forces(
    reference_data: Callable[[str], Path],
) -> None:
    frames = Frames.load(reference_data("ethanol_ccsd_t-train.npz"))[:50]
    energies, forces = frames.labels()
    shuffled = replace(frames, energies=np.random.default_rng(0).permutation(energies))
    model = train(frames, sigma=20, n_train=40, progress=False)
    size = float(np.sqrt(np.mean(forces**2)))
    assert "hardly correlate" in consistency(model, shuffled, force_rmse=0.4 * size).fault
    assert consistency(model, shuffled, force_rmse=0.6 * size).fault == ""
    assert "wrong sign" in consistency(model, replace(frames, energies=-energies), force_rmse=0.6 * size).fault
    rest = replace(shuffled, theory=f"CCSD(T) {RESIDUAL}")  # no unseen frames: nobody knows how rough a residual is
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(rest, sigma=20, n_train=50, progress=False)
    with pytest.warns(UserWarning, match="hardly correlate"):
        train(shuffled, sigma=20, n_train=50, progress=False)


def test_train_warns() -> None:
    frames = water(30)
    assert frames.forces is not None
    with pytest.warns(UserWarning, match="contradict each other: the forces have the wrong sign"):
        train(replace(frames, forces=-frames.forces), sigma=2, progress=False)


def test_many_frames_are_checked_before_the_long_training() -> None:
    """One warning, though both the early and the late check find the fault."""
    frames = water(220)
    assert frames.forces is not None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        train(replace(frames, forces=-frames.forces), sigma=2, n_train=200, lam=1e-8, progress=False)
    assert len(said) == 1


def test_nothing_is_said_of_few_frames_or_some_atoms() -> None:
    frames = water(30)
    assert frames.forces is not None
    wrong = replace(frames, forces=-frames.forces)
    result = train_on(training_set(wrong, n_train=9), sigma=2, progress=False).consistency
    assert result is not None
    assert math.isnan(result.slope)
    assert result.as_dict()["slope"] is None
    assert train_on(training_set(wrong, atoms=[0, 1]), sigma=2, progress=False).consistency is None
    assert train_on(training_set(replace(wrong, energies=None)), sigma=2, progress=False).consistency is None
    with pytest.raises(InputError, match="no energies"):
        consistency(train(frames, sigma=2, progress=False), replace(frames, energies=None))


def test_errors_without_energies() -> None:
    frames = water(20)
    model = train(frames, sigma=2, n_train=15, progress=False)
    full, bare = assess(model, frames), assess(model, replace(frames, energies=None))
    assert bare.force_mae == full.force_mae
    assert math.isnan(bare.energy_mae)
    assert frames.energies is not None
    assert full.energy_mae == pytest.approx(np.abs(model.predict(frames.positions)[0] - frames.energies).mean())
