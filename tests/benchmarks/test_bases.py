"""The benchmark of base force fields: when a geometry is intact, distances after superposition, and its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from openmm_hybrid import Molecule

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _import_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def ethanol() -> Molecule:
    return Molecule.from_smiles("CCO")


def test_fused_atoms_broken_bonds_and_nan_are_found(ethanol: Molecule) -> None:
    from benchmarks.bases import intact

    reference = ethanol.positions
    assert intact(reference[None], ethanol.bonds, reference)
    hydroxyl = reference.copy()
    oxygen, hydrogen = 2, 8
    assert [oxygen, hydrogen] in ethanol.bonds.tolist()
    hydroxyl[hydrogen] = reference[oxygen] + 0.5 * (reference[hydrogen] - reference[oxygen])
    long = reference.copy()
    long[hydrogen] = reference[oxygen] + 1.5 * (reference[hydrogen] - reference[oxygen])
    lost = reference.copy()
    lost[0, 0] = np.nan
    for damaged in (hydroxyl, long, lost):
        assert not intact(np.stack([reference, damaged]), ethanol.bonds, reference)


def test_rotations_do_not_count_as_distance(ethanol: Molecule) -> None:
    from benchmarks.bases import rmsd

    moved = Rotation.random(rng=1).apply(ethanol.positions.copy()) + np.array([3.0, -1.0, 2.0])
    assert rmsd(moved, ethanol.positions) == pytest.approx(0.0, abs=1e-6)
    shifted = ethanol.positions.copy()
    shifted[-1] += 0.3
    assert 0.05 < rmsd(shifted, ethanol.positions) < 0.3 * np.sqrt(3 / 9)


def test_figures_compare_the_molecules_that_every_base_covers() -> None:
    from benchmarks.bases import BASES, summary

    def row(force: float, intact: bool = True) -> dict[str, Any]:
        state = {"intact": intact, "rmsd": 0.1}
        errors = {"force_rmse": force, "force_correlation": 0.9, "energy_rmse": 1.0}
        return errors | {"minima": {"from_conformer": state, "from_reference": state}, "dynamics": [state, state]}

    first = {"bases": {base: row(10.0 + number, base != BASES[0]) for number, base in enumerate(BASES)}}
    second = {"bases": {base: row(20.0 - number) for number, base in enumerate(BASES)}}
    third = {"bases": {base: row(1.0) for base in BASES} | {BASES[1]: {"refused": "no parameters"}}}
    figures = summary({"a": first, "b": second, "c": third})
    assert figures["molecules_compared"] == (2, "1")
    assert figures[f"force_rmse_mean.{BASES[0]}"] == (15.0, "kcal/mol/Å")
    assert figures[f"smallest_error.{BASES[0]}"] == (1, "1")
    assert [figures[f"stable.{base}"][0] for base in BASES] == [2, 2, 3, 3, 3]
    assert figures[f"built.{BASES[1]}"] == (2, "1")
