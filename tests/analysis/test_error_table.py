"""Error tables against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from openmm_hybrid.analysis import error_table
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.data.frames import Frames


def frames(energies: list[float], forces: list[list[float]]) -> Frames:
    return Frames(np.array([1]), np.zeros((len(energies), 1, 3)), np.array(energies), np.array(forces)[:, None])


REFERENCE = frames([1.0, 2.0, 3.0], [[0, 0, 0], [1, 1, 1], [2, 0, -2]])


def test_numbers_by_hand() -> None:
    table = error_table(REFERENCE, frames([11.0, 12.0, 16.0], [[3, 0, 0], [1, 1, 1], [2, -4, -2]]))
    assert table.n_frames == 3
    assert table.energy_offset == pytest.approx(11.0)
    assert table.energy_mae == pytest.approx(4 / 3)
    assert table.energy_rmse == pytest.approx(np.sqrt(2.0))
    assert table.energy_max == pytest.approx(2.0)
    assert table.force_mae == pytest.approx(7 / 9)
    assert table.force_rmse == pytest.approx(5 / 3)
    assert table.force_max == pytest.approx(4.0)
    assert set(table.as_dict()) >= {"energy_mae", "force_rmse"}


def test_offset_kept() -> None:
    table = error_table(REFERENCE, frames([11.0, 12.0, 16.0], [[0, 0, 0]] * 3), remove_offset=False)
    assert table.energy_mae == pytest.approx(11.0)
    assert table.energy_max == pytest.approx(13.0)


def test_arrays_do_as_well_as_frames() -> None:
    same = error_table(REFERENCE.labels(), REFERENCE)
    assert same.force_max == same.energy_max == 0.0


def test_bad_input_is_refused() -> None:
    energies, forces = REFERENCE.labels()
    with pytest.raises(MismatchError, match="shapes"):
        error_table(REFERENCE, (energies[:2], forces))
    with pytest.raises(InputError, match="not finite"):
        error_table(REFERENCE, (energies * np.nan, forces))
    with pytest.raises(InputError, match="no frames"):
        error_table((energies[:0], forces[:0]), (energies[:0], forces[:0]))
    with pytest.raises(InputError, match="no forces"):
        error_table(REFERENCE, Frames(np.array([1]), np.zeros((3, 1, 3)), energies))
