"""The labelled frames of ethanol that are kept here are those of their manifest, and PySCF's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid import Frames
from openmm_hybrid.core.units import ANGSTROM_PER_BOHR, KCAL_PER_HARTREE

DATA = Path(__file__).parents[2] / "benchmarks" / "data"


@pytest.fixture(scope="module")
def frames() -> Frames:
    return Frames.load(DATA / "ethanol_pbe.npz")


def test_the_file_is_that_of_its_manifest(frames: Frames) -> None:
    manifest = json.loads((DATA / "ethanol_pbe.json").read_text(encoding="utf-8"))
    assert hashlib.sha256((DATA / "ethanol_pbe.npz").read_bytes()).hexdigest() == manifest["sha256"]
    assert frames.theory == manifest["theory"]
    assert frames.n_frames == 600
    assert len(frames.unique()) == 600


def test_a_label_is_that_of_pyscf_by_hand(frames: Frames) -> None:
    dft = pytest.importorskip("pyscf.dft")
    pytest.importorskip("pyscf.dispersion")
    from pyscf import gto

    atoms = [("CCOHHHHHH"[k], place) for k, place in enumerate(frames.positions[-1])]
    # PySCF chooses the auxiliary basis for the functional that is set before.
    field = dft.RKS(gto.M(atom=atoms, basis="def2-svp", verbose=0), xc="pbe").density_fit()
    field.grids.level, field.disp, field.conv_tol = 3, "d3bj", 1e-9
    energy = field.kernel()
    gradient = field.nuc_grad_method()
    gradient.grid_response = True
    energies, forces = frames.labels()
    assert energies[-1] / KCAL_PER_HARTREE == pytest.approx(energy, abs=1e-8)
    np.testing.assert_allclose(-forces[-1] * ANGSTROM_PER_BOHR / KCAL_PER_HARTREE, gradient.kernel(), rtol=0, atol=1e-8)
