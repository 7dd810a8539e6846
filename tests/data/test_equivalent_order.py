"""Equivalent atoms and branches have one labelling in all embedded conformers, whatever the seed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from openmm_hybrid import Frames, Molecule
from openmm_hybrid.data.equivalent_order import with_fixed_labels


def hand(r: NDArray[np.float64], *atoms: int) -> bool:
    """Whether the tetrahedron of four atoms is right-handed."""
    a, b, c, d = r[list(atoms)]
    return bool(np.linalg.det([b - a, c - a, d - a]) > 0)


def cis(r: NDArray[np.float64], *atoms: int) -> float:
    """Cosine of the dihedral angle of four atoms; 1 is cis."""
    a, b, c, d = r[list(atoms)]
    u, v = np.cross(a - b, c - b), np.cross(b - c, d - c)
    return float((u @ v) / np.linalg.norm(u) / np.linalg.norm(v))


# Atoms: heavy ones as in the SMILES, then their hydrogens in the same order.
HANDS = {
    "CCO": [(1, 3, 4, 5), (0, 2, 6, 7)],
    "CCC": [(1, 3, 4, 5), (0, 2, 6, 7), (1, 8, 9, 10)],
    "CC(=O)Oc1ccccc1C(=O)O": [(1, 13, 14, 15)],
    "NCC(=O)O": [(0, 2, 7, 8)],
    "C[N+](=O)[O-]": [(1, 4, 5, 6)],
    "CC(C)CO": [(0, 2, 3, 8), (1, 5, 6, 7), (1, 9, 10, 11)],
    "FC(F)(F)CC": [(0, 2, 3, 4)],
    "CC(C)(C)O": [(0, 2, 3, 4)],
    "c1ccccc1C(O)c1ccccc1": [(5, 7, 8, 19)],
}
"""SMILES -> neighbours in ascending order, whose tetrahedron is right-handed."""

SIDES = {
    "C=CC=O": [(4, 0, 1, 2)],
    "CC(=O)N": [(7, 3, 1, 0)],
    "CC(C)=CO": [(0, 1, 3, 4)],
    "CN(C)C=O": [(0, 1, 3, 4)],
    "O=[N+]([O-])C=C": [(0, 1, 3, 4)],
}
"""SMILES -> chains of atoms that are cis."""


@pytest.mark.parametrize("smiles", [*HANDS, *SIDES])
def test_one_labelling_for_all_seeds_and_conformers(smiles: str) -> None:
    molecules = [Molecule.from_smiles(smiles, seed=seed) for seed in range(8)]
    molecules.append(Molecule.from_smiles(smiles, n_conformers=8))
    for r in np.concatenate([molecule.conformers for molecule in molecules]):
        assert all(hand(r, *atoms) for atoms in HANDS.get(smiles, ()))
        assert all(cis(r, *atoms) > 0.5 for atoms in SIDES.get(smiles, ()))


def test_allene_has_one_hand() -> None:
    """Hydrogens 3, 4 and 5, 6: their mirror image is another labelling."""
    assert len({hand(Molecule.from_smiles("C=C=C", seed=seed).positions, 3, 4, 5, 6) for seed in range(8)}) == 1


def test_only_labels_change() -> None:
    """Mirror images have every hand wrong; their distances are a permutation of the old ones, element by element."""
    molecule = Molecule.from_smiles("CC(C)CC(N)=O", n_conformers=3)
    mirror = molecule.conformers * [1, 1, -1]
    mended = with_fixed_labels(molecule.rdkit, mirror)
    assert not np.array_equal(mended, mirror)
    i, j = molecule.bonds.T
    for before, after in zip(mirror, mended, strict=True):
        assert sorted(map(tuple, before)) == sorted(map(tuple, after))
        lengths = [np.sort(np.linalg.norm(r[i] - r[j], axis=1)) for r in (before, after)]
        np.testing.assert_array_equal(*lengths)
    np.testing.assert_array_equal(with_fixed_labels(molecule.rdkit, mended), mended)


def test_stated_configurations_and_rings_stay() -> None:
    for smiles in ("C[C@H](F)Cl", "F/C=C/F", "C1CCCCC1", "C[C@@H](O)[C@H](N)C(=O)O", "C[C@H]1CC[C@@H](C)CC1"):
        molecule = Molecule.from_smiles(smiles, n_conformers=3)
        moved = with_fixed_labels(molecule.rdkit, molecule.conformers)
        np.testing.assert_array_equal(moved, molecule.conformers)
        for conformer in molecule.conformers:
            assert molecule.with_conformers(conformer).n_atoms == molecule.n_atoms


@pytest.mark.parametrize("name", ["ethanol_ccsd_t-train.npz", "md17_ethanol.npz"])
def test_the_labelling_is_that_of_published_frames(reference_data, name) -> None:
    frames = Frames.load(reference_data(name))
    molecule = Molecule.from_smiles("C(C)O")
    np.testing.assert_array_equal(frames.atomic_numbers, molecule.atomic_numbers)
    for r in (*frames.positions[::100], molecule.positions):
        assert hand(r, 1, 2, 3, 4)
        assert hand(r, 0, 5, 6, 7)
