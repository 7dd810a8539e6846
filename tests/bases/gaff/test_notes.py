"""Doubts about GAFF's parameters are told, and only where there are some."""

from __future__ import annotations

import warnings

import pytest

import openmm_hybrid as oh
from openmm_hybrid import Molecule
from tests.helpers.gaff_molecules import DRUGS, gasteiger


def build(smiles: str, base: str) -> oh.gaff.BuiltSystem:
    molecule = Molecule.from_smiles(smiles)
    return oh.build(molecule, base=base, charges=gasteiger(molecule))


@pytest.mark.parametrize(("smiles", "atom"), [("CP(=O)(O)O", 8), ("CS(=O)(=O)O", 8), ("OP(=O)([O-])Oc1ccccc1", 11)])
def test_bare_hydrogens_of_acids_in_gaff_1(smiles: str, atom: int) -> None:
    """In simulations with GAFF 1.81 they fuse with oxygen: benchmarks/results/bases.json."""
    with pytest.warns(UserWarning, match=r"the hydrogen \d+ of an acid .* use gaff-2\.2\.20"):
        built = build(smiles, "gaff-1.81")
    assert any(f"hydrogen {atom} " in note for note in built.notes)
    assert not build(smiles, "gaff-2.2.20").notes


def test_octahedra_have_one_angle() -> None:
    """FS(F)(F)(F)(F)c1ccccc1 has angles of 90 and 180 degrees; GAFF has one for f-s6-f."""
    molecule = Molecule.from_smiles("FS(F)(F)(F)(F)c1ccccc1")
    with pytest.warns(UserWarning, match="GAFF 1.81") as caught:
        built = oh.build(molecule, base="gaff-1.81", charges=gasteiger(molecule))
    assert any("atom 1 (s6) has 6 neighbours" in note for note in built.notes)
    assert any("no angle ca-s6-f of atoms" in note for note in built.notes)
    assert {str(warning.message) for warning in caught} >= set(built.notes)


@pytest.mark.parametrize("base", ["gaff-2.2.20", "openff-2.3.0"])
@pytest.mark.parametrize("name", DRUGS)
def test_no_false_alarm(name: str, base: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not build(DRUGS[name], base).notes
