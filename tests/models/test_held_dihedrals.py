"""Minimisation at exact dihedrals. Sources: an analytic force field, and a stiff restraint with scipy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

import openmm_hybrid as oh
from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.models.elastic_network import torsions
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.held_dihedrals import HeldDihedral, relax_held, turned
from openmm_hybrid.models.minima import relax
from tests.helpers.twisted_chain import DIHEDRALS, cosine_energy, cosine_forcefield, trioxidane

ETHANOL = ((1, 0, 2, 8), (5, 1, 0, 2))


@pytest.fixture
def ethanol() -> oh.Molecule:
    return oh.Molecule.from_smiles("C(C)O", n_conformers=4)


def held(molecule: oh.Molecule, dihedrals: tuple[tuple[int, ...], ...]) -> list[HeldDihedral]:
    return [HeldDihedral.of(atoms, molecule.bonds) for atoms in dihedrals]


def test_rotations_set_the_dihedrals_and_leave_lengths_and_angles(ethanol: oh.Molecule) -> None:
    wanted = np.array([[0.3, -1.0], [np.pi, 2.0], [-2.0, 0.0], [1.0, 1.0]])
    found = turned(ethanol.conformers, held(ethanol, ETHANOL), wanted)
    off = geometry.dihedral(found, ETHANOL) - wanted
    np.testing.assert_allclose(np.angle(np.exp(1j * off)), 0.0, atol=1e-12)
    np.testing.assert_allclose(
        geometry.distance(found, ethanol.bonds), geometry.distance(ethanol.conformers, ethanol.bonds), atol=1e-12
    )
    bends = [(a, i, j) for a, i, j, _ in torsions(ethanol.bonds)]
    np.testing.assert_allclose(geometry.angle(found, bends), geometry.angle(ethanol.conformers, bends), atol=1e-12)


def test_without_coupling_the_energy_is_that_of_the_torsions() -> None:
    molecule = trioxidane()
    angles = np.random.default_rng(1).uniform(-np.pi, np.pi, (20, 2))
    starts = np.repeat(molecule.conformers[:1], 20, axis=0)
    found = relax_held(cosine_forcefield(), starts, held(molecule, DIHEDRALS), angles, molecule.bonds)
    np.testing.assert_allclose(found.energies, cosine_energy(angles), atol=1e-6)
    assert found.forces.max() <= 1e-3


def test_it_agrees_with_a_stiff_restraint(ethanol: oh.Molecule) -> None:
    model, wanted = oh.ForceField.load("ethanol-cross"), np.array([0.8, -1.3])
    stiffness = 1e6  # kcal/mol/rad²

    def restrained(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        energies, forces = model.predict(flat.reshape(1, 9, 3))
        values, slopes = geometry.dihedral_gradient(flat.reshape(1, 9, 3), ETHANOL)
        off = np.angle(np.exp(1j * (values[0] - wanted)))
        gradient = -forces[0]
        for atoms, slope, angle in zip(ETHANOL, slopes[0], off, strict=True):
            gradient[list(atoms)] += stiffness * angle * slope
        return float(energies[0] + 0.5 * stiffness * off @ off), gradient.ravel()

    dihedrals = held(ethanol, ETHANOL)
    found = relax_held(model, ethanol.conformers[:1], dihedrals, wanted[None], ethanol.bonds, max_force=1e-5)
    other = minimize(restrained, found.positions.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    assert found.energies[0] == pytest.approx(other.fun, abs=1e-4)
    np.testing.assert_allclose(geometry.dihedral(found.positions, ETHANOL)[0], wanted, atol=1e-12)
    alone = relax_held(model, ethanol.conformers[1:], dihedrals, np.tile(wanted, (3, 1)), ethanol.bonds)
    np.testing.assert_allclose(alone.energies, found.energies[0], atol=1e-4)


def test_free_minima_are_those_of_relax(ethanol: oh.Molecule) -> None:
    model = oh.ForceField.load("ethanol-gaff")
    found = relax_held(model, ethanol.conformers, (), np.zeros((4, 0)), ethanol.bonds)
    expected = [relax(model, start)[1] for start in ethanol.conformers]
    np.testing.assert_allclose(found.energies, expected, atol=1e-4)


def test_geometries_that_the_model_cannot_evaluate_are_marked(ethanol: oh.Molecule) -> None:
    forcefield = oh.ForceField.load("ethanol-gaff")

    class Partial(EnergyModel):
        """Fails for frames whose first atom is far from the origin."""

        @property
        def atomic_numbers(self) -> NDArray[np.int64]:
            return forcefield.atomic_numbers

        def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            if (np.abs(positions[:, 0]) > 50.0).any():
                raise NumericalError("no convergence")
            return forcefield.evaluate(positions)

    starts = ethanol.conformers.copy()
    starts[1] += 100.0
    found = relax_held(Partial(), starts, (), np.zeros((4, 0)), ethanol.bonds)
    assert np.isnan(found.energies).tolist() == [False, True, False, False]
    assert (found.forces <= 1e-3).tolist() == [True, False, True, True]


def test_dihedrals_that_cannot_turn_are_refused(ethanol: oh.Molecule) -> None:
    with pytest.raises(InputError, match="1-0-8-2 is not a chain"):
        HeldDihedral.of((1, 0, 8, 2), ethanol.bonds)
    ring = oh.Molecule.from_smiles("C1CCC1")
    with pytest.raises(InputError, match="in a ring"):
        HeldDihedral.of((0, 1, 2, 3), ring.bonds)
    assert HeldDihedral.of((5, 1, 0, 2), ethanol.bonds).moved == (2, 3, 4, 8)
