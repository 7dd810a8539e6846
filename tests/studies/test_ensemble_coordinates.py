"""Coordinates of ensembles: images of dihedrals, kinds of pairs, and wells that symmetry makes equal."""

from __future__ import annotations

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.analysis import dihedral_density
from openmm_hybrid.studies.ensemble_coordinates import EnsembleCoordinates, SharedWells


def test_frames_have_images_by_the_symmetry_of_the_molecule() -> None:
    """Source: three positions of the methyl group, each with its mirror image; none of the latter if chiral."""
    ethanol = oh.Molecule.from_smiles("C(C)O")
    found = EnsembleCoordinates.of(ethanol, ethanol.conformers, ((1, 0, 2, 8), (2, 0, 1, 5)))
    assert sorted(sign for _, sign in found.images) == [-1.0] * 3 + [1.0] * 3
    angles = found.angles(ethanol.conformers)
    np.testing.assert_allclose(np.cos(angles[:, :, 0]), np.cos(angles[:1, :, 0]) * np.ones((6, 1)), atol=1e-9)
    density = found.density(ethanol.conformers).values
    np.testing.assert_allclose(density, density[::-1, ::-1], atol=1e-12)
    chiral = oh.Molecule.from_smiles("C[C@H](O)F")
    assert {sign for _, sign in EnsembleCoordinates.of(chiral, chiral.conformers, ()).images} == {1.0}


def test_pairs_that_symmetry_makes_equal_are_one_kind() -> None:
    """Source: ethene has cis and trans pairs of hydrogens, which differ, and benzene ortho, meta and para pairs."""
    ethene = oh.Molecule.from_smiles("C=C")
    kinds = EnsembleCoordinates.of(ethene, ethene.conformers, ()).pairs
    assert sorted(map(len, kinds.values())) == [2, 2]
    benzene = oh.Molecule.from_smiles("c1ccccc1")
    kinds = EnsembleCoordinates.of(benzene, benzene.conformers, ()).pairs
    # C···C para; C···H meta and para; H···H ortho, meta, para.
    assert {name[0] + name[name.index("·") + 3]: len(pairs) for name, pairs in kinds.items()} == {
        "CC": 3,
        "CH": 6,
        "HH": 3,
    }
    assert sorted(map(len, kinds.values())) == [3, 3, 6, 6, 6, 12]


def test_wells_are_joined_by_the_images_of_frames() -> None:
    """A rotor that is trans in 40 % of the frames and gauche in 60 %, beside a methyl group: two wells of nine."""
    rng = np.random.default_rng(0)
    first = np.radians(rng.choice([180.0, 60.0, -60.0], 600, p=[0.4, 0.3, 0.3]))
    second = np.radians(rng.choice([180.0, 60.0, -60.0], 600))
    angles = np.stack([first, second], axis=-1) + rng.normal(scale=0.2, size=(600, 2))
    turns = [angles + np.array([0.0, turn]) for turn in np.radians([0.0, 120.0, -120.0])]
    images = np.array([np.angle(np.exp(1j * sign * image)) for image in turns for sign in (1.0, -1.0)])
    wells = SharedWells.of(dihedral_density(images.reshape(-1, 2), n_bins=48), images)
    assert wells.names == ("60/60", "180/60")
    labels = wells.labels(images)
    assert np.bincount(labels[0]) / 600 == pytest.approx([0.6, 0.4], abs=0.05)
    assert (labels == labels[0]).mean() > 0.99  # up to points at a border
    single = SharedWells.of(dihedral_density(images[..., 0].ravel(), n_bins=48), images[..., :1])
    assert single.names == ("60", "180")
