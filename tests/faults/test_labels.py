"""No mistake with labels is silent."""

from __future__ import annotations

import pytest

from tests.faults.labels import CASES

RIGHT = {
    "1 acetate through ASE, charge of the engine",
    "1 acetate through ASE, charge of the calculator",
    "1 ammonium through ASE",
    "1 dication by gfn2, atomic numbers and charge",
    "1 label RUN of a dication",
    "1 label BUILD of a dication",
    "3 fit, kcal/mol",
    "3 correction, kcal/mol",
    "3 distill, kcal/mol",
    "3 sGDML, kcal/mol",
    "15 cross terms on 120 frames",
    "25 fit without energies",
    "25 fit without energies, by gradients",
    "25 fit without energies, charges fixed",
}
"""Inputs that are correct, so that only the right result will do."""


@pytest.mark.parametrize("name", CASES)
def test_no_mistake_is_silent(name: str) -> None:
    found = CASES[name]()
    assert found == "right" if name in RIGHT else found in ("right", "warned", "refused"), found
