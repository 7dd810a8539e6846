"""Gasteiger charges, found by their name."""

from __future__ import annotations

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.testing import ChargesSuite


class TestGasteiger(ChargesSuite):
    method = "gasteiger"


def test_build_takes_the_name() -> None:
    molecule = oh.Molecule.from_smiles("CO")
    gaff = oh.gaff.build(molecule, charges="gasteiger", progress=False)
    assert gaff.system.getNumParticles() == 6
    with pytest.raises(oh.HybridError, match="gasteiger"):
        oh.gaff.build(molecule, charges="gasteigr", progress=False)
    assert np.isfinite(gaff.model().predict(molecule.positions)[0])
