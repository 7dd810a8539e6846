"""Typing through openmmforcefields' GAFFTemplateGenerator, with and without openff-toolkit."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from openmm_hybrid import Molecule, gaff
from openmm_hybrid.core.errors import MissingDependencyError
from tests.helpers.gaff_molecules import gasteiger


@pytest.mark.skipif(find_spec("openff") is not None, reason="openff-toolkit is installed")
def test_without_openff_toolkit() -> None:
    ethanol = Molecule.from_smiles("CCO")
    with pytest.raises(MissingDependencyError, match=r"needs openff-toolkit.*conda env create -f environment\.yml"):
        gaff.build(ethanol, typing="openff", charges=gasteiger(ethanol))


def test_with_openff_toolkit() -> None:
    """A peer: both ask antechamber in the end."""
    pytest.importorskip("openff.toolkit", reason="openff-toolkit is on conda-forge only")
    aspirin = Molecule.from_smiles("CC(=O)Oc1ccccc1C(=O)O")
    found = gaff.build(aspirin, typing="openff", charges=gasteiger(aspirin))
    assert found.atom_types == gaff.build(aspirin, charges=gasteiger(aspirin)).atom_types
