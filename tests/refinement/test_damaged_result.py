"""A damaged result of a refinement is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.refinement.checks import kept_arrays, kept_checks
from openmm_hybrid.refinement.refined import RESULT, Refined

DAMAGED = (
    "",
    "[]",
    '{"rounds": 5}',
    '{"rounds": [[]]}',
    '{"rounds": [], "chosen": 1e999}',
    '{"rounds": [], "chosen": null}',
    '{"rounds": [], "chosen": 1, "verdict": "", "converged": true, "checks": []}',
    '{"rounds": ' + "[" * 100_000,
)


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: text[:30])
def test_result(text: str, tmp_path: Path) -> None:
    (tmp_path / RESULT).write_text(text)
    with pytest.raises(InputError, match="is damaged") as caught:
        Refined.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [*DAMAGED, '{"settings": {}, "checks": {"minima": 5}}'], ids=lambda text: text[:30])
def test_checks(text: str, tmp_path: Path) -> None:
    path = tmp_path / "checks.json"
    path.write_text(text)
    with pytest.raises(InputError, match="is damaged"):
        kept_checks(path, {})


def test_checks_of_other_settings_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "checks.json"
    path.write_text('{"settings": {"n_profile": 3}, "checks": {}}')
    assert kept_checks(path, {"n_profile": 4}) is None


def test_kept_arrays(tmp_path: Path) -> None:
    """Arrays come back from their file as they were, and a damaged file is refused."""
    path, made = tmp_path / "a.npz", {"positions": np.arange(6.0).reshape(2, 3)}
    for _ in range(2):
        found = kept_arrays(path, lambda: made)
        assert list(found) == ["positions"]
        np.testing.assert_array_equal(found["positions"], made["positions"])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="call refine again"):
        kept_arrays(path, lambda: made)


def test_the_net_charge_of_a_run(tmp_path: Path) -> None:
    run = oh.SampleResult(tmp_path, ())
    for text, charge in (('{"net_charge": -1}', -1), ("{}", None)):
        (tmp_path / "settings.json").write_text(text)
        assert run.net_charge == charge
    for text in ("{", "[]", '{"net_charge": "one"}', '{"net_charge": 1.5}', '{"net_charge": 1e999}'):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(InputError, match=r"settings\.json"):
            _ = run.net_charge
