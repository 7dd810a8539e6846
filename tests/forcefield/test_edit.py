"""Editing keeps the energies, shares parameters as symmetry asks, and refuses what it cannot do."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forcefield.paths import PATHS, angles, chains, pentads, stars
from openmm_hybrid.forms.cross import GROUPS, Cross
from openmm_hybrid.forms.fourier import Fourier
from tests.helpers.forcefield_molecules import built, shaken


@pytest.fixture(scope="module")
def ethanol() -> ForceField:
    system = built("ethanol")
    return ForceField.from_system(system.system, system.topology, name="ethanol")


@pytest.mark.parametrize(
    "forms",
    [
        {"propers": "fourier6"},
        {"bonds": "spline", "angles": "spline16", "propers": "spline"},
        {"bonds": "neural", "angles": "neural", "propers": "neural8", "impropers": "neural"},
        {"cross": tuple(GROUPS)},
        {"bonds": "harmonic", "cross": True},
    ],
    ids=str,
)
def test_added_forms_start_at_the_same_energies(ethanol: ForceField, forms: dict) -> None:
    positions = shaken(built("ethanol"))
    energies, forces = ethanol.predict(positions)
    edited = ethanol.edit(**forms)
    assert len(edited.parameters) > len(ethanol.parameters)
    np.testing.assert_allclose(edited.predict(positions)[0], energies, rtol=1e-12)
    np.testing.assert_allclose(edited.predict(positions)[1], forces, rtol=1e-9, atol=1e-9)


def test_morse_has_the_minimum_and_curvature_of_the_harmonic_bond(ethanol: ForceField) -> None:
    # k = 2 D a² (Morse 1929); compared by second differences at r0.
    edited = ethanol.edit(bonds="morse")
    assert "bonds" not in edited.groups
    harmonic, morse = ethanol.group("bonds"), edited.group("bonds.morse")
    for terms, places in zip(harmonic.atoms.tolist(), morse.atoms.tolist(), strict=True):
        assert terms == places
    k, r0 = ethanol.parameters.values[harmonic.assignment].T
    depth, a, minimum = edited.parameters.values[morse.assignment].T
    np.testing.assert_allclose(minimum, r0)
    np.testing.assert_allclose(2 * depth * a**2, k)


def test_cross_terms_come_with_morse_bonds_unless_bonds_are_named(ethanol: ForceField) -> None:
    positions = shaken(built("ethanol"))
    usual, morse = ethanol.edit(cross=True), ethanol.edit(bonds="morse")
    assert "bonds.morse" in usual.groups
    np.testing.assert_allclose(usual.predict(positions)[0], morse.predict(positions)[0], rtol=1e-12)
    assert "bonds" in ethanol.edit(bonds="harmonic", cross=True).groups
    assert "bonds" in ethanol.edit(cross=["angle"]).groups
    assert "bonds.spline" in ethanol.edit(bonds="spline").edit(cross=True).groups


def test_harmonic_bonds_come_back(ethanol: ForceField) -> None:
    back = ethanol.edit(bonds="morse").edit(bonds="harmonic")
    old, new = ethanol.group("bonds"), back.group("bonds")
    np.testing.assert_array_equal(new.atoms, old.atoms)
    np.testing.assert_allclose(back.tables.values(new), ethanol.tables.values(old), rtol=1e-12)
    assert "bonds.morse" not in back.groups


def test_by_default_the_present_forms_stay(ethanol: ForceField) -> None:
    """The name of the present form without a size changes nothing either."""
    edited = ethanol.edit(bonds="morse", propers="fourier6")
    for same in (edited.edit(), edited.edit(bonds="morse", angles="harmonic", propers="fourier")):
        assert same.groups == edited.groups
        assert same.parameters.names == edited.parameters.names


@pytest.mark.parametrize("kind", GROUPS)
def test_paths_of_cross_terms_have_the_atoms_of_their_form(ethanol: ForceField, kind: str) -> None:
    assert {len(atoms) for atoms in PATHS[GROUPS[kind].path](ethanol.bonds)} == {Cross(kind).n_atoms}


def test_longer_series_keep_what_was_there(ethanol: ForceField) -> None:
    old, new = ethanol.group("propers"), ethanol.edit(propers="fourier6").group("propers")
    assert new.form.name == "fourier6"
    assert len(new) >= len(old)
    with pytest.raises(InputError, match="shorter"):
        ethanol.edit(propers="fourier6").edit(propers="fourier4")


def test_a_series_with_sines_becomes_longer(ethanol: ForceField) -> None:
    """Sage and Parsley have torsions with phases other than 0 and π."""
    old = ethanol.group("propers")
    builder = Builder.of(ethanol.tables, without=["propers"])
    rows = Fourier(3, sine=True).converted(old.form, torch.tensor(ethanol.tables.values(old)))
    rows[:, -1] = torch.arange(1.0, len(rows) + 1)
    rows = dict(zip(map(tuple, old.atoms.tolist()), rows.tolist(), strict=True))
    builder.add("propers", Fourier(3, sine=True), rows)
    chiral = ForceField(builder.finish())
    longer = chiral.edit(propers="fourier4")
    assert longer.group("propers").form.name == "fourier4s"
    positions = shaken(built("ethanol"))
    np.testing.assert_allclose(longer.predict(positions)[0], chiral.predict(positions)[0], rtol=1e-12)
    assert chiral.edit(propers="fourier3").group("propers").form.name == "fourier3s"
    with pytest.raises(InputError, match="fourier2s is shorter than the present series, fourier3s"):
        chiral.edit(propers="fourier2")


def test_editing_twice_adds_up(ethanol: ForceField) -> None:
    twice = ethanol.edit(bonds="morse").edit(cross=["angle"], propers="fourier6")
    assert {"bonds.morse", "cross.angle"} <= set(twice.groups)


def test_what_is_there_already_is_told(ethanol: ForceField) -> None:
    crossed = ethanol.edit(cross=["angle"])
    for kinds in (["angle"], ["torsion", "angle"], True):
        with pytest.raises(InputError, match=r"has cross terms of the kind 'angle' already; .*angle-angle, "):
            crossed.edit(cross=kinds)
    with pytest.raises(InputError, match=r"has terms bonds.neural already, of the form neural4; .*leave bonds"):
        ethanol.edit(bonds="neural4").edit(bonds="neural6")


def test_networks_of_one_type_start_alike_and_of_other_seeds_differ(ethanol: ForceField) -> None:
    first, second = (ethanol.edit(bonds="neural", seed=seed).parameters for seed in (0, 1))
    weights = [k for k, name in enumerate(first.names) if "neural" in name and "/W1" in name]
    assert not np.allclose(first.values[weights], second.values[weights])
    group = ethanol.edit(bonds="neural").group("bonds.neural")
    hydrogens = [k for k, (i, j) in enumerate(group.atoms.tolist()) if {i, j} & {3, 4} and not {i, j} & {8}]
    assert len({tuple(row) for row in group.assignment[hydrogens].tolist()}) == 1


@pytest.mark.parametrize("kind", [kind for kind, group in GROUPS.items() if not group.straight])
def test_cross_terms_have_the_symmetry_of_the_molecule(ethanol: ForceField, kind: str) -> None:
    # Exchanging hydrogens that the graph does not tell apart is no change, whatever the parameters are.
    edited = ethanol.edit(cross=[kind])
    values = edited.parameters.values.copy()
    free = [k for k, name in enumerate(edited.parameters.names) if "/k_" in name]
    values[free] = np.random.default_rng(3).normal(scale=5.0, size=len(free))
    edited = edited.with_values(values)
    positions = shaken(built("ethanol"))
    energies = edited.predict(positions)[0]
    assert np.abs(energies - ethanol.predict(positions)[0]).max() > 0.1
    (molecule,) = built("ethanol").molecules
    classes = molecule.symmetry_classes
    for kind_of_atom in set(classes.tolist()):
        same = np.flatnonzero(classes == kind_of_atom)
        if len({tuple(molecule.bonds[(molecule.bonds == atom).any(1)].ravel()) for atom in same}) < 2:
            continue
        for order in permutations(same):
            moved = np.arange(molecule.n_atoms)
            moved[same] = order
            np.testing.assert_allclose(edited.predict(positions[:, moved])[0], energies, rtol=1e-10)


def test_a_chain_read_backwards_shares_its_parameters() -> None:
    # H-C-C-H of ethane-like chains: the bend at either end has one coefficient.
    system = built("ethanol")
    types = [{1: "h", 6: "c", 8: "o"}[int(number)] for number in system.molecules[0].atomic_numbers]
    edited = ForceField.from_system(system.system, system.topology, types=types).edit(cross=["torsion"])
    terms = edited.group("cross.torsion")
    names = [column.name for column in terms.form.columns]
    row = next(
        places
        for atoms, places in zip(terms.atoms.tolist(), terms.assignment.tolist(), strict=True)
        if [types[atom] for atom in atoms] == ["h", "c", "c", "h"]
    )
    assert row[names.index("k_cos1_r13")] == row[names.index("k_cos1_r24")]
    assert row[names.index("k_cos1_r12")] == row[names.index("k_cos1_r34")]
    assert row[names.index("k_cos2_r12")] != row[names.index("k_cos2_r23")]
    assert row[names.index("lower_r12")] == row[names.index("lower_r34")]


@pytest.mark.parametrize(
    ("forms", "message"),
    [
        ({"bonds": "cubic"}, "unknown form 'cubic' for bonds"),
        ({"bonds": "morse6"}, "unknown form 'morse6'"),
        ({"angles": "morse"}, "for angles"),
        ({"propers": 6}, "unknown form 6"),
        ({"propers": "fourier40"}, "order 40"),
        ({"cross": ["ring"]}, "unknown kind of cross terms 'ring'"),
    ],
)
def test_refuses_what_it_does_not_know(ethanol: ForceField, forms: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ethanol.edit(**forms)


def test_names_the_bond_that_has_no_classical_term(ethanol: ForceField) -> None:
    with pytest.raises(MismatchError, match="distance of atoms 0-1 has no classical term"):
        ethanol.only("angles", "propers").edit(cross=["angle"])


def test_paths_of_propane_counted_by_hand() -> None:
    # C3H8: 10 bonds, 18 angles, 18 H-C-C-C and H-C-C-H chains, 12 stars, and 9 chains of five atoms.
    bonds = np.array([[0, 1], [1, 2], *[[0, k] for k in (3, 4, 5)], [1, 6], [1, 7], *[[2, k] for k in (8, 9, 10)]])
    assert len(angles(bonds)) == 18
    assert len(chains(bonds)) == 18
    assert len(stars(bonds)) == 12
    assert len(pentads(bonds)) == 9
    assert all(tuple(reversed(chain)) not in chains(bonds) for chain in chains(bonds))
