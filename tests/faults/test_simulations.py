"""Every case of `tests.faults.simulations` has its outcome."""

from __future__ import annotations

import pytest

from tests.faults.simulations import CASES

RIGHT = (
    "9 methylphosphonic acid, minimised with GAFF 2.2.20",
    "23 box large enough",
    "25 a short timestep with its unit",
)
WARNED = (
    "25 3 fs without constraints",
    "25 temperature in degrees Celsius",
    "25 temperature as kT in kJ/mol",
    "25 friction in 1/fs",
    "25 friction in 1/s",
)
EXPECTED = {
    name: "right" if name.startswith("17") or name in RIGHT else "warned" if name in WARNED else "refused"
    for name in CASES
}


@pytest.mark.parametrize("name", CASES)
def test_outcome(name: str) -> None:
    assert CASES[name]() == EXPECTED[name]
