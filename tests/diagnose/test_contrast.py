"""Contrast: the coordinate that was turned is found, with the exact divergence, and one ensemble shows none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import norm

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError


@pytest.fixture(scope="module")
def peroxide() -> oh.Molecule:
    return oh.Molecule.from_smiles("OO", name="hydrogen peroxide")


def turned(molecule: oh.Molecule, angles: np.ndarray) -> np.ndarray:
    """Frames (*angles.shape, n_atoms, 3) of H-O-O-H, the dihedral turned by angles from its own; slightly shaken."""
    first, second = (int(atom) for atom in np.flatnonzero(molecule.atomic_numbers == 8))
    (moved,) = (int(j if i == second else i) for i, j in molecule.bonds if second in (i, j) and first not in (i, j))
    r = molecule.positions
    axis = (r[second] - r[first]) / np.linalg.norm(r[second] - r[first])
    v = r[moved] - r[second]
    c, s = np.cos(angles)[..., None], np.sin(angles)[..., None]
    frames = np.tile(r, (*angles.shape, 1, 1))
    frames[..., moved, :] = r[second] + c * v + s * np.cross(axis, v) + (1 - c) * axis * (axis @ v)
    return frames + np.random.default_rng(9).normal(scale=1e-3, size=frames.shape)


def test_the_turned_dihedral_comes_first(peroxide: oh.Molecule) -> None:
    own, reference = (turned(peroxide, np.random.default_rng(k).normal(0.0, k / 5, (8, 500))) for k in (1, 2))
    rows = oh.correction.contrast(own, reference, peroxide, hydrogens=True)
    assert {row.kind for row in rows[:2]} == {"dihedral", "distance"}  # H···H is a function of the dihedral
    angle = next(row for row in rows if row.kind == "angle")
    assert abs(angle.divergence) < 0.01
    grid = np.linspace(-3, 3, 2001)
    exact = jensenshannon(norm.pdf(grid, scale=0.2), norm.pdf(grid, scale=0.4), base=2) ** 2
    dihedral = next(row for row in rows if row.kind == "dihedral")
    assert dihedral.divergence == pytest.approx(exact, rel=0.15)
    apart = oh.correction.contrast(turned(peroxide, np.full((4, 9), 0.5)), reference[:4], peroxide)
    assert 0.3 < apart[0].divergence < 1.0


def test_one_ensemble_has_no_contrast(peroxide: oh.Molecule) -> None:
    first, second = (turned(peroxide, np.random.default_rng(k).normal(0.0, 0.3, (8, 500))) for k in (3, 4))
    for row in oh.correction.contrast(first, second, peroxide):
        assert abs(row.divergence) < max(3 * row.floor, 0.01)
        assert row.means[0] == pytest.approx(row.means[1], rel=0.05)


def test_bad_input_is_refused(peroxide: oh.Molecule) -> None:
    frames = np.zeros((4, 5, 4, 3))
    with pytest.raises(InputError, match="4 or more starts"):
        oh.correction.contrast(frames[:3], frames, peroxide)
    with pytest.raises(InputError, match="shape"):
        oh.correction.contrast(frames[0], frames, peroxide)
    with pytest.raises(MismatchError, match="frames of 3 atoms"):
        oh.correction.contrast(frames[:, :, :3], frames, peroxide)
