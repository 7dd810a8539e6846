"""Drawings of molecules are PNG files, and the atoms with the largest values are orange."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.image import imread

import openmm_hybrid as oh
from openmm_hybrid.refinement.drawing import coloured, numbered


def _orange(picture: bytes) -> int:
    """Number of pixels in the colour of the largest value."""
    pixels = imread(io.BytesIO(picture), format="png")[..., :3]
    return int((np.abs(pixels - np.array([0.835, 0.369, 0.0])) < 0.02).all(axis=-1).sum())


def test_atoms_are_coloured_by_their_values() -> None:
    molecule = oh.Molecule.from_smiles("CO")
    one, two = np.zeros(6), np.zeros(6)
    one[0], two[:2] = 3.0, 3.0
    assert _orange(coloured(molecule, np.zeros(6))) == 0
    first, second = _orange(coloured(molecule, one)), _orange(coloured(molecule, two))
    assert first > 500
    assert 1.5 * first < second < 2.5 * first


def test_numbers_are_drawn() -> None:
    molecule = oh.Molecule.from_smiles("CO")
    picture = numbered(molecule)
    assert picture.startswith(b"\x89PNG")
    assert picture != coloured(molecule, np.zeros(6))
