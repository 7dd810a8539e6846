"""Every case of `tests.faults.formats` is right, warned of or refused."""

from __future__ import annotations

import pytest

from tests.faults.formats import CASES

#: Cases that can only be guessed at; all others are right or refused.
GUESSES = (
    "3 bare energy and forces in hartree, not said",
    "3 e_unit that contradicts the file",
    "3 xtb's comment, said to be eV",
    "3 energy of an unknown form",
    *(name for name in CASES if "drawing" in name),
    *("20 labels under unknown names", "20 npz with names of ASE, no unit", "20 npz with labels under unknown names"),
)


@pytest.mark.parametrize("name", CASES)
def test_no_wrong_number_without_a_word(name: str) -> None:
    assert CASES[name]() in (("warned",) if name in GUESSES else ("right", "refused"))
