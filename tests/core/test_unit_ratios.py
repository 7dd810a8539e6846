"""Factors that units explain. Sources: CODATA's conversion factors, written out here."""

from __future__ import annotations

import pytest

from openmm_hybrid.core.unit_ratios import ENERGIES, FORCES, explained, is_impossible, is_off


@pytest.mark.parametrize(
    ("ratio", "units", "words"),
    [
        (1 / 23.0605, ENERGIES, "they look like eV, so multiply them by 23.061, or load the file with e_unit='eV'"),
        (23.0605, ENERGIES, "converted from eV twice, so divide them by 23.061"),
        (4.184, ENERGIES, "they look like kJ/mol, so multiply them by 0.23901"),
        (1 / 627.509, ENERGIES, "they look like hartree, so multiply them by 627.51"),
        (1 / 27.2114, ENERGIES, "hartree converted as if eV, so multiply them by 27.21"),
        (1 / 23.0605, FORCES, "they look like eV/Å, so multiply them by 23.061"),
        (1 / 1185.82, FORCES, "they look like hartree/bohr, so multiply them by 1185.8"),
        (51.4221, FORCES, "eV/Å converted as if hartree/bohr, so divide them by 51.42"),
        (1 / 27.2114, FORCES, "hartree/Å converted as if eV/Å, so multiply them by 27.21"),
        (0.529177, FORCES, "they look like kcal/mol/bohr, so multiply them by 1.8897"),
        (41.84, FORCES, "they look like kJ/mol/nm, so multiply them by 0.023901"),
    ],
)
@pytest.mark.parametrize("error", [0.95, 1.0, 1.05])
def test_a_factor_is_named_with_its_remedy(ratio: float, units: dict[str, float], words: str, error: float) -> None:
    assert words in explained(ratio * error, units)


def test_no_unit_explains_other_factors() -> None:
    assert explained(1.0, ENERGIES) == explained(2.2, ENERGIES) == explained(100.0, ENERGIES) == ""
    assert "e_unit" not in explained(1 / 23.0605, FORCES)


def test_limits() -> None:
    assert [is_off(ratio) for ratio in (0.5, 0.88, 1.16, 1.89, float("nan"))] == [True, False, False, True, False]
    found = [is_impossible(ratio) for ratio in (0.04, 0.24, 4.2, 10.0, float("nan"))]
    assert found == [True, False, False, True, False]
