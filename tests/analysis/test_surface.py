"""Surfaces over two dihedrals. Source: analytic surfaces of cosines."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid.analysis import SurfaceProfile, grid_minima, image_difference, rms_difference, surface_profile
from openmm_hybrid.core.errors import InputError, MismatchError

ANGLES = np.linspace(-np.pi, np.pi, 24, endpoint=False)
FIRST, SECOND = np.meshgrid(ANGLES, ANGLES, indexing="ij")
#: Minima of the first dihedral at ±90° (0) and none else; threefold second dihedral with barriers of 3 kcal/mol.
ENERGIES = 1.0 + np.cos(2 * FIRST) + 0.25 * (1.0 + np.cos(FIRST)) + 1.5 * (1.0 + np.cos(3 * SECOND))


def test_minima_and_barriers_along_both_dihedrals() -> None:
    first, second = surface_profile(ENERGIES, 0), surface_profile(ENERGIES, 1)
    # dE/dφ = −2 sin 2φ − 0.25 sin φ = 0: cos φ = −1/16.
    expected = np.degrees(np.arccos(-1.0 / 16.0))
    assert [angle for angle, _ in first.minima] == pytest.approx([-expected, expected], abs=1.0)
    assert [energy for _, energy in first.minima] == pytest.approx([2 / 256 + 0.25 * 15 / 16] * 2, abs=5e-3)
    assert dict(first.barriers) == pytest.approx({-180.0: 2.0, 0.0: 2.5}, abs=5e-3)
    rest = ENERGIES.min() - 0.0
    assert [angle for angle, _ in second.minima] == [-180.0, -60.0, 60.0]
    assert [energy for _, energy in second.minima] == pytest.approx([rest] * 3, abs=2e-2)
    assert [angle for angle, _ in second.barriers] == pytest.approx([-120.0, 0.0, 120.0], abs=1.0)
    assert [energy - rest for _, energy in second.barriers] == pytest.approx([3.0] * 3, abs=2e-2)


def test_flat_and_rippled_profiles() -> None:
    assert surface_profile(np.zeros((12, 12)), 0) == SurfaceProfile((), ())
    rippled = ENERGIES + 0.002 * (-1.0) ** np.arange(24)[:, None]
    assert len(surface_profile(rippled, 0).minima) == 2
    single = surface_profile(1.0 + np.cos(FIRST), 0)
    assert single.minima[0] == pytest.approx((-180.0, 0.0), abs=1e-3)
    assert len(single.minima) == 1
    assert len(single.barriers) == 1


def test_grid_minima_lowest_first() -> None:
    found = grid_minima(ENERGIES)
    assert len(found) == 6
    assert {i for i, _ in found} == {6, 18}
    assert {j for _, j in found} == {0, 8, 16}
    energies = np.full((8, 8), 2.0)
    energies[3, 3] = energies[3, 4] = 1.0
    energies[0, 0] = 0.0
    energies[6, 6] = np.nan
    assert grid_minima(energies)[:2] == [(0, 0), (3, 3)]


def test_differences() -> None:
    shifted = ENERGIES.copy()
    low = ENERGIES <= 1.0
    shifted[low] += 0.5
    shifted[~low] += 40.0
    assert rms_difference(shifted, ENERGIES, window=1.0) == pytest.approx(0.5)
    shifted[low] = np.nan
    assert np.isnan(rms_difference(shifted, ENERGIES, window=1.0))
    with pytest.raises(MismatchError, match="shapes"):
        rms_difference(ENERGIES, ENERGIES[:12, :12], window=1.0)
    with pytest.raises(InputError, match="shape"):
        surface_profile(ENERGIES[0], 0)


def test_images() -> None:
    i, j = np.divmod(np.arange(576), 24)
    mirror = (-i % 24) * 24 + (-j % 24)
    assert image_difference(ENERGIES, [mirror]) == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(image_difference(ENERGIES, []))
    other = ENERGIES.copy()
    other[1, 0] += 0.1
    other[5, 5] = np.nan
    assert image_difference(other, [mirror]) == pytest.approx(0.1)
