"""Training sets: their parts are disjoint, and a model of some atoms is a model of the cut frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.sgdml import fit, train, training_set
from openmm_hybrid.sgdml.descriptor import first_copies
from openmm_hybrid.sgdml.training_set import permutations_of
from tests.helpers.sgdml_data import SWAP, labelled, water


def propane() -> Frames:
    molecule = Molecule.from_smiles("CCC", n_conformers=1)
    shifts = np.random.default_rng(3).normal(scale=0.03, size=(8, 11, 3))
    return labelled(molecule.atomic_numbers, molecule.positions + shifts)


@pytest.mark.parametrize("selection", ["auto", "random"])
def test_no_geometry_is_in_two_parts(selection: str) -> None:
    frames = water(40)
    doubled = Frames.concatenate([frames, frames[::3]])
    for seed in range(5):
        data = training_set(doubled, n_train=15, n_valid=10, selection=selection, seed=seed)
        assert [len(part) for part in (data.train, data.valid, data.test())] == [15, 10, 15]
        selected = np.concatenate([data.idxs_train, data.idxs_valid, data.idxs_rest])
        assert len(np.unique(first_copies(doubled, data.perms)[selected])) == 40
        again = training_set(doubled, n_train=15, n_valid=10, selection=selection, seed=seed)
        np.testing.assert_array_equal(again.idxs_rest, data.idxs_rest)
    with pytest.warns(UserWarning, match="too few training frames"):
        data = training_set(doubled, indices=[40, 1])  # frame 40 is a copy of frame 0
    assert 0 not in data.idxs_rest
    assert len(data.idxs_rest) == 38


def test_validation_does_not_change_the_training_frames() -> None:
    first, second = (training_set(water(40), n_train=15, n_valid=n) for n in (0, 10))
    np.testing.assert_array_equal(first.idxs_train, second.idxs_train)


def test_numbers_that_are_left_open() -> None:
    frames = water(40)
    assert training_set(frames).n_train == 40
    data = training_set(frames, n_valid=None)
    assert (data.n_train, len(data.idxs_valid)) == (32, 8)
    data = training_set(frames, n_train=30, n_valid=None)
    assert (data.n_train, len(data.idxs_valid)) == (30, 10)
    assert training_set(frames, n_valid=4).n_train == 36


def test_first_frames_make_a_smaller_set() -> None:
    data = training_set(water(40), n_train=20, n_valid=5)
    small = data.first(6)
    np.testing.assert_array_equal(small.idxs_train, data.idxs_train[:6])
    assert small.idxs_rest is data.idxs_rest
    with pytest.raises(InputError, match="1 to 20"):
        data.first(21)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_train": 10, "n_valid": 31}, "0 to 30"),
        ({"n_train": 10, "n_valid": -1}, "n_valid = -1"),
        ({"n_valid": 40}, "n_train = 0"),
        ({"selection": "best", "n_train": 3}, "'random'"),
        ({"atoms": [0, 3]}, "atom 3"),
        ({"atoms": [0, 0]}, "twice"),
        ({"atoms": [1]}, "two atoms"),
        ({"atoms": [0.5, 1.0]}, "integers"),
    ],
)
def test_settings_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        training_set(water(40), **options)


def test_some_atoms_of_a_molecule() -> None:
    """Propane's middle: the carbons alone keep the exchange of the ends, the permutations of hydrogens are gone."""
    frames = propane()
    assert frames.forces is not None
    chosen = [2, 1, 0]
    data = training_set(frames, atoms=chosen)
    np.testing.assert_array_equal(data.perms, [[0, 1, 2], [2, 1, 0]])
    np.testing.assert_array_equal(data.frames.positions, frames.positions[:, chosen])
    assert data.md5 == training_set(frames).md5
    model = train(frames, sigma=5, atoms=chosen, progress=False)
    assert model.n_atoms == 3
    assert frames.energies is not None
    energies, forces = model.predict(frames.positions[:, chosen])
    cut = replace(
        frames,
        atomic_numbers=frames.atomic_numbers[chosen],
        positions=frames.positions[:, chosen],
        forces=frames.forces[:, chosen],
    )
    with pytest.warns(UserWarning, match="net force"):  # of the other atoms
        alone = train(cut, sigma=5, perms=[[0, 1, 2], [2, 1, 0]], progress=False)
    np.testing.assert_allclose(forces, alone.predict(cut.positions)[1], rtol=0, atol=1e-9)
    np.testing.assert_allclose((frames.energies - energies).mean(), 0.0, atol=1e-9)


@pytest.mark.parametrize(("factor", "unit"), [(1.0 / ANGSTROM_PER_BOHR, "bohr"), (0.1, "nm")])
def test_another_unit_of_length_is_noticed(factor: float, unit: str) -> None:
    frames = water()
    scaled = replace(frames, positions=frames.positions * factor)
    with pytest.warns(UserWarning, match=f"positions are in {unit}"):
        training_set(scaled, perms=SWAP)


def test_a_start_has_the_shape_of_the_coefficients() -> None:
    data = training_set(water())
    model = fit(data, sigma=2, progress=False)
    again = fit(data, sigma=2, start=model.alphas, progress=False)
    np.testing.assert_allclose(
        again.predict(data.frames.positions)[1], model.predict(data.frames.positions)[1], atol=1e-6
    )


def test_too_many_symmetries_of_the_graph_are_those_of_the_frames_by_default() -> None:
    """The frames are near one irregular geometry, with one methyl group rotated in some of them."""
    molecule = Molecule.from_smiles("CC(C)(C)C")
    rng = np.random.default_rng(0)
    rotation = np.arange(17)
    hydrogens = [k for k in range(17) if molecule.atomic_numbers[k] == 1 and [0, k] in molecule.bonds.tolist()]
    rotation[hydrogens] = np.roll(hydrogens, 1)
    irregular = molecule.positions + rng.normal(scale=0.1, size=(17, 3))
    near = irregular + rng.normal(scale=0.002, size=(10, 17, 3))
    positions = np.concatenate([near, near[:, rotation], near[:, rotation][:, rotation]])
    frames = labelled(molecule.atomic_numbers, positions)
    with pytest.warns(UserWarning, match="the 3 permutations that the frames show"):
        group = permutations_of(frames, "auto", None)
    np.testing.assert_array_equal(np.unique(group, axis=0), np.unique(permutations_of(frames, "data", None), axis=0))
    with pytest.raises(InputError, match='perms="data"'):
        permutations_of(frames, "graph", None)
    with pytest.raises(InputError, match="324 permutations"):
        permutations_of(frames[:1], "auto", None)
