"""The ASE calculator: units against ASE's own, forces against ASE's finite differences, a relaxation, refusals."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.optimize import BFGS

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.models.ase import as_ase
from tests.helpers.morse import PairMorse

NUMBERS = (6, 8, 1, 1)
POSITIONS = np.random.default_rng(0).normal(scale=1.5, size=(4, 3))


@pytest.fixture
def atoms() -> Atoms:
    return Atoms(NUMBERS, POSITIONS, calculator=as_ase(PairMorse(NUMBERS)))


def test_energy_and_forces_are_the_models_in_ev(atoms: Atoms) -> None:
    energy, forces = PairMorse(NUMBERS).predict(POSITIONS)
    ev = units.kcal / units.mol
    assert atoms.get_potential_energy() == pytest.approx(float(energy) * ev, rel=1e-7)  # ASE: CODATA 2014
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    np.testing.assert_allclose(atoms.get_forces(), forces * ev, rtol=1e-7)


def test_forces_are_the_gradient_of_the_energy(atoms: Atoms) -> None:
    from ase.calculators.test import calculate_numerical_forces

    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-4), atol=1e-6)


def test_moved_atoms_are_calculated_again(atoms: Atoms) -> None:
    before = atoms.get_potential_energy()
    atoms.rattle(0.1, seed=1)
    after = PairMorse(NUMBERS).predict(atoms.positions)[0] * units.kcal / units.mol
    assert atoms.get_potential_energy() == pytest.approx(float(after), rel=1e-7)
    assert abs(atoms.get_potential_energy() - before) > 1e-3


def test_ethanol_relaxes_to_a_minimum(reference_data: Callable[[str], Path]) -> None:
    """From a frame at 500 K: 21 vibrations of kT/2 lie above the minimum, on the average 10 kcal/mol or 0.45 eV."""
    model = oh.sgdml.load(reference_data("sgdml_model_2018_ethanol.npz"))
    start = oh.Frames.load(reference_data("md17_ethanol.npz")).positions[0]
    ethanol = Atoms(model.atomic_numbers, start, calculator=oh.as_ase(model))
    before = ethanol.get_potential_energy()
    assert BFGS(ethanol, logfile=None).run(fmax=0.01, steps=150)
    assert 0.1 < before - ethanol.get_potential_energy() < 1.5
    assert ethanol.get_distance(0, 1) == pytest.approx(1.51, abs=0.03)  # C–C of ethanol, Å
    assert ethanol.get_distance(2, 8) == pytest.approx(0.97, abs=0.02)  # O–H


def test_other_atoms_are_refused_in_one_line() -> None:
    calculator = as_ase(PairMorse(NUMBERS))
    for numbers in ((8, 6, 1, 1), (6, 8, 1), (6, 8, 1, 1, 1)):
        other = Atoms(numbers, np.arange(3.0 * len(numbers)).reshape(-1, 3), calculator=calculator)
        with pytest.raises(MismatchError, match="like the model; give the model's molecule") as raised:
            other.get_forces()
        assert "\n" not in str(raised.value)


def test_periodic_atoms_and_broken_coordinates_are_refused(atoms: Atoms) -> None:
    atoms.positions[1, 2] = np.nan
    with pytest.raises(InputError, match="not finite"):
        atoms.get_potential_energy()
    box = Atoms(NUMBERS, POSITIONS, cell=[10, 10, 10], pbc=True, calculator=as_ase(PairMorse(NUMBERS)))
    with pytest.raises(MismatchError, match="periodic"):
        box.get_potential_energy()


def test_another_order_of_equal_elements_is_named() -> None:
    forcefield = oh.ForceField.load("ethanol-gaff")
    positions = oh.Molecule.from_smiles("C(C)O").positions
    for order, message in ((np.arange(9), ""), (np.array([1, 0, 2, 3, 4, 5, 6, 7, 8]), "in another order: its atom 0")):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            Atoms(forcefield.atomic_numbers, positions[order], calculator=as_ase(forcefield)).get_potential_energy()
        assert [message in str(warning.message) for warning in caught] == [True] * bool(message)
