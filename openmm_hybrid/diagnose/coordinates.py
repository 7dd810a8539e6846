"""Internal coordinates of a molecule, and projections of forces onto rotations about bonds and onto chosen atoms.

Most of a force field's residual comes from stiff bonds and angles; the part that drives conformational change is small.
We therefore project forces onto motions that leave bond lengths and angles unchanged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid.core import geometry
from openmm_hybrid.forcefield.paths import angles, chains, neighbours, stars
from openmm_hybrid.forms.internal import InternalCoordinates

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_STIFF = {"bond": 600.0, "angle": 120.0, "planar": 30.0, "torsion": 1.0, "pair": 0.1}
"""Force constants of the elastic network, kcal/mol/Å² and kcal/mol/rad², about as large as in force fields."""
_FREE = 1e-9  # stiffness of a free motion, which is rounding, relative to the stiffest one
_BATCH = 64  # number of frames in a batch
_STRAIGHT = np.radians(160.0)  # least mean of a straight angle over frames, which bend it to one side or another

Straight = Collection[tuple[int, ...]]


def sampled_straight_angles(positions: Floats, bonds: Ints) -> frozenset[tuple[int, ...]]:
    """Angles i-j-k, i < k, whose mean over the frames is 160° or more; our choice. No dihedral goes through them.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3), Å
    bonds : (n_bonds, 2)
    """
    found = angles(bonds)
    if not found:
        return frozenset()
    means = geometry.angle(positions, found).mean(axis=0)
    return frozenset(atoms for atoms, mean in zip(found, means, strict=True) if mean >= _STRAIGHT)


def bent_chains(bonds: Ints, straight: Straight) -> list[tuple[int, ...]]:
    """The chains of three bonds without a straight angle (i, j, k), i < k: those that have a dihedral."""
    return [
        atoms
        for atoms in chains(bonds)
        if not any(min(part, part[::-1]) in straight for part in (atoms[:3], atoms[1:]))
    ]


def candidates(
    atomic_numbers: Ints, bonds: Ints, hydrogens: bool, straight: Straight = ()
) -> list[tuple[str, tuple[int, ...]]]:
    """Kinds and atoms of internal coordinates: every pair three bonds apart or more, every angle and every torsion.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    bonds : (n_bonds, 2)
    hydrogens : bool
        Whether to include pairs with hydrogens. Torsions and angles with hydrogens are always included.
    straight : collection of (i, j, k)
        Straight angles, i < k, without torsions.

    Returns
    -------
    list of ("distance" | "angle" | "dihedral", atoms)
    """
    near = neighbours(bonds)
    pairs = [
        (i, j)
        for i, j in combinations(range(len(atomic_numbers)), 2)
        if _bonds_between(near, i, j) >= 3 and (hydrogens or 1 not in (atomic_numbers[i], atomic_numbers[j]))
    ]
    found: list[tuple[str, tuple[int, ...]]] = [("distance", pair) for pair in pairs]
    found += [("angle", atoms) for atoms in angles(bonds)]
    return found + [("dihedral", atoms) for atoms in bent_chains(bonds, straight)]


def _bonds_between(near: dict[int, list[int]], start: int, end: int) -> float:
    """Number of bonds on the shortest path from one atom to another."""
    seen, ahead = {start}, deque([(start, 0)])
    while ahead:
        atom, steps = ahead.popleft()
        if atom == end:
            return steps
        new = [other for other in near.get(atom, []) if other not in seen]
        seen |= set(new)
        ahead.extend((other, steps + 1) for other in new)
    return float("inf")


def rotatable_bonds(bonds: Ints, straight: Straight = ()) -> list[tuple[int, int, tuple[int, ...]]]:
    """Bonds i-j outside rings with other atoms at both ends, and the atoms on j's side without j itself.

    Bonds that straight angles join are one axis: it has one rotation, or none if it ends in an atom without others.

    Parameters
    ----------
    bonds : (n_bonds, 2)
    straight : collection of (i, j, k)
        Straight angles, i < k.

    Returns
    -------
    list of (i, j, atoms)
        `atoms` are on the side with fewer atoms.
    """
    near = neighbours(bonds)
    found = []
    for i, j in bonds.tolist():
        sides = (_side(near, i, j), _side(near, j, i))
        if j in sides[0] or min(map(len, sides)) < 2:  # in a ring, or an atom's only bond
            continue
        ends = _axis_end(near, j, i, straight), _axis_end(near, i, j, straight)
        if min(ends) not in (i, j) or any(len(near[end]) < 2 for end in ends):
            continue
        first, last, moved = (i, j, sides[1]) if len(sides[1]) <= len(sides[0]) else (j, i, sides[0])
        found.append((first, last, tuple(sorted(moved - {last}))))
    return found


def _axis_end(near: dict[int, list[int]], start: int, atom: int, straight: Straight) -> int:
    """Last atom on the line that the bond from `start` to `atom` begins and straight angles continue."""
    while True:
        ahead = [k for k in near[atom] if (min(start, k), atom, max(start, k)) in straight]
        if len(near[atom]) != 2 or not ahead:
            return atom
        start, atom = atom, ahead[0]


def _side(near: dict[int, list[int]], start: int, without: int) -> set[int]:
    """Atoms that are connected to `start` if its bond to the atom `without` is cut."""
    seen, ahead = {start}, [atom for atom in near[start] if atom != without]
    while ahead:
        atom = ahead.pop()
        if atom not in seen:
            seen.add(atom)
            ahead += near[atom]
    return seen


def torsional_displacements(positions: Floats, bonds: Ints) -> Floats:
    """Orthonormal displacements (n_frames, 3 n_atoms, n_rotatable) that rotate parts of the molecule about its bonds.

    They span the motions ∂r/∂φ_b = a_b × (r − r_b) of one side of each rotatable bond, without overall translation and
    rotation. n_rotatable is 0 if no bond can rotate.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3), Å
    bonds : (n_bonds, 2)
    """
    n_frames, n_atoms, _ = positions.shape
    rotatable = rotatable_bonds(bonds, sampled_straight_angles(positions, bonds))
    moves = np.zeros((n_frames, n_atoms, 3, len(rotatable)))
    for number, (i, j, atoms) in enumerate(rotatable):
        axis = positions[:, j] - positions[:, i]
        axis = axis / np.linalg.norm(axis, axis=1, keepdims=True)
        arms = positions[:, list(atoms)] - positions[:, j, None]
        moves[..., number][:, list(atoms)] = np.cross(axis[:, None], arms)
    free = without_rigid(positions, moves.reshape(n_frames, 3 * n_atoms, len(rotatable)))
    return np.linalg.qr(free)[0] if len(rotatable) else free


def rigid(positions: Floats) -> Floats:
    """Orthonormal translations and rotations (n_frames, 3 n_atoms, 6).

    A rotation that does not exist, such as the rotation of atoms on a line about this line, is zero.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3), Å
    """
    n_frames, n_atoms, _ = positions.shape
    centred = positions - positions.mean(axis=1, keepdims=True)
    columns = np.zeros((n_frames, n_atoms, 3, 6))
    for axis, direction in enumerate(np.eye(3)):
        columns[..., axis] = direction
        columns[..., 3 + axis] = np.cross(direction, centred)
    left, size, _ = np.linalg.svd(columns.reshape(n_frames, 3 * n_atoms, 6), full_matrices=False)
    exists = size > 1e-6 * size[:, :1]
    return np.asarray(left * exists[:, None, :])


def without_rigid(positions: Floats, vectors: Floats) -> Floats:
    """Vectors (n_frames, 3 n_atoms, k) without their components along translations and rotations of all atoms.

    The gradients of all pair distances span the same space, unless the atoms lie in one plane.
    """
    basis = rigid(positions)
    return np.asarray(vectors - basis @ (basis.transpose(0, 2, 1) @ vectors))


def project_onto_atoms(positions: Floats, bonds: Ints, atoms: Ints, forces: Floats) -> Floats:
    """Forces Wᵀ F (n_frames, n_chosen, 3) that drive chosen atoms if all others relax elastically.

    If the chosen atoms c are displaced by δ, the others o move by −H_oo⁻¹ H_oc δ in an elastic network of bonds, angles
    and torsions with the Hessian H = Σ k ∂q/∂r ∂q/∂rᵀ. Thus forces on atoms that are attached to a chosen one are
    transmitted to it, and forces that only strain the others do not count. For any force constants, Wᵀ F is a valid
    force on the chosen atoms as coordinates (Ciccotti, Kapral, Vanden-Eijnden, ChemPhysChem 6, 1809 (2005)), and has no
    net force and torque if F has none.

    Parameters
    ----------
    positions, forces : (n_frames, n_atoms, 3)
    bonds : (n_bonds, 2)
    atoms : (n_chosen,)
    """
    n_atoms = positions.shape[1]
    others = np.setdiff1d(np.arange(n_atoms), atoms)
    if not len(others):
        return forces[:, atoms]
    internal, stiffness = _network(bonds, n_atoms, sampled_straight_angles(positions, bonds))
    chosen, rest = (np.add.outer(3 * np.asarray(part), np.arange(3)).ravel() for part in (atoms, others))
    projected = []
    for first in range(0, len(positions), _BATCH):
        part = slice(first, first + _BATCH)
        _, rows = internal.jacobian(torch.tensor(positions[part]))
        b = rows.numpy()
        h = b.transpose(0, 2, 1) @ (stiffness[:, None] * b)
        flat = forces[part].reshape(len(b), -1, 1)
        # With two chosen atoms the others can rotate about their axis, which costs nothing and transmits no force.
        inverse = np.linalg.pinv(h[:, rest[:, None], rest], rcond=_FREE, hermitian=True)
        response = inverse @ flat[:, rest]
        transmitted = h[:, chosen[:, None], rest] @ response
        projected.append((flat[:, chosen] - transmitted).reshape(len(b), len(atoms), 3))
    return np.concatenate(projected)


def _network(bonds: Ints, n_atoms: int, straight: Straight) -> tuple[InternalCoordinates, Floats]:
    """Coordinates of the elastic network, and their force constants."""
    pairs, bends, planes = list(combinations(range(n_atoms), 2)), angles(bonds), stars(bonds)
    twists = bent_chains(bonds, straight)
    bonded = {tuple(sorted(bond)) for bond in bonds.tolist()}
    free = {tuple(sorted((i, j))) for i, j, _ in rotatable_bonds(bonds, straight)}
    degree = {atom: len(near) for atom, near in neighbours(bonds).items()}
    planes = [star for star in planes if degree[star[0]] == 3]
    stiffness = [_STIFF["bond"] if pair in bonded else _STIFF["pair"] for pair in pairs]
    stiffness += [_STIFF["angle"]] * len(bends)
    stiffness += [_STIFF["torsion" if tuple(sorted(chain[1:3])) in free else "planar"] for chain in twists]
    stiffness += [_STIFF["planar"]] * len(planes)
    return InternalCoordinates(pairs, bends, [*twists, *planes], n_atoms), np.array(stiffness)
