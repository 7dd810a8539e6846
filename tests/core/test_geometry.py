"""Geometry against RDKit's own measurements, central differences and singular points."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit.Chem import rdMolTransforms

from openmm_hybrid import Molecule
from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError

TERMS = {
    "distance": (geometry.distance, geometry.distance_gradient, 2),
    "angle": (geometry.angle, geometry.angle_gradient, 3),
    "dihedral": (geometry.dihedral, geometry.dihedral_gradient, 4),
}


@pytest.fixture
def ethanol() -> Molecule:
    return Molecule.from_smiles("CCO")


@pytest.mark.parametrize("name", TERMS)
def test_gradient_equals_central_difference(name):
    value, gradient, width = TERMS[name]
    positions = np.random.default_rng(1).normal(size=(5, width, 3))
    atoms = np.arange(width)[None]
    analytic = gradient(positions, atoms)[1][:, 0]
    step = 1e-6
    for atom in range(width):
        for axis in range(3):
            shift = np.zeros_like(positions)
            shift[:, atom, axis] = step
            numeric = (value(positions + shift, atoms) - value(positions - shift, atoms))[:, 0] / (2 * step)
            np.testing.assert_allclose(analytic[:, atom, axis], numeric, rtol=1e-7, atol=1e-8)


def test_values_equal_rdkit(ethanol):
    conformer = ethanol.to_rdkit().GetConformer()
    r = ethanol.conformers
    assert geometry.distance(r, [[0, 1]])[0, 0] == pytest.approx(rdMolTransforms.GetBondLength(conformer, 0, 1))
    assert geometry.angle(r, [[0, 1, 2]])[0, 0] == pytest.approx(rdMolTransforms.GetAngleRad(conformer, 0, 1, 2))
    for quadruple in ([0, 1, 2, 8], [3, 0, 1, 2], [4, 0, 1, 6]):
        expected = rdMolTransforms.GetDihedralRad(conformer, *quadruple)
        assert geometry.dihedral(r, [quadruple])[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize("degrees", [0.0, 1e-4, 90.0, 179.9999, 180.0])
def test_angle_is_exact_and_its_gradient_finite_near_straight(degrees):
    theta = np.radians(degrees)
    positions = np.array([[[1.2, 0, 0], [0, 0, 0], [0.9 * np.cos(theta), 0.9 * np.sin(theta), 0]]])
    value, gradient = geometry.angle_gradient(positions, [[0, 1, 2]])
    assert value[0, 0] == pytest.approx(theta, abs=1e-12)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("degrees", [-179.9999, -90.0, 0.0, 30.0, 180.0])
def test_dihedral_sign_range_and_gradient_at_flat_points(degrees):
    phi = np.radians(degrees)
    # Looking down j-k (along +z) with i at 12 o'clock, IUPAC counts the clockwise turn to l as positive.
    positions = np.array([[[1.0, 0, 0], [0, 0, 0], [0, 0, 1.5], [np.cos(phi), np.sin(phi), 1.5]]])
    value, gradient = geometry.dihedral_gradient(positions, [[0, 1, 2, 3]])
    assert value[0, 0] == pytest.approx(phi, abs=1e-12)
    np.testing.assert_allclose(np.linalg.norm(gradient[0, 0, [0, 3]], axis=-1), 1.0, rtol=1e-12)


def test_degenerate_points_give_finite_numbers():
    coinciding = np.zeros((1, 4, 3))
    straight = np.array([[[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]]], dtype=float)
    for positions in (coinciding, straight):
        for _, gradient, width in TERMS.values():
            value, derivative = gradient(positions, [list(range(width))])
            assert np.isfinite(value).all()
            assert np.isfinite(derivative).all()


def test_refuses_wrong_shapes_and_indices():
    r = np.zeros((1, 3, 3))
    with pytest.raises(InputError, match=r"\(n_frames, n_atoms, 3\)"):
        geometry.distance(np.zeros((3, 3)), [[0, 1]])
    with pytest.raises(InputError, match="out of range"):
        geometry.angle(r, [[0, 1, 3]])
    with pytest.raises(InputError, match="atom index -1 is out of range"):
        geometry.angle(r, [[0, 1, -1]])
    with pytest.raises(InputError, match=r"\(n_terms, 4\)"):
        geometry.dihedral(r, [[0, 1, 2]])
