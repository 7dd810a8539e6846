"""Inner pairs start at the energies of the atoms' parameters, keep their repulsion, and leave the atoms alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.inner_pairs import GROUP, pairs_by_bonds
from tests.helpers.forcefield_molecules import SMILES, built, read, shaken


@pytest.mark.parametrize("name", SMILES)
def test_they_start_at_the_same_energies(name: str) -> None:
    model, positions = read(name), shaken(built(name))
    inner = model.edit(pairs="inner")
    energies, forces = inner.predict(positions)
    expected, expected_forces = model.predict(positions)
    np.testing.assert_allclose(energies, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(forces, expected_forces, rtol=1e-10, atol=1e-9)
    assert inner.groups == (*(group for group in model.groups if group not in ("coulomb", "lj.pairs")), GROUP)
    assert inner.edit(pairs="inner").parameters.names == inner.parameters.names


def test_the_parameters_of_the_atoms_become_the_outer_ones() -> None:
    """Also those of an atom without a pair three bonds apart, the carbon of methanol."""
    model = read("methanol")
    outer = model.edit(pairs="inner").outer
    assert outer is not None
    for name, values in (("charge", outer.charges), ("sigma", outer.sigmas), ("epsilon", outer.epsilons)):
        found = model.tables.atom_parameter(name)
        assert found is not None
        np.testing.assert_array_equal(values, found.values)
    assert model.outer is None
    inner = model.edit(pairs="inner")
    assert inner.only("bonds").outer is None
    assert inner.only("bonds", GROUP).outer is not None


def test_all_pairs_three_bonds_apart_and_more_have_a_term() -> None:
    model = read("aspirin").edit(pairs="inner")
    excluded, near = pairs_by_bonds(model.bonds)
    pairs = set(map(tuple, model.group(GROUP).atoms.tolist()))
    assert len(pairs) == 21 * 20 // 2 - len(excluded)
    assert near < pairs
    assert not pairs & excluded


def test_equivalent_pairs_share_and_near_pairs_do_not_share_with_far_ones() -> None:
    model = read("ethanol").edit(pairs="inner")  # C0 C1 O2, H3-H5 on C0, H6 and H7 on C1, H8 on O2
    terms = model.group(GROUP)
    row = {
        tuple(sorted(pair)): index for pair, index in zip(terms.atoms.tolist(), terms.assignment.tolist(), strict=True)
    }
    assert row[3, 6] == row[3, 7] == row[5, 6]
    assert row[3, 8] == row[4, 8] != row[6, 8]
    names = model.parameters.names
    product, far = names[row[6, 8][1]], names[row[3, 8][1]]
    assert product.startswith("pairs.inner/ethanol.1-4:")
    assert far.startswith("pairs.inner/ethanol.H")
    assert names[row[3, 6][2]] == "pairs.inner/1-4:h1-hc/repulsion"


def test_repulsion_is_never_lost() -> None:
    """At the bounds of a fit the repulsion of each pair with a well exceeds its attraction below 0.62 ρ = 0.62 σ, and a
    pair without a well has both or neither. Hydroxyl hydrogens have no well in GAFF."""
    model = read("ethanol").edit(pairs="inner")
    terms, parameters = model.group(GROUP), model.parameters
    _, _, repulsion, dispersion = terms.assignment.T
    for atoms, a, b in zip(terms.atoms.tolist(), repulsion.tolist(), dispersion.tolist(), strict=True):
        assert (a == b) == (8 in atoms)
        if a != b:
            assert 0 < parameters.lower[a] < parameters.values[a] < parameters.upper[a]
            assert 0 < parameters.lower[b] < parameters.values[b] < parameters.upper[b]
            assert parameters.lower[a] / parameters.upper[b] > 0.62**6
        else:
            assert parameters.values[a] == parameters.lower[a] == 0.0
    form, rows = terms.form, model.tables.values(terms)
    rows[:, 2:] = np.where(repulsion == dispersion, 0.3, [parameters.lower[repulsion], parameters.upper[dispersion]]).T
    r = torch.tensor(0.5 * rows[:, 0])[None, :, None]
    rows[:, 1] = 0.0
    assert bool((form(r, torch.tensor(rows))[0] > 0.0).all())


def test_a_file_keeps_the_outer_parameters(tmp_path: Path) -> None:
    model = read("ethanol").edit(pairs="inner", cross=["angle"])
    model.save(tmp_path / "ethanol.npz")
    outer, expected = ForceField.load(tmp_path / "ethanol.npz").outer, model.outer
    assert outer is not None
    assert expected is not None
    for name in ("charges", "sigmas", "epsilons"):
        np.testing.assert_array_equal(getattr(outer, name), getattr(expected, name))


def test_cross_terms_bring_them_unless_refused() -> None:
    model = read("ethanol")
    assert GROUP in model.edit(cross=True).groups
    assert GROUP not in model.edit(cross=True, pairs="atoms").groups
    assert GROUP not in model.edit(cross=["angle"]).groups
    assert GROUP not in model.only("bonds", "angles").edit(cross=True).groups
    assert model.edit(cross=True, pairs="atoms").edit(pairs="inner").outer is not None


def test_refusals(tmp_path: Path) -> None:
    model = read("ethanol")
    with pytest.raises(InputError, match="unknown form 'inside' for pairs; expected 'atoms' or 'inner'"):
        model.edit(pairs="inside")
    with pytest.raises(MismatchError, match=r"parameters of their own.*ForceField\.from_system"):
        model.edit(pairs="inner").edit(pairs="atoms")
    with pytest.raises(MismatchError, match="'ethanol' has no charges"):
        model.only("bonds", "lj.pairs").edit(pairs="inner")
    for write in (model.edit(pairs="inner").to_ffxml, model.edit(pairs="inner").to_frcmod):
        with pytest.raises(MismatchError, match=r"'pairs\.inner' are pairs with .*oh\.replace.*save\(\)"):
            write(tmp_path / "file")
