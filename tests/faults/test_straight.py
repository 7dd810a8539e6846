"""Straight angles have right forces; files with dihedral terms through them are warned of."""

from __future__ import annotations

import pytest

from tests.faults.straight import CASES


@pytest.mark.parametrize("name", CASES)
def test_no_term_goes_through_a_straight_angle(name: str) -> None:
    assert CASES[name]() == ("warned" if "file" in name else "right")
