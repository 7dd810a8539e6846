"""The benchmark of killed refinements finds labels that were computed twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

import openmm_hybrid as oh

ROOT = Path(__file__).parents[2]


def test_each_calculation_is_counted_and_a_repeated_one_found(tmp_path: Path) -> None:
    """Four labels, a resumed run that computes none, and a run without its journal that computes all again."""
    from benchmarks.refine_kills import _CHILD

    molecule = oh.Molecule.from_smiles("CO")
    shifts = np.random.default_rng(0).normal(scale=0.02, size=(4, molecule.n_atoms, 3))
    oh.Frames(molecule.atomic_numbers, molecule.positions + shifts).save(tmp_path / "frames.npz")
    log, output = tmp_path / "computed.txt", tmp_path / "labels.npz"
    arguments = ["label", str(tmp_path / "frames.npz"), "-o", str(output), "--engine", "mmff94"]
    counts = []
    for number in range(3):
        if number == 2:
            (tmp_path / "labels.npz.journal").unlink()
        subprocess.run([sys.executable, "-c", _CHILD, str(log), "mmff94", *arguments], cwd=ROOT, check=True)
        lines = log.read_text().split()
        counts.append((len(lines), len(lines) - len(set(lines))))
    assert counts == [(4, 0), (4, 0), (8, 4)]
