"""Internal coordinates and projections of forces. Source: a chain that is read by eye, and finite differences."""

from __future__ import annotations

import numpy as np

from openmm_hybrid.core import geometry
from openmm_hybrid.diagnose.coordinates import (
    candidates,
    project_onto_atoms,
    rotatable_bonds,
    sampled_straight_angles,
    torsional_displacements,
    without_rigid,
)
from tests.helpers import few_atoms
from tests.helpers.straight_molecules import built, straight


def test_candidates_of_a_chain() -> None:
    found = candidates(few_atoms.NUMBERS, few_atoms.BONDS, hydrogens=False)
    distances = {atoms for kind, atoms in found if kind == "distance"}
    assert distances == {(0, 3), (1, 4), (2, 5), (0, 4), (1, 5), (0, 5)}
    assert sum(kind == "angle" for kind, _ in found) == 4
    assert sum(kind == "dihedral" for kind, _ in found) == 3
    ends = np.array([1, 6, 6, 6, 7, 1])
    assert ("distance", (0, 5)) not in candidates(ends, few_atoms.BONDS, hydrogens=False)
    assert ("distance", (0, 5)) in candidates(ends, few_atoms.BONDS, hydrogens=True)


def test_gradients_of_distances_have_no_rigid_part() -> None:
    positions = few_atoms.frames(3).positions
    gradients = np.zeros((3, 6, 3))
    gradients[:, [0, 4]] = geometry.distance_gradient(positions, [(0, 4)])[1][:, 0]
    vectors = gradients.reshape(3, 18, 1)
    np.testing.assert_allclose(without_rigid(positions, vectors), vectors, atol=1e-10)
    np.testing.assert_allclose(without_rigid(positions, np.ones((3, 18, 1))), 0.0, atol=1e-10)


def test_torsional_displacements_leave_bonds_and_angles_unchanged():
    geometries = few_atoms.frames(3)
    basis = torsional_displacements(geometries.positions, few_atoms.BONDS)
    assert [bond[:2] for bond in rotatable_bonds(few_atoms.BONDS)] == [(2, 1), (2, 3), (3, 4)]
    np.testing.assert_allclose(basis.transpose(0, 2, 1) @ basis, np.eye(3)[None].repeat(3, 0), atol=1e-12)
    step = 1e-5
    for k in range(3):
        moved = geometries.positions + step * basis[..., k].reshape(geometries.positions.shape)
        for function, atoms in (
            (geometry.distance, few_atoms.BONDS),
            (geometry.angle, [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]),
        ):
            change = function(moved, atoms) - function(geometries.positions, atoms)
            assert np.abs(change).max() < 1e-3 * step


def test_forces_projected_onto_atoms_have_no_net_force_and_torque():
    data = few_atoms.labelled(few_atoms.attraction(), 5)
    chosen = np.array([1, 2, 3])
    labels = project_onto_atoms(data.positions, few_atoms.BONDS, chosen, data.forces)
    places = data.positions[:, chosen]
    np.testing.assert_allclose(labels.sum(axis=1), 0.0, atol=1e-8)
    np.testing.assert_allclose(np.cross(places, labels).sum(axis=1), 0.0, atol=1e-7)
    np.testing.assert_array_equal(
        project_onto_atoms(data.positions, few_atoms.BONDS, np.arange(6), data.forces), data.forces
    )


def test_straight_angles_have_no_torsions_and_join_their_bonds_to_one_axis():
    # 2-butyne rotates about its whole line; the lines of propyne and acetonitrile end in a single atom.
    for name, rotations in (("butyne", [(0, 1)]), ("propyne", []), ("acetonitrile", [])):
        (molecule,) = built(name).molecules
        noise = np.random.default_rng(0).normal(scale=0.05, size=(50, molecule.n_atoms, 3))
        wide = sampled_straight_angles(molecule.positions + noise, molecule.bonds)
        assert wide == straight(name)
        assert [tuple(sorted(bond[:2])) for bond in rotatable_bonds(molecule.bonds, wide)] == rotations
        found = candidates(molecule.atomic_numbers, molecule.bonds, False, wide)
        assert not [atoms for kind, atoms in found if kind == "dihedral"]
        basis = torsional_displacements(molecule.positions + noise, molecule.bonds)
        assert basis.shape == (50, 3 * molecule.n_atoms, len(rotations))
        forces = project_onto_atoms(molecule.positions[None], molecule.bonds, np.array([0, 1, 2]), noise[:1])
        assert np.abs(forces).max() < 10.0
