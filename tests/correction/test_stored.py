"""A correction's file in a System: where its atoms lie, and shipped ones by name."""

from __future__ import annotations

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.errors import InputError, MismatchError


@pytest.fixture(scope="module")
def whole() -> oh.correction.Stored:
    """A shipped set of nine atoms, by its name."""
    return oh.correction.load("ethanol-cross")


def test_names_are_those_of_the_shipped_sets(whole: oh.correction.Stored) -> None:
    assert whole.atoms is None
    assert whole.model.n_atoms == 9
    with pytest.raises(InputError, match="did you mean ethanol-cross"):
        oh.correction.load("ethanol-cros")


def test_particles_of_all_atoms(whole: oh.correction.Stored) -> None:
    copies = np.arange(30, 48).reshape(2, 9)
    np.testing.assert_array_equal(whole.on(copies), copies)
    np.testing.assert_array_equal(whole.on(range(9)), np.arange(9))
    with pytest.raises(MismatchError, match="8 atoms were given; expected 9"):
        whole.on(range(8))


def test_particles_of_some_atoms(whole: oh.correction.Stored) -> None:
    local = oh.correction.Stored(whole.model, np.array([5, 2, 3]))
    np.testing.assert_array_equal(local.on(range(10, 19)), [15, 12, 13])
    np.testing.assert_array_equal(local.on(np.arange(18).reshape(2, 9)), [[5, 2, 3], [14, 11, 12]])
    with pytest.raises(MismatchError, match="5 atoms were given; expected the whole molecule"):
        local.on(range(5))
