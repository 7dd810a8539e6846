"""Pairs of dihedrals of any molecule: their rotors, symmetries, and the atoms around them."""

from __future__ import annotations

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.studies.torsion_pair import TorsionPair, chosen_pair, density, torsion_pair


def pair_of(smiles: str, *dihedral: str, local: tuple[int, ...] = ()) -> TorsionPair:
    molecule = oh.Molecule.from_smiles(smiles)
    return chosen_pair(molecule, molecule.conformers, dihedral, local)


def test_symmetries_of_rotors() -> None:
    """Source: the point groups of the rotors."""
    ethanol = pair_of("CCO", "0-1-2-8", "3-0-1-2")
    assert (ethanol.folds, ethanol.mirrored) == ((1, 3), True)
    biphenyl = pair_of("c1ccccc1-c1ccccc1CO")
    assert 2 in biphenyl.folds
    assert pair_of("C[C@H](O)F").mirrored is False


def test_the_known_pair_of_ethanol_is_found_again() -> None:
    molecule = oh.Molecule.from_smiles("CCO")
    known = torsion_pair("ethanol")
    given = ["-".join(map(str, atoms)) for atoms in known.dihedral_atoms(molecule)]
    found = chosen_pair(molecule, molecule.conformers, given)
    assert found.dihedral_atoms(molecule) == known.dihedral_atoms(molecule)
    assert found.folds == known.folds
    assert found.labels == ("C0–C1–O2–H8", "H3–C0–C1–O2")
    # The dihedrals alone: the other hydrogens are on carbon.
    assert found.local_atoms(molecule) == [0, 1, 2, 3, 8]


def test_atoms_around_the_dihedrals_are_local() -> None:
    molecule = oh.Molecule.from_smiles("O=C[C@H](N)[C@@H](F)O")
    found = pair_of("O=C[C@H](N)[C@@H](F)O", "0-1-2-4", "3-2-4-6")
    # O=C–C–C and N–C–C–O; F is bonded to a middle atom.
    assert [molecule.elements[atom] for atom in found.local] == ["O", "C", "C", "N", "C", "F", "O"]
    assert pair_of("O=C[C@H](N)[C@@H](F)O", "0-1-2-4", "3-2-4-6", local=(0, 1)).local == (0, 1)


def test_conformations_of_a_chiral_molecule_differ_from_their_mirror_images() -> None:
    chiral, other = pair_of("C[C@H](O)F"), torsion_pair("malonaldehyde")
    angles = np.array([1.0, 0.5])
    assert not np.allclose(chiral.features(angles), chiral.features(-angles))
    np.testing.assert_allclose(other.features(angles), other.features(-angles))
    frames = np.random.default_rng(0).normal(1.0, 0.2, (50, 2))
    alone, both = density(frames, mirrored=False), density(frames)
    np.testing.assert_allclose(both.values, 0.5 * (alone.values + alone.values[::-1, ::-1]), atol=1e-12)


def test_what_is_no_pair_is_refused() -> None:
    for dihedral, message in (
        (("0-1-2-8",), "1 dihedrals to compare; expected two"),
        (("0-1-2-8", "0-1-2-9"), "atoms 0 to 8"),
        (("0-1-2-8", "0-2-1-3"), "not a chain"),
    ):
        with pytest.raises(InputError, match=message):
            pair_of("CCO", *dihedral)
    with pytest.raises(InputError, match="0 dihedrals to compare"):
        pair_of("c1ccccc1")
    for local in ((0, 9), (-1,), (1, 1)):
        with pytest.raises(InputError, match="atoms 0 to 8, each once"):
            pair_of("CCO", "0-1-2-8", "3-0-1-2", local=local)
