"""200 damaged files of every kind are read or refused in one line, in bounded memory and time, and run no code."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid.core.errors import HybridError
from tests.faults.damaged import KINDS, ZIPPED, damaged_files, good_files, outcomes, randomly_damaged, read

COUNT = 208


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    good_files(folder)
    return folder


def test_good_files_are_read(good: Path, tmp_path: Path) -> None:
    """The readers under test accept what the package writes."""
    made = [(kind, good / kind, "none") for kind in KINDS if kind != "run"]
    assert outcomes(made, tmp_path) == ["valid"] * len(made)


def test_damaged_files(good: Path, tmp_path: Path) -> None:
    made = damaged_files(good, tmp_path, COUNT, seed=0)
    found = outcomes(made, tmp_path)
    failures = [
        f"{path.name} ({way}): {outcome[:200]}"
        for (_, path, way), outcome in zip(made, found, strict=True)
        if not outcome.startswith(("valid", "refused"))
    ]
    assert not failures, "\n".join(failures)
    assert len(found) == COUNT
    kinds = Counter(kind for (kind, *_), outcome in zip(made, found, strict=True) if outcome.startswith("refused"))
    assert set(kinds) == set(KINDS)
    assert not list(tmp_path.rglob("EXECUTED"))


@pytest.mark.parametrize("kind", ZIPPED)
def test_random_damage_never_changes_a_number(good: Path, tmp_path: Path, kind: str) -> None:
    """The checksums of zip files hold for all arrays: a file is refused, or gives the same numbers."""
    expected, random, refused = read(kind, good / kind, tmp_path), np.random.default_rng(4), 0
    content, path = (good / kind).read_bytes(), tmp_path / kind
    for _ in range(40):
        path.write_bytes(randomly_damaged(content, random, tmp_path))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = read(kind, path, tmp_path)
        except HybridError:
            refused += 1
            continue
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert refused > 20
