"""Quantities, temperatures and angles at the borders of the analyses."""

from __future__ import annotations

import numpy as np
import pytest
from openmm import unit

from openmm_hybrid.analysis import (
    boltzmann_weights,
    dihedral_density,
    energy_drift,
    error_table,
    free_energy_difference,
    label_basins,
    mbar,
    mean_with_error,
)
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import KJ_PER_KCAL

RNG = np.random.default_rng(0)
KJ = unit.kilojoule_per_mole


def test_energies_in_another_unit_are_converted() -> None:
    energies = RNG.normal(size=(2, 2, 40))
    tables = [table * KJ_PER_KCAL * KJ for table in energies]
    found, expected = mbar(tables, 300.0 * unit.kelvin), mbar(list(energies), 300.0)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-9, atol=1e-12)
    sampled, target = RNG.normal(scale=0.1, size=(2, 100))
    expected_weights = boltzmann_weights(sampled, target, 300.0).values
    found_weights = boltzmann_weights(sampled * KJ_PER_KCAL * KJ, target * KJ_PER_KCAL * KJ, 300.0).values
    np.testing.assert_allclose(found_weights, expected_weights, rtol=1e-12)
    forces = RNG.normal(size=(20, 3, 3))
    plain = error_table((np.zeros(20), np.zeros((20, 3, 3))), (np.arange(20.0), forces))
    quantity = forces * KJ_PER_KCAL * 10.0 * KJ / unit.nanometer
    converted = error_table((np.zeros(20), np.zeros((20, 3, 3))), (np.arange(20.0) * KJ_PER_KCAL * KJ, quantity))
    np.testing.assert_allclose(list(converted.as_dict().values()), list(plain.as_dict().values()), rtol=1e-9)


def test_times_and_total_energies_are_converted() -> None:
    time, energy = np.arange(50.0), 0.3 * np.arange(50.0) + RNG.normal(size=50)
    expected = energy_drift(time, energy, 9)
    found = energy_drift(time * 1000.0 * unit.femtosecond, energy * KJ_PER_KCAL * KJ, 9)
    assert (found.value, found.error) == pytest.approx((expected.value, expected.error), rel=1e-9)


def test_dihedrals_are_converted_and_degrees_refused() -> None:
    degrees = RNG.uniform(-180.0, 180.0, size=200)
    found = dihedral_density(degrees * unit.degree, bandwidth=0.12)
    np.testing.assert_allclose(found.values, dihedral_density(np.radians(degrees)).values, rtol=1e-9)
    basins = {"gauche": (-120.0 * unit.degree, 0.0 * unit.degree)}
    labels = label_basins(degrees * unit.degree, basins)
    assert ((labels == "gauche") == ((degrees >= -120.0) & (degrees < 0.0))).all()
    for call in (lambda: dihedral_density(degrees), lambda: label_basins(degrees, {"trans": (-1.0, 1.0)})):
        with pytest.raises(InputError, match=r"within ±2π; convert degrees with numpy.radians"):
            call()


@pytest.mark.parametrize("temperature", [-300.0, 0.0, float("nan"), "warm", True])
def test_temperatures_must_be_positive(temperature: float) -> None:
    density = dihedral_density(RNG.uniform(-3.0, 3.0, size=50))
    for call in (
        lambda: density.free_energy(temperature),
        lambda: boltzmann_weights(np.zeros(9), np.zeros(9), temperature),
        lambda: free_energy_difference(temperature),
        lambda: mbar([np.zeros((2, 20)), np.zeros((2, 20))], temperature),
    ):
        with pytest.raises(InputError, match="temperature is"):
            call()


def test_a_series_of_any_kind_must_be_plain() -> None:
    with pytest.raises(InputError, match="the series is a Quantity; expected plain numbers"):
        mean_with_error(np.arange(20.0) * KJ)
