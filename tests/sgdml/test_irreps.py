"""The irreducible representations of permutation groups, against their defining equations and known decompositions."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from openmm_hybrid.sgdml.descriptor import pair_permutations
from openmm_hybrid.sgdml.irreps import irreps
from openmm_hybrid.sgdml.module import KernelModule

_UNITS = ["1", "i", "j", "k", "-1", "-i", "-j", "-k"]
_TIMES = {"ij": "k", "jk": "i", "ki": "j", "ji": "-k", "kj": "-i", "ik": "-j"}


def _quaternion(a: str, b: str) -> str:
    first, second = a.lstrip("-"), b.lstrip("-")
    both = second if first == "1" else first if second == "1" else "-1" if first == second else _TIMES[first + second]
    negative = (a + b + both).count("-") % 2
    return "-" * negative + both.lstrip("-")


def _group(name: str) -> NDArray[np.int64]:
    """Groups of atoms: symmetric, cyclic, a product of two rotors with two fixed atoms, quaternions on themselves."""
    if name == "none":
        return np.arange(4)[None]
    if name in ("S3", "S4"):
        return np.array([[*p, int(name[1])] for p in permutations(range(int(name[1])))])
    if name == "C3":
        return np.array([[*np.roll([0, 1, 2], k), 3, 4] for k in range(3)])
    if name == "S3×C3":
        return np.array(
            [[*p, *np.roll([3, 4, 5], k), 6, 7] for p, k in product(permutations(range(3)), range(3))], dtype=np.int64
        )
    return np.array([[_UNITS.index(_quaternion(g, h)) for h in _UNITS] for g in _UNITS])


GROUPS = ["none", "S3", "S4", "C3", "S3×C3", "Q8"]


@pytest.mark.parametrize("name", GROUPS)
def test_basis_is_orthonormal_and_turns_permutations_into_blocks(name: str) -> None:
    moves = pair_permutations(_group(name))
    found = irreps(moves)
    turn = np.hstack([part.basis.reshape(moves.shape[1], -1) for part in found])
    np.testing.assert_allclose(turn.T @ turn, np.eye(moves.shape[1]), atol=1e-13)
    x = np.random.default_rng(0).normal(size=moves.shape[1])
    for part in found:
        components = np.einsum("p,pki->ki", x, part.basis)
        for move, matrix in zip(moves, part.matrices, strict=True):
            np.testing.assert_allclose(np.einsum("p,pki->ki", x[move], part.basis), matrix @ components, atol=1e-13)


def test_known_decompositions() -> None:
    """S3 on three hydrogens and a carbon: twice A1 + E. S4 on methane: A1 + T2 (C–H), A1 + E + T2 (H–H)."""
    sizes = {
        name: sorted((p.matrices.shape[1], p.basis.shape[2]) for p in irreps(pair_permutations(_group(name))))
        for name in ("S3", "S4")
    }
    assert sizes["S3"] == [(1, 2), (2, 2)]
    assert sizes["S4"] == [(1, 2), (2, 1), (3, 2)]


def test_only_what_nothing_changes_is_trivial() -> None:
    """C3 turns two of three dimensions of each of its orbits: a real representation of complex type."""
    found = irreps(pair_permutations(_group("C3")))
    assert [part.is_trivial for part in found] == [True] + [False] * (len(found) - 1)
    assert found[0].basis.shape[2] == 4  # C–X, X–H, H–H and C–H orbits


@pytest.mark.parametrize("with_energies", [False, True])
@pytest.mark.parametrize("name", GROUPS)
def test_module_equals_the_one_of_all_permuted_points(name: str, with_energies: bool) -> None:
    """Σ over permutations of the query against a module without symmetry and with all images as training points."""
    perms = _group(name)
    random = np.random.default_rng(1)
    n_atoms = perms.shape[1]
    moves = pair_permutations(perms)
    x = random.uniform(0.3, 1.0, (5, moves.shape[1]))
    weights = random.normal(size=x.shape)
    energy_weights = random.normal(size=len(x)) if with_energies else None
    positions = torch.tensor(3.0 * random.normal(size=(3, n_atoms, 3)))
    images = x[:, moves].reshape(-1, x.shape[1]), weights[:, moves].reshape(-1, x.shape[1])
    image_weights = None if energy_weights is None else np.repeat(energy_weights, len(perms))
    expected = KernelModule(*images, np.arange(n_atoms)[None], 2.0, 7.0, image_weights)(positions)
    module = KernelModule(x, weights, perms, 2.0, 7.0, energy_weights)
    for energy_and_forces in (module, torch.jit.script(module)):
        for found, value in zip(energy_and_forces(positions), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-11 * float(value.abs().max()))
