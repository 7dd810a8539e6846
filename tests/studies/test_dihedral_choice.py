"""The two dihedrals of a surface and their symmetries, for molecules whose rotors a chemist would name."""

from __future__ import annotations

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core import geometry
from openmm_hybrid.models.dihedral_scan import grid
from openmm_hybrid.models.held_dihedrals import HeldDihedral
from openmm_hybrid.studies.dihedral_choice import (
    dihedral_name,
    read_dihedral,
    symmetries,
    two_dihedrals,
    with_turned_copies,
)


@pytest.mark.parametrize(
    ("smiles", "bonds"),
    [
        ("C(C)O", ({0, 2}, {0, 1})),  # ethanol: C–O before the methyl group
        ("O=CCC=O", ({1, 2}, {2, 3})),  # keto-malonaldehyde: two equivalent rotors
        ("CC(=O)Oc1ccccc1C(=O)O", ({4, 3}, {9, 10})),  # aspirin: the ester and the acid at the ring
        ("CC(=O)Nc1ccc(O)cc1", ({3, 4}, {8, 7})),  # paracetamol: the amide comes after the hydroxyl group
        ("CNC(C)=O", ({1, 2}, {0, 1})),  # N-methylacetamide: the amide before its methyl groups
        ("CC#CCO", ({3, 4}, set())),  # no dihedral along the triple bond
    ],
)
def test_rotors_are_chosen(smiles: str, bonds: tuple[set[int], set[int]] | None) -> None:
    molecule = oh.Molecule.from_smiles(smiles)
    if smiles == "CC#CCO":
        with pytest.raises(oh.HybridError, match="bonds that can turn"):
            two_dihedrals(molecule, molecule.conformers)
        return
    chosen = two_dihedrals(molecule, molecule.conformers)
    middles = [set(dihedral.atoms[1:3]) for dihedral in chosen]
    if bonds is None:
        rotors = [{1, 3}, {3, 4}, {9, 10}, {10, 12}]
        assert all(middle in rotors[:3] for middle in middles)
    else:
        assert middles[0] == bonds[0]
        assert middles[1] == bonds[1] or smiles == "CNC(C)=O"


def test_text_and_names() -> None:
    molecule = oh.Molecule.from_smiles("C(C)O")
    assert read_dihedral("1-0-2-8") == (1, 0, 2, 8)
    assert dihedral_name(molecule, (1, 0, 2, 8)) == "C1–C0–O2–H8"
    given = two_dihedrals(molecule, molecule.conformers, ("8-2-0-1", "5-1-0-2"))
    assert [dihedral.atoms for dihedral in given] == [(8, 2, 0, 1), (5, 1, 0, 2)]


@pytest.mark.parametrize(
    ("smiles", "dihedrals", "expected"),
    [
        ("C(C)O", ((1, 0, 2, 8), (5, 1, 0, 2)), {(True, False)}),  # the mirror plane
        ("C(C)O", ((1, 0, 2, 8), (3, 0, 1, 5)), set()),  # a prochiral hydrogen: its mirror image is the other one
        ("O=CCC=O", ((0, 1, 2, 3), (1, 2, 3, 4)), {(True, False), (False, True), (True, True)}),
        ("C[C@H](F)CO", ((2, 1, 3, 4), (1, 3, 4, 11)), set()),  # chiral
        ("CC(C)(C)C(C)(C)C(C)(C)C", ((0, 1, 4, 7), (1, 4, 7, 8)), set()),  # more permutations than can be listed
    ],
)
def test_symmetries(smiles: str, dihedrals: tuple[tuple[int, ...], ...], expected: set[tuple[bool, bool]]) -> None:
    molecule = oh.Molecule.from_smiles(smiles)
    held = [HeldDihedral.of(atoms, molecule.bonds) for atoms in dihedrals]
    images = symmetries(molecule, molecule.conformers, held)
    assert {(image.mirrored, image.swapped) for image in images} == expected
    values = geometry.dihedral(molecule.conformers, dihedrals)[0]
    angles = grid(12)
    nearest = int(np.argmin(np.abs(np.angle(np.exp(1j * (angles - values)))).max(axis=1)))
    for image in images:
        found = geometry.dihedral(image.geometries(molecule.conformers), dihedrals)[0]
        off = np.abs(np.angle(np.exp(1j * (angles[image.points(12)[nearest]] - found)))).max()
        assert off == pytest.approx(np.abs(np.angle(np.exp(1j * (angles[nearest] - values)))).max(), abs=1e-9)


def test_turned_copies_keep_bonds_and_angles_and_do_not_overlap() -> None:
    molecule = oh.Molecule.from_smiles("CC(O)CO", n_conformers=10)
    found = with_turned_copies(molecule, molecule.conformers, np.random.default_rng(0))
    np.testing.assert_array_equal(found[:10], molecule.conformers)
    assert len(found) == 20
    np.testing.assert_allclose(
        geometry.distance(found[10:], molecule.bonds), geometry.distance(molecule.conformers, molecule.bonds), atol=1e-9
    )
    chains = [(4, 3, 1, 2), (1, 3, 4, 12), (0, 1, 2, 9)]
    spread = np.abs(np.exp(1j * (geometry.dihedral(found[10:], chains))).mean(axis=0))
    assert (spread < 0.75).all()
    rigid = oh.Molecule.from_smiles("c1ccccc1C")
    assert len(with_turned_copies(rigid, rigid.conformers, np.random.default_rng(0))) == 1
