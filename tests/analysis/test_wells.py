"""Wells of densities with known maxima."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid.analysis import Density, density_wells
from openmm_hybrid.core.errors import InputError

GRID = -np.pi + 2.0 * np.pi * (np.arange(36) + 0.5) / 36


def density(energy: np.ndarray) -> Density:
    weights = np.exp(-energy)
    return Density(GRID, weights / (weights.sum() * (2.0 * np.pi / 36) ** energy.ndim))


def test_a_threefold_rotor_has_three_wells_divided_at_its_barriers() -> None:
    wells = density_wells(density(np.cos(3.0 * GRID) + 0.1 * np.cos(GRID)))
    assert np.sort(np.abs(np.degrees(wells.peaks[:, 0]))) == pytest.approx([60.0, 60.0, 180.0], abs=5.1)
    labels = wells.of(np.radians([[70.0], [110.0], [-70.0], [10.0], [-179.0], [179.0]]))
    assert labels[0] == labels[1] == labels[3] != labels[2]
    assert labels[4] == labels[5] == 0  # the deepest, across ±180°
    assert np.bincount(wells.labels) == pytest.approx([12, 12, 12], abs=1)


def test_points_have_the_shape_of_the_dihedrals() -> None:
    wells = density_wells(density(np.cos(3.0 * GRID) + 0.1 * np.cos(GRID)))
    np.testing.assert_array_equal(wells.of(GRID), wells.of(GRID[:, None]))
    assert wells.of(GRID[:1]).shape == (1,)
    assert wells.of(GRID.reshape(2, 18, 1)).shape == (2, 18)
    for wrong in (0.5, GRID.reshape(18, 2), [np.nan]):
        with pytest.raises(InputError, match=r"expected finite numbers, \(n_frames, 1\) or \(n_frames,\)"):
            wells.of(wrong)
    pair = density_wells(Density(GRID, np.full((36, 36), 1.0 / (2.0 * np.pi) ** 2)))
    with pytest.raises(InputError, match=r"expected finite numbers, \(n_frames, 2\);"):
        pair.of(GRID)


def test_wells_of_two_dihedrals() -> None:
    first, second = np.meshgrid(GRID, GRID, indexing="ij")
    wells = density_wells(density(1.5 * np.cos(2.0 * first) + np.cos(3.0 * second) + 0.2 * np.cos(second)))
    assert len(wells.peaks) == 6
    centres = np.array([(one, other) for one in (-90.0, 90.0) for other in (-60.0, 60.0, 180.0)])
    shifts = np.array([(one, other) for one in (-60.0, 0.0, 60.0) for other in (-35.0, 0.0, 35.0)])
    around = np.radians(centres[:, None] + shifts)
    labels = wells.of(np.angle(np.exp(1j * around)))
    assert (labels == labels[:, :1]).all()
    assert sorted(labels[:, 0].tolist()) == list(range(6))


def test_shallow_and_small_maxima_are_no_wells() -> None:
    shallow = density(np.cos(GRID) + 0.12 * np.cos(6.0 * GRID))
    assert len(density_wells(shallow, depth=0.0, least=0.0).peaks) > 1
    assert len(density_wells(shallow).peaks) == 1
    spike = np.where(np.arange(36) == 18, 4.0, 12.0 * np.cos(GRID / 2.0) ** 2)
    assert len(density_wells(density(spike), least=0.0).peaks) == 2
    assert len(density_wells(density(spike)).peaks) == 1
    with pytest.raises(InputError, match="not negative"):
        density_wells(shallow, depth=-1.0)
