"""Relaxed scans over two dihedrals: an analytic surface, symmetries, and a branch that only a neighbour finds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import openmm_hybrid as oh
from openmm_hybrid.models.dihedral_scan import Image, Scan, grid, relaxed_scan, shape_dihedrals
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.held_dihedrals import HeldDihedral, Relaxed, relax_held, turned
from tests.helpers.twisted_chain import DIHEDRALS, cosine_energy, cosine_forcefield, trioxidane


def scanned(
    model: EnergyModel, molecule: oh.Molecule, dihedrals: tuple[tuple[int, ...], ...], n: int, images=(), starts=None
) -> Scan:
    held = [HeldDihedral.of(atoms, molecule.bonds) for atoms in dihedrals]
    starts = molecule.conformers if starts is None else starts

    def relax(number: int, positions: NDArray[np.float64], angles: NDArray[np.float64]) -> Relaxed:
        return relax_held(model, positions, held, angles, molecule.bonds)

    return relaxed_scan(molecule.atomic_numbers, molecule.bonds, held, n, starts, relax, images=images)


def test_a_surface_of_cosines() -> None:
    molecule = trioxidane()
    scan = scanned(cosine_forcefield(), molecule, DIHEDRALS, 12)
    np.testing.assert_allclose(scan.energies.ravel(), cosine_energy(grid(12)), atol=1e-6)
    assert scan.forces.max() <= 1e-3


@pytest.mark.parametrize("with_images", [False, True])
def test_ethanol_has_a_mirror_plane(with_images: bool) -> None:
    """Source: the symmetry of the molecule; gauche and trans in ethanol-gaff by free minimisation."""
    molecule = oh.Molecule.from_smiles("C(C)O", n_conformers=6)
    mirror = Image(np.array([0, 1, 2, 4, 3, 5, 7, 6, 8]), True, False)
    images = [mirror] if with_images else []
    model = oh.ForceField.load("ethanol-gaff")
    energies = scanned(model, molecule, ((1, 0, 2, 8), (5, 1, 0, 2)), 12, images).energies
    mirrored = energies.ravel()[mirror.points(12)].reshape(12, 12)
    np.testing.assert_allclose(energies, mirrored, atol=1e-5)
    free = relax_held(model, molecule.conformers, (), np.zeros((6, 0)), molecule.bonds).energies
    assert energies.min() == pytest.approx(free.min(), abs=1e-4)  # trans, with a staggered methyl group, is on the grid


def test_neighbours_pass_a_lower_branch_on() -> None:
    """The middle dihedral of tetraoxidane has a lower well that only one start at one grid point knows."""
    molecule = oh.Molecule.from_smiles("OOOO", n_conformers=1)

    class Wells(EnergyModel):
        """Two wells of the dihedral 0-1-2-3, and springs that hold the geometry."""

        @property
        def atomic_numbers(self) -> NDArray[np.int64]:
            return molecule.atomic_numbers

        def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            from openmm_hybrid.core import geometry

            pairs = [(i, j) for i, j in molecule.bonds] + [(0, 2), (1, 3), (1, 4), (2, 5)]
            rest = geometry.distance(molecule.conformers, pairs)[0]
            lengths, along = geometry.distance_gradient(positions, pairs)
            energies, slopes = 300.0 * ((lengths - rest) ** 2).sum(axis=1), np.zeros_like(positions)
            for number, pair in enumerate(pairs):
                slopes[:, list(pair)] += 600.0 * (lengths - rest)[:, number, None, None] * along[:, number]
            values, turns = geometry.dihedral_gradient(positions, [(0, 1, 2, 3)])
            angle = values[:, 0]
            energies += 3.0 * (1.0 + np.cos(3.0 * angle)) + np.cos(angle)
            slopes[:, :4] += (-9.0 * np.sin(3.0 * angle) - np.sin(angle))[:, None, None] * turns[:, 0]
            return energies, -slopes

    dihedrals = ((4, 0, 1, 2), (1, 2, 3, 5))
    middle = [HeldDihedral.of((0, 1, 2, 3), molecule.bonds)]
    high = turned(molecule.conformers, middle, np.array([[1.0]]))
    low = turned(molecule.conformers, middle, np.array([[np.pi]]))
    alone = scanned(Wells(), molecule, dihedrals, 6, starts=high)
    # The lower start comes second and is equally near everywhere: only its own point has it at first.
    both = scanned(Wells(), molecule, dihedrals, 6, starts=np.concatenate([high, low]))
    assert alone.energies.min() > 0.4
    np.testing.assert_allclose(both.energies, -1.0, atol=1e-5)
    assert both.n_rounds > 3


def test_images_of_points_and_dihedrals_that_tell_shapes_apart() -> None:
    angles = grid(5)
    for mirrored, swapped in ((True, False), (False, True), (True, True)):
        points = Image(np.arange(3), mirrored, swapped).points(5)
        wanted = (-1.0 if mirrored else 1.0) * (angles[:, ::-1] if swapped else angles)
        np.testing.assert_allclose(np.exp(1j * angles[points]), np.exp(1j * wanted), atol=1e-12)
    butynol = oh.Molecule.from_smiles("CC#CCO")
    assert shape_dihedrals(butynol.atomic_numbers, butynol.bonds, butynol.conformers) == [(2, 3, 4, 10)]
