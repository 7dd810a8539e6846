"""Permutations of equivalent atoms: the symmetries of the molecular graph, or given permutations, which are checked.

A permutation p maps a geometry r to r[p]. A graph has more symmetries than a molecule can reach without breaking bonds.
We keep the symmetries that preserve the handedness of every tetrahedral centre, or invert all of them (a mirror image
has the same distances, hence the same energy), and that keep cis and trans at bonds given as rigid. Of ethanol's 12
symmetries 6 remain, of tert-butyl's 1296 162. This rule is our choice; the sGDML authors find permutations from data.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError, MismatchError

MAX_PERMUTATIONS = 200
_MAX_MATCHES = 20_000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@final
class TooManyPermutationsError(InputError):
    """A molecular graph has more symmetries than a model can use."""


def graph_permutations(
    atomic_numbers: ArrayLike,
    bonds: ArrayLike,
    positions: ArrayLike,
    *,
    rigid_bonds: ArrayLike = (),
    max_permutations: int = MAX_PERMUTATIONS,
) -> Ints:
    """The feasible automorphisms of a molecular graph, as a group with the identity first.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    bonds : (n_bonds, 2)
    positions : (n_frames, n_atoms, 3) or (n_atoms, 3), Å
        Geometries that define the handedness. A centre that inverts between the frames restricts nothing.
    rigid_bonds : (n_rigid, 2)
        Bonds without rotation, such as double bonds; cis and trans neighbours are kept.
    max_permutations : int

    Returns
    -------
    (n_perms, n_atoms)

    Raises
    ------
    TooManyPermutationsError
        More than `max_permutations`.
    """
    elements = np.asarray(atomic_numbers, dtype=np.int64)
    frames = np.asarray(positions, dtype=np.float64).reshape(-1, len(elements), 3)
    neighbours = _neighbours(len(elements), np.asarray(bonds, dtype=np.int64).reshape(-1, 2))
    perms = _automorphisms(elements, neighbours)
    rigid = np.asarray(rigid_bonds, dtype=np.int64).reshape(-1, 2)
    hands, sides = _handedness(frames, neighbours), _cis_trans(frames, neighbours, rigid)
    perms = np.array([p for p in perms if _keeps_hands(p, hands) and _keeps_sides(p, sides)])
    if len(perms) > max_permutations:
        raise _exploded(f"{len(perms)} permutations", max_permutations)
    return perms


def check_permutations(perms: ArrayLike, atomic_numbers: ArrayLike) -> Ints:
    """Check given permutations (n_perms, n_atoms), counted from 0, and return them as integers.

    Raises
    ------
    InputError
        A row is not a permutation of the atoms, is repeated, or exchanges different elements; the identity is missing;
        the permutations are not a group.
    """
    elements = np.asarray(atomic_numbers, dtype=np.int64)
    array = np.atleast_2d(np.asarray(perms))
    n_atoms = len(elements)
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != n_atoms:
        raise InputError(
            f"permutations have shape {array.shape} and type {array.dtype}", expected=f"integers (n_perms, {n_atoms})"
        )
    array = array.astype(np.int64)
    wrong = (np.sort(array, axis=1) != np.arange(n_atoms)).any(axis=1)
    if wrong.any():
        raise InputError(
            f"row {int(np.argmax(wrong))} of the permutations is not a permutation",
            expected=f"every number from 0 to {n_atoms - 1} once",
        )
    wrong = (elements[array] != elements).any(axis=1)
    if wrong.any():
        raise InputError(f"permutation {int(np.argmax(wrong))} exchanges atoms of different elements")
    known = {tuple(row) for row in array.tolist()}
    if len(known) < len(array):
        raise InputError("a permutation is given twice", hint="remove the copies")
    if tuple(range(n_atoms)) not in known:
        raise InputError("the permutations lack the identity", hint="add it")
    for first, second in product(array, array):
        if tuple(first[second].tolist()) not in known:
            raise InputError(
                "the permutations are not a group: the product of two of them is missing",
                hint="add all products of them",
            )
    return array


def restrict_permutations(perms: ArrayLike, atoms: ArrayLike) -> Ints:
    """Restrict a group of permutations to some of the atoms.

    The result has the permutations that map the chosen atoms onto themselves, each once, in the numbering of the chosen
    atoms: a group again (the image of a subgroup). A permutation that maps a chosen atom to another atom is dropped.

    Parameters
    ----------
    perms : (n_perms, n_atoms)
        A group.
    atoms : (n_chosen,)
        Atoms counted from 0, each once, in the order of their new numbers.

    Returns
    -------
    (n, n_chosen)
        The group, the identity first.

    Raises
    ------
    InputError
        `atoms` is empty, repeats an atom, or has an atom that does not exist.
    """
    group, chosen = np.atleast_2d(np.asarray(perms, dtype=np.int64)), np.asarray(atoms)
    n_atoms = group.shape[1]
    if chosen.ndim != 1 or not chosen.size or chosen.dtype.kind not in "iu":
        raise InputError("atoms are not a list of atom numbers", expected="integers, one or more")
    if chosen.min() < 0 or chosen.max() >= n_atoms:
        wrong = chosen[(chosen < 0) | (chosen >= n_atoms)][0]
        raise InputError(f"atom {wrong} does not exist", expected=f"atoms 0 to {n_atoms - 1}")
    if len(np.unique(chosen)) < len(chosen):
        raise InputError("an atom is chosen twice", hint="give each atom once")
    new_number = np.full(n_atoms, -1)
    new_number[chosen] = np.arange(len(chosen))
    images = new_number[group[:, chosen]]
    # Sorted rows: the identity comes first.
    return np.unique(images[(images >= 0).all(axis=1)], axis=0).astype(np.int64)


def keep_bonds(perms: Ints, bonds: Ints) -> NDArray[np.bool_]:
    """Whether each permutation (n_perms, n_atoms) is an automorphism of the bonds (n_bonds, 2): (n_perms,)."""
    adjacent = np.zeros((perms.shape[1], perms.shape[1]), dtype=bool)
    for atom, others in enumerate(_neighbours(len(adjacent), bonds)):
        adjacent[atom, others] = True
    return (adjacent[perms[:, :, None], perms[:, None]] == adjacent).all(axis=(1, 2))


def keep_handedness(perms: Ints, bonds: Ints, positions: Floats) -> NDArray[np.bool_]:
    """Whether each permutation keeps the handedness of all tetrahedral centres, or inverts all: (n_perms,).

    The handedness is that of `positions` (n_frames, n_atoms, 3); a centre that inverts between them is ignored.
    """
    hands = _handedness(positions, _neighbours(perms.shape[1], bonds))
    return np.array([_keeps_hands(perm, hands) for perm in perms], dtype=bool)


def _neighbours(n_atoms: int, bonds: Ints) -> list[list[int]]:
    if bonds.size and (bonds.min() < 0 or bonds.max() >= n_atoms):
        raise MismatchError(f"a bond has the atom {int(bonds.max())}", expected=f"atoms 0 to {n_atoms - 1}")
    neighbours: list[list[int]] = [[] for _ in range(n_atoms)]
    for i, j in bonds.tolist():
        neighbours[i].append(j)
        neighbours[j].append(i)
    return [sorted(set(atoms)) for atoms in neighbours]


def _automorphisms(atomic_numbers: Ints, neighbours: list[list[int]]) -> Iterable[Ints]:
    """All permutations that keep elements and bonds, by RDKit's substructure search of the graph in itself."""
    from rdkit import Chem

    graph = Chem.RWMol()
    for number in atomic_numbers.tolist():
        graph.AddAtom(Chem.Atom(number))
    for i, others in enumerate(neighbours):
        for j in others:
            if i < j:
                graph.AddBond(i, j, Chem.BondType.SINGLE)
    matches = graph.GetSubstructMatches(graph, uniquify=False, maxMatches=_MAX_MATCHES)
    if len(matches) >= _MAX_MATCHES:
        raise _exploded(f"{_MAX_MATCHES} symmetries or more", _MAX_MATCHES)
    return [np.array(match, dtype=np.int64) for match in sorted(matches)]


def _handedness(frames: Floats, neighbours: list[list[int]]) -> dict[int, tuple[list[int], float]]:
    """Centre → its four neighbours and the sign of their handedness in the first frame.

    Only the largest set of centres with a constant relative handedness is included.
    """
    centres = [atom for atom, others in enumerate(neighbours) if len(others) == 4]
    if not centres:
        return {}
    corners = frames[:, np.array([neighbours[atom] for atom in centres])]
    signs = np.sign(np.linalg.det(corners[:, :, 1:] - corners[:, :, :1]))
    tied = np.abs(signs.T @ signs) == len(frames)
    kept = tied[np.argmax(tied.sum(axis=1))]
    return {atom: (neighbours[atom], signs[0, k]) for k, atom in enumerate(centres) if kept[k]}


def _keeps_hands(perm: Ints, hands: dict[int, tuple[list[int], float]]) -> bool:
    """Whether a permutation keeps the handedness of all centres, or inverts all of them."""
    changes = set()
    for centre, (atoms, sign) in hands.items():
        image = int(perm[centre])
        if image not in hands:
            return False
        changes.add(sign * hands[image][1] * _parity(perm[atoms]))
    return len(changes) <= 1


def _parity(values: Ints) -> float:
    """Parity, +1 or −1, of the permutation that sorts the values."""
    inversions = sum(int(a > b) for k, a in enumerate(values) for b in values[k + 1 :])
    return -1.0 if inversions % 2 else 1.0


def _cis_trans(frames: Floats, neighbours: list[list[int]], rigid: Ints) -> dict[tuple[int, ...], bool]:
    """(a, i, j, b) → whether a and b are cis at the rigid bond i–j in the first frame; bonds in both directions."""
    sides: dict[tuple[int, ...], bool] = {}
    r = frames[0]
    for i, j in [*rigid.tolist(), *rigid[:, ::-1].tolist()]:
        axis = r[j] - r[i]
        for a, b in product([a for a in neighbours[i] if a != j], [b for b in neighbours[j] if b != i]):
            sides[a, i, j, b] = bool(np.cross(r[a] - r[i], axis) @ np.cross(r[b] - r[j], axis) > 0.0)
    return sides


def _keeps_sides(perm: Ints, sides: dict[tuple[int, ...], bool]) -> bool:
    return all(sides.get(tuple(int(perm[k]) for k in atoms)) == side for atoms, side in sides.items())


def _exploded(found: str, limit: int) -> TooManyPermutationsError:
    return TooManyPermutationsError(
        f"the molecular graph has {found}",
        expected=f"at most {limit}",
        hint='use perms="data" for the permutations that the frames show, give the important ones as perms=, an array '
        "(n_perms, n_atoms), or use perms=None for none",
    )
