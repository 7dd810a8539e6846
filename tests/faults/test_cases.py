"""Every mistake is right, warned of or refused, as outcomes.json says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.cases import CASES
from tests.faults.training import ASPIRIN, DATA

EXPECTED = json.loads(Path(__file__).with_name("outcomes.json").read_text(encoding="utf-8"))


def test_every_case_has_an_outcome() -> None:
    assert sorted(EXPECTED) == sorted(CASES)
    assert set(EXPECTED.values()) == {"right", "warned", "refused"}


@pytest.mark.parametrize("name", CASES)
def test_outcome(name: str) -> None:
    if name.startswith("27") and not (DATA / ASPIRIN).is_file():
        pytest.skip(f"{ASPIRIN} is not in {DATA} (set OPENMM_HYBRID_DATA)")
    assert CASES[name]() == EXPECTED[name]
