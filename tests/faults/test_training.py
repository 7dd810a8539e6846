"""No training of an ordinary data set ends without a model."""

from __future__ import annotations

import pytest

from tests.faults.training import ASPIRIN, CASES, DATA

EXPECTED = {
    "24 neopentane": "warned",
    "24 hexadecane": "warned",
    "24 neopentane, atoms 0 to 4": "warned",
    "24 neopentane, symmetries of the graph": "refused",
    "24 ethanol": "right",
    "26 two cores, one of them free": "right",
    "26 eight cores, four of them free": "right",
    "26 two cores, both free": "right",
    "26 one thread that the user set, two cores": "right",
    "27 aspirin over cross terms": "right",
    "27 aspirin over cross terms, lam 1e-7": "right",
    "27 aspirin over cross terms, direct solver": "right",
    "27 aspirin over cross terms, iterative solver": "right",
    "27 aspirin over cross terms, sigma 0.3": "right",
    "27 aspirin over cross terms, little memory": "right",
}


@pytest.mark.parametrize("name", CASES)
def test_outcome(name: str) -> None:
    if name.startswith("27") and not (DATA / ASPIRIN).is_file():
        pytest.skip("the reference data are not there")
    assert CASES[name]() == EXPECTED[name]
