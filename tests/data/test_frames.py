"""Frames: what they refuse, subsets, duplicates (counts: the reference data's README)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from openmm import unit
from scipy.spatial.transform import Rotation

from openmm_hybrid import Frames, Molecule
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.bonds import check_order


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    return Frames(np.array([8, 1, 1]), rng.normal(size=(6, 3, 3)), rng.normal(size=6), rng.normal(size=(6, 3, 3)))


def test_arrays_cannot_be_changed(frames):
    for array in (frames.positions, frames.energies, frames.forces, frames.atomic_numbers):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize(
    ("field", "shape"), [("positions", (6, 2, 3)), ("energies", (6, 1)), ("energies", (5,)), ("forces", (5, 3, 3))]
)
def test_shapes_that_do_not_belong_together(frames, field, shape):
    with pytest.raises(MismatchError, match=field):
        replace(frames, **{field: np.zeros(shape)})


@pytest.mark.parametrize("field", ["positions", "energies", "forces"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(frames, field, value):
    broken = np.array(getattr(frames, field))
    broken[4] = value
    with pytest.raises(InputError, match=f"frame 4 .*{field}.*not finite"):
        replace(frames, **{field: broken})


@pytest.mark.parametrize("numbers", [[8, 1, 0], [8, 1, 119], [], [[8, 1, 1]]])
def test_atoms_that_do_not_exist(frames, numbers):
    with pytest.raises(InputError, match="elements"):
        replace(frames, atomic_numbers=np.array(numbers))


def test_no_frames_are_frames(frames):
    none = frames[:0]
    assert len(none) == 0
    assert none.duplicates() == []


def test_a_line_describes_them(frames):
    text = repr(frames)
    assert frames.name in text
    assert f"{frames.n_frames} geometries of {frames.n_atoms} atoms, energies and forces of" in text
    assert "no labels" in repr(Frames(frames.atomic_numbers, frames.positions))


def test_subsets(frames):
    assert len(frames[2]) == 1
    assert len(frames[np.array([True, False] * 3)]) == 3
    chosen = frames[[5, 0]]
    np.testing.assert_array_equal(chosen.positions, frames.positions[[5, 0]])
    np.testing.assert_array_equal(chosen.energies, frames.energies[[5, 0]])
    np.testing.assert_array_equal(chosen.forces, frames.forces[[5, 0]])
    assert replace(frames, energies=None, forces=None)[1:3].energies is None


def test_quantities_are_converted(frames):
    same = Frames(
        frames.atomic_numbers,
        frames.positions * 0.1 * unit.nanometer,
        frames.energies * 4.184 * unit.kilojoule_per_mole,
        frames.forces * 41.84 * unit.kilojoule_per_mole / unit.nanometer,
    )
    for field in ("positions", "energies", "forces"):
        np.testing.assert_allclose(getattr(same, field), getattr(frames, field), rtol=1e-12)


def test_labels(frames):
    assert frames.labels()[0] is frames.energies
    with pytest.raises(InputError, match="no forces"):
        replace(frames, forces=None).labels()


def test_concatenate(frames):
    with pytest.raises(InputError, match="one part"):
        Frames.concatenate([])
    joined = Frames.concatenate([frames[:2], frames[2:]])
    np.testing.assert_array_equal(joined.forces, frames.forces)
    for other, what in (
        (replace(frames, atomic_numbers=np.array([1, 8, 1])), "different atoms"),
        (replace(frames, theory="HF"), "'HF'"),
        (replace(frames, energies=None), "other labels"),
    ):
        with pytest.raises(MismatchError, match=f"part 1.*{what}"):
            Frames.concatenate([frames, other])


def test_moved_turned_and_mirrored_copies_are_duplicates(frames):
    turn = Rotation.random(rng=np.random.default_rng(3)).as_matrix()
    positions = np.concatenate([frames.positions, [frames.positions[2] @ turn + 5.0], [-frames.positions[4]]])
    positions = np.concatenate([positions, [frames.positions[2] + 1e-9, frames.positions[0] * 1.0001]])
    copies = Frames(frames.atomic_numbers, positions)
    assert copies.duplicates() == [(2, 6, 8), (4, 7)]
    np.testing.assert_array_equal(copies.unique().positions, positions[[0, 1, 2, 3, 4, 5, 9]])
    assert copies.duplicates(tolerance=0.01) == [(0, 9), (2, 6, 8), (4, 7)]


def test_duplicates_equal_a_search_of_all_pairs():
    """On a lattice many distances coincide, sums of distances too, while the geometries differ."""
    positions = np.random.default_rng(1).integers(0, 3, size=(300, 3, 3)).astype(float)
    first, second = np.triu_indices(3, k=1)
    distances = np.linalg.norm(positions[:, first] - positions[:, second], axis=-1)
    same = (np.abs(distances[:, None] - distances[None]) < 1e-6).all(axis=-1)
    expected = sorted({tuple(np.flatnonzero(row).tolist()) for row in same if row.sum() > 1})
    assert Frames(np.array([1, 1, 1]), positions).duplicates() == expected


def test_atoms_alone_and_all_the_same():
    assert Frames(np.array([18]), np.zeros((3, 1, 3))).duplicates() == [(0, 1, 2)]
    copies = Frames(np.array([1, 1]), np.repeat(np.arange(6.0).reshape(1, 2, 3), 9000, axis=0))
    assert copies.duplicates() == [tuple(range(9000))]


@pytest.mark.parametrize(
    ("name", "unique", "groups"),
    [
        ("ethanol_ccsd_t-train.npz", 998, 2),
        ("aspirin_ccsd-train.npz", 997, 3),
        ("malonaldehyde_ccsd_t-train.npz", 1000, 0),
        ("md17_aspirin.npz", 8000, 0),
    ],
)
def test_duplicates_of_the_published_sets(reference_data, name, unique, groups):
    data = Frames.load(reference_data(name))
    assert len(data.duplicates()) == groups
    assert len(data.unique()) == unique


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    frames = Frames([1, 1], np.zeros((1, 2, 3)))
    assert frames.save("~/h2.xyz") == tmp_path / "h2.xyz"
    assert Frames.load("~/h2.xyz").n_atoms == 2


def test_a_molecule_in_another_order_of_the_same_elements_is_refused() -> None:
    molecule = Molecule.from_smiles("CCO", name="ethanol")
    order = [0, 1, 2, 6, 7, 8, 3, 4, 5]  # hydrogens of another atom in the same places
    frames = Frames(molecule.atomic_numbers, np.repeat(molecule.positions[None, order], 3, axis=0), name="other")
    check_order(molecule, Frames(molecule.atomic_numbers, molecule.positions[None], name="same"))
    with pytest.raises(MismatchError, match=r"the bond \d-\d of the molecule ethanol is .* Å long .*other.*reordered"):
        check_order(molecule, frames)


@pytest.mark.parametrize("given", [list("CCO"), np.array([6, 6, 8]) + 0.7, [None] * 3])
def test_atomic_numbers_are_integers(given) -> None:
    with pytest.raises(InputError, match="atomic numbers are not integers"):
        Frames(np.array(given), np.zeros((1, 3, 3)))
    assert Frames(np.array([6.0, 6.0, 8.0]), np.zeros((1, 3, 3))).atomic_numbers.tolist() == [6, 6, 8]


def test_frames_are_chosen_by_integers() -> None:
    frames = Frames([1], np.arange(9.0).reshape(3, 1, 3))
    with pytest.raises(InputError, match="frames are chosen by float64; expected integers"):
        frames[np.array([0.0, 1.0])]
    assert (len(frames[[]]), len(frames[[True, False, True]]), len(frames[np.int64(1)])) == (0, 2, 1)
    assert [part.positions[0, 0, 0] for part in frames] == frames.positions[:, 0, 0].tolist()
    np.testing.assert_array_equal(frames[(0, 2)].positions, frames.positions[[0, 2]])
    for index, words in (
        (3, "has no frame 3; expected an index below 3"),
        ([0, -4], "has no frame -4"),
        ([True, False], r"a mask of shape \(2,\); expected shape \(3,\)"),
        ([[0, 1]], r"indices of shape \(1, 2\); expected one dimension"),
    ):
        with pytest.raises(InputError, match=words):
            frames[index]
