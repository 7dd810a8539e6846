"""Conversion factors against CODATA and OpenMM's own units."""

from __future__ import annotations

import numpy as np
import openmm
import pytest
from openmm import unit
from scipy import constants

from openmm_hybrid.core import units
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames


def test_factors_are_codata_s():
    mol_kcal = constants.N_A / 4184
    hartree = constants.physical_constants["Hartree energy"][0] * mol_kcal
    bohr = constants.physical_constants["Bohr radius"][0] * 1e10
    theirs = {
        "KCAL_PER_HARTREE": hartree,
        "KCAL_PER_EV": constants.e * mol_kcal,
        "ANGSTROM_PER_BOHR": bohr,
        "BOLTZMANN": constants.k * mol_kcal,
    }
    for name, value in theirs.items():
        assert getattr(units, name) == pytest.approx(value, rel=1e-8), name
    assert units.FORCE_KJ_NM == 41.84


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (2 * unit.nanometer, "length", 20),
        (4.184 * unit.kilojoule_per_mole, "energy", 1),
        (300 * unit.kelvin, "temperature", 300),
        (1 * unit.picosecond, "time", 1000),
        (12 * unit.amu, "mass", 12),
        (0.5 * unit.elementary_charge, "charge", 0.5),
        (180 * unit.degree, "angle", np.pi),
        (1 / unit.femtosecond, "rate", 1000),
        (1 * unit.atmosphere, "pressure", 1.01325),
        (41.84 * unit.kilojoule_per_mole / unit.nanometer, "force", 1),
        (7.5, "energy", 7.5),
    ],
)
def test_strip(value, kind, expected):
    assert units.strip(value, kind) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("value", "name", "kind", "expected"),
    [
        (2.0, "nanometer", "length", 20),
        (4.184, "kilojoule / mole", "energy", 1),
        (41.84, "kilojoule / mole / nanometer", "force", 1),
        (300.0, "kelvin", "temperature", 300),
        (1.0, "picosecond", "time", 1000),
        (12.0, "dalton", "mass", 12),
        (0.5, "elementary_charge", "charge", 0.5),
        (180.0, "degree", "angle", np.pi),
        (1.0, "1 / femtosecond", "rate", 1000),
        (1.0, "atmosphere", "pressure", 1.01325),
    ],
)
def test_quantities_of_openff(value, name, kind, expected):
    openff = pytest.importorskip("openff.units", reason="openff-units is not installed (extra openff)")
    for given in (value, np.array([value, value])):
        found = units.strip(openff.Quantity(given, name), kind)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert np.shape(found) == np.shape(given)
    assert units.strip([openff.Quantity(value, name)], kind) == pytest.approx([expected], rel=1e-5)
    with pytest.raises(InputError, match=f"a quantity in meter .*second.* where a {kind} is needed"):
        units.strip(openff.Quantity(value, "meter * second"), kind)


def test_tensors_are_plain_numbers():
    torch = pytest.importorskip("torch")
    assert units.positions_to_angstrom(torch.ones(2, 3)).shape == (2, 3)


@pytest.mark.parametrize("given", [Frames([1, 1], np.eye(2, 3)[None]), [[1, 2, 3], [4, 5]], "H2O"])
def test_positions_must_be_an_array_of_numbers(given):
    with pytest.raises(InputError, match=f"given as {type(given).__name__}, which is no array .* frames.positions"):
        units.positions_to_angstrom(given)


def test_strip_refuses_another_dimension():
    with pytest.raises(InputError, match="where a length is needed"):
        units.strip(1 * unit.kelvin, "length")


def test_positions_as_openmm_hands_them_out():
    vectors = [openmm.Vec3(0.1, 0, 0), openmm.Vec3(0, 0.2, 0)] * unit.nanometer
    np.testing.assert_allclose(units.positions_to_angstrom(vectors), [[1, 0, 0], [0, 2, 0]])
    np.testing.assert_allclose(units.positions_to_angstrom([vectors, vectors])[1], [[1, 0, 0], [0, 2, 0]])
    np.testing.assert_array_equal(units.positions_to_angstrom([[1, 2, 3]]), [[1.0, 2, 3]])


def test_names_of_units():
    assert units.energy_factor("kcal/mol") == units.energy_factor(" KCAL/MOL ") == 1
    assert units.energy_factor("Hartree") == units.energy_factor("Ha") == units.KCAL_PER_HARTREE
    assert units.length_factor("Ang") == units.length_factor("Å") == 1
    assert units.length_factor("bohr") == units.ANGSTROM_PER_BOHR
    for name, factor in (("furlong", units.length_factor), ("erg", units.energy_factor)):
        with pytest.raises(InputError, match=f"unknown unit of .* '{name}'; expected one of"):
            factor(name)
