"""Training: parity with sgdml 1.0.3, accuracy on published data, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.formats.npz import dataset_md5
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.sgdml import train
from tests.helpers.sgdml_data import SWAP, labelled, water

#: sgdml 1.0.3 (analytic solver, sigma 2, lam 1e-8, both permutations), trained on frames 0-11 of `water()`: its
#: energies, forces on frames 12 and 13, and its constant.
PEER_ENERGIES = [188.190363284053, 169.962262590232]
PEER_FORCES = [
    [-10.286284251924, -20.16245874861, 108.52459769717],
    [83.295211467189, 16.301692042136, -50.455959652914],
    [-73.008927215264, 3.860766706474, -58.068638044256],
    [-1.599641071905, -0.530416948772, 111.24810729486],
    [66.714845199539, 0.268711229855, -64.075782542769],
    [-65.115204127634, 0.261705718916, -47.172324752091],
]


def test_same_settings_give_the_peers_model() -> None:
    frames = water()
    model = train(frames, sigma=2, lam=1e-8, perms=SWAP, indices=range(12), progress=False)
    energies, forces = model.predict(frames.positions[12:])
    np.testing.assert_allclose(energies, PEER_ENERGIES, rtol=0, atol=1e-6)
    np.testing.assert_allclose(forces.reshape(6, 3), PEER_FORCES, rtol=0, atol=1e-6 * 111)


def test_ethanol_ccsdt(reference_data: Callable[[str], Path]) -> None:
    """sgdml 1.0.3 trained on the same 200 frames: force MAE 0.840 on the same test frames, ours equal to 1e-7."""
    frames = Frames.load(reference_data("ethanol_ccsd_t-train.npz"))
    model = train(frames, sigma=20, n_train=200, progress=False)
    assert len(model.perms) == 6
    others = np.setdiff1d(np.arange(len(frames)), model.idxs_train)
    energies, forces = model.predict(frames.positions[others])
    assert frames.forces is not None
    assert frames.energies is not None
    assert 0.6 < np.abs(forces - frames.forces[others]).mean() < 1.0
    assert np.abs(energies - frames.energies[others]).mean() < 0.2
    assert model.md5_train == "cdad377f9048f070ba9071b647d19397"  # stored in the file


def test_permuted_copies_get_the_same_energy() -> None:
    frames = water()
    model = train(frames, sigma=2, progress=False)
    energies, forces = model.predict(frames.positions)
    swapped_energies, swapped_forces = model.predict(frames.positions[:, [0, 2, 1]])
    np.testing.assert_allclose(swapped_energies, energies, rtol=1e-11)
    np.testing.assert_allclose(swapped_forces, forces[:, [0, 2, 1]], atol=1e-7)


def test_draw_is_reproducible_and_takes_no_geometry_twice() -> None:
    frames = water(10)
    turned = frames.positions[:4, [0, 2, 1]] @ np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) + 1.0
    doubled = Frames.concatenate([frames, labelled(frames.atomic_numbers, turned)])
    first, second, third = (train(doubled, sigma=2, n_train=9, seed=seed, progress=False) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.idxs_train, second.idxs_train)
    assert set(first.idxs_train) != set(third.idxs_train)
    assert max(first.idxs_train) < 10
    with pytest.raises(InputError, match="1 to 10"):
        train(doubled, sigma=2, n_train=11, progress=False)
    with pytest.raises(InputError, match="frames 0 and 10 are the same geometry"):
        train(doubled, sigma=2, progress=False)
    with pytest.warns(UserWarning, match="too few training frames of 'toy'"):
        assert train(doubled, sigma=2, perms=None, indices=[0, 10], progress=False).n_train == 2


def test_without_energies_the_constant_is_zero() -> None:
    frames = water()
    model = train(replace(frames, energies=None), sigma=2, progress=False)
    full = train(frames, sigma=2, progress=False)
    assert not model.use_E
    assert model.c == 0.0
    np.testing.assert_array_equal(model.predict(frames.positions)[1], full.predict(frames.positions)[1])
    offset = full.predict(frames.positions)[0] - model.predict(frames.positions)[0]
    np.testing.assert_allclose(offset, full.c, rtol=1e-9)


def test_molecule_gives_the_graph() -> None:
    propene = Molecule.from_smiles("CC=C", n_conformers=1)
    shifts = np.random.default_rng(3).normal(scale=0.03, size=(8, 9, 3))
    frames = labelled(propene.atomic_numbers, propene.positions + shifts)
    assert len(train(frames, sigma=5, molecule=propene, progress=False).perms) == 6
    assert len(train(frames, sigma=5, progress=False).perms) == 12  # no bond orders, so the double bond is not known
    with pytest.raises(MismatchError, match="atom order"):
        train(frames, sigma=5, molecule=propene.reordered(range(8, -1, -1)), progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 0.0}, "sigma > 0"),
        ({"sigma": 2, "lam": -1.0}, "lam ≥ 0"),
        ({"sigma": 2, "n_train": 3, "indices": [1]}, "one of them"),
        ({"sigma": 2, "n_train": 0}, "n_train = 0"),
        ({"sigma": 2, "indices": [14]}, "out of range"),
        ({"sigma": 2, "indices": [1, 1]}, "twice"),
        ({"sigma": 2, "indices": [0.5]}, "integers"),
        ({"sigma": 2, "perms": "all"}, "graph"),
        ({"sigma": 2, "perms": [[0, 2, 1]]}, "identity"),
    ],
)
def test_settings_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(water(), progress=False, **options)


def test_frames_are_refused() -> None:
    frames = water()
    with pytest.raises(InputError, match="no forces"):
        train(replace(frames, forces=None), sigma=2)
    assert frames.forces is not None
    with pytest.raises(InputError, match="zero"):
        train(replace(frames, forces=np.zeros_like(frames.forces)), sigma=2)
    touching = frames.positions.copy()
    touching[5, 1] = touching[5, 0] + 1e-5
    with pytest.warns(UserWarning, match="frame 5 .* net torque"), pytest.raises(InputError, match="frame 5"):
        train(replace(frames, positions=touching), sigma=2)


def test_fingerprint_depends_on_every_array() -> None:
    frames = water()
    assert frames.energies is not None
    others = [frames[1:], replace(frames, energies=frames.energies + 1.0), replace(frames, energies=None)]
    assert len({dataset_md5(other) for other in [frames, *others]}) == 4
