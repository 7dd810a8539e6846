"""Harmonic frequencies: by hand, and OpenMM's own diatomic oscillator."""

from __future__ import annotations

import numpy as np
import pytest
from ase.data import atomic_masses

import openmm_hybrid as oh
from openmm_hybrid.models.minima import relax
from openmm_hybrid.models.normal_modes import displaced, frequencies, hessian


def test_a_diatomic_by_hand() -> None:
    """HCl with 5.16 mdyn/Å = 742.7 kcal/mol/Å² and a reduced mass of 0.97960 Da: 1302.79 (k/μ)^½ = 2990 cm⁻¹."""
    positions = np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 1.6]])
    k = 516.0 * 1.43932  # N/m in kcal/mol/Å²
    matrix = np.zeros((6, 6))
    matrix[np.ix_([2, 5], [2, 5])] = k * np.array([[1.0, -1.0], [-1.0, 1.0]])
    reduced = 1.0 / (1.0 / atomic_masses[1] + 1.0 / atomic_masses[17])
    (found,) = frequencies(matrix, [1, 17], positions)
    assert found == pytest.approx(130.279 * np.sqrt(516.0 / reduced), rel=1e-4)
    (imaginary,) = frequencies(-matrix, [1, 17], positions)
    assert imaginary == -found


def test_ethanol_has_21_and_a_rotation_changes_none() -> None:
    model = oh.ForceField.load("ethanol-gaff")
    start, _ = relax(model, oh.Molecule.from_smiles("C(C)O").conformers[0])
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    found = []
    for positions in (start, start @ turn + 5.0):
        matrix = hessian(model.predict(displaced(positions))[1])
        np.testing.assert_array_equal(matrix, matrix.T)
        found.append(frequencies(matrix, model.atomic_numbers, positions))
    assert found[0].shape == (21,)
    np.testing.assert_allclose(found[0], found[1], atol=0.5)
    assert 50.0 < found[0][0] < 500.0
    assert 3000.0 < found[0][-1] < 4000.0


def test_second_derivatives_are_those_of_a_quadratic_energy() -> None:
    rng = np.random.default_rng(1)
    exact = rng.normal(size=(12, 12))
    exact = exact + exact.T
    rest = rng.normal(size=(4, 3))
    moved = displaced(rest) - rest
    forces = -(moved.reshape(24, 12) @ exact).reshape(24, 4, 3)
    np.testing.assert_allclose(hessian(forces), exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("bend", "n_modes"), [(0.0, 4), (3e-4, 4), (0.05, 3)])
def test_a_minimum_that_is_linear_within_its_forces_has_one_more(bend: float, n_modes: int) -> None:
    positions = [[-1.16, bend, 0.0], [0.0, 0.0, 0.0], [1.16, bend, 0.0]]
    assert frequencies(np.eye(9), [8, 6, 8], positions).shape == (n_modes,)
