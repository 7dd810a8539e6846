"""Motions of a molecule that strain little: turns about bonds, and atoms that follow others.

A force field's residual is largest along its stiff bonds and angles, and what matters to conformations is small beside
it. So forces are projected on motions that leave bonds and angles alone.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid.forcefield.paths import angles, chains, neighbours, stars
from openmm_hybrid.forms.internal import InternalCoordinates

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_STIFF = {"bond": 600.0, "angle": 120.0, "planar": 30.0, "torsion": 1.0, "pair": 0.1}
"""Springs of the network that atoms follow by: kcal/mol/Å² and kcal/mol/rad², of the size that force fields have."""
_FREE = 1e-9  # of the stiffest motion: a stiffness that is rounding
_BATCH = 64  # frames at once


def rotatable_bonds(bonds: Ints) -> list[tuple[int, int, tuple[int, ...]]]:
    """Bonds i-j outside rings with other atoms at both ends, and the atoms on j's side, j itself left out.

    Parameters
    ----------
    bonds : (n_bonds, 2)

    Returns
    -------
    list of (i, j, atoms)
        `atoms` are on the smaller side.
    """
    near = neighbours(bonds)
    found = []
    for i, j in bonds.tolist():
        sides = (_side(near, i, j), _side(near, j, i))
        if j in sides[0] or min(map(len, sides)) < 2:  # in a ring, or an atom's only bond
            continue
        first, last, moved = (i, j, sides[1]) if len(sides[1]) <= len(sides[0]) else (j, i, sides[0])
        found.append((first, last, tuple(sorted(moved - {last}))))
    return found


def _side(near: dict[int, list[int]], start: int, without: int) -> set[int]:
    """Atoms that are reached from `start` without its bond to the atom `without`."""
    seen, ahead = {start}, [atom for atom in near[start] if atom != without]
    while ahead:
        atom = ahead.pop()
        if atom not in seen:
            seen.add(atom)
            ahead += near[atom]
    return seen


def turns(positions: Floats, bonds: Ints) -> Floats:
    """Orthonormal displacements (n_frames, 3 n_atoms, n_turns) that turn the molecule's parts about its bonds.

    They span the motions ∂r/∂φ_b = a_b × (r − r_b) of one side of each rotatable bond, with overall translation and
    rotation taken out. n_turns is 0 where no bond can be turned.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3), Å
    bonds : (n_bonds, 2)
    """
    n_frames, n_atoms, _ = positions.shape
    rotatable = rotatable_bonds(bonds)
    moves = np.zeros((n_frames, n_atoms, 3, len(rotatable)))
    for number, (i, j, atoms) in enumerate(rotatable):
        axis = positions[:, j] - positions[:, i]
        axis = axis / np.linalg.norm(axis, axis=1, keepdims=True)
        arms = positions[:, list(atoms)] - positions[:, j, None]
        moves[..., number][:, list(atoms)] = np.cross(axis[:, None], arms)
    free = without_rigid(positions, moves.reshape(n_frames, 3 * n_atoms, len(rotatable)))
    return np.linalg.qr(free)[0] if len(rotatable) else free


def rigid(positions: Floats) -> Floats:
    """Orthonormal translations and rotations (n_frames, 3 n_atoms, 6); those that do not exist (a rotation of atoms on
    a line about it) are zero.

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
    """Vectors (n_frames, 3 n_atoms, k) less their part along translations and rotations of all atoms.

    What is left is the span of the B-rows of all pair distances, where the atoms do not all lie in one plane.
    """
    basis = rigid(positions)
    return np.asarray(vectors - basis @ (basis.transpose(0, 2, 1) @ vectors))


def follow(positions: Floats, bonds: Ints, atoms: Ints, forces: Floats) -> Floats:
    """Forces (n_frames, n_chosen, 3) on chosen atoms that the others follow: Wᵀ F.

    Where the chosen atoms c are displaced by δ, the others o go by −H_oo⁻¹ H_oc δ, as a network of springs along bonds,
    angles and torsions does, H = Σ k ∂q/∂r ∂q/∂rᵀ. So what pulls at an atom that hangs on a chosen one pulls at this
    one too, and what only strains the others does not count. Whatever the springs, Wᵀ F is a force that belongs to the
    chosen atoms as coordinates (Ciccotti, Kapral, Vanden-Eijnden, ChemPhysChem 6, 1809 (2005)), and without net force
    and torque where F has none.

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
    internal, stiffness = _network(bonds, n_atoms)
    own, rest = (np.add.outer(3 * np.asarray(part), np.arange(3)).ravel() for part in (atoms, others))
    found = []
    for first in range(0, len(positions), _BATCH):
        part = slice(first, first + _BATCH)
        _, rows = internal.jacobian(torch.tensor(positions[part]))
        b = rows.numpy()
        h = b.transpose(0, 2, 1) @ (stiffness[:, None] * b)
        flat = forces[part].reshape(len(b), -1, 1)
        # Two chosen atoms leave the others free to turn about their axis, which costs nothing and pulls at nothing.
        inverse = np.linalg.pinv(h[:, rest[:, None], rest], rcond=_FREE, hermitian=True)
        pulled = inverse @ flat[:, rest]
        found.append((flat[:, own] - h[:, own[:, None], rest] @ pulled).reshape(len(b), len(atoms), 3))
    return np.concatenate(found)


def _network(bonds: Ints, n_atoms: int) -> tuple[InternalCoordinates, Floats]:
    """Coordinates that are held by springs, and their force constants."""
    pairs, bends, twists, planes = list(combinations(range(n_atoms), 2)), angles(bonds), chains(bonds), stars(bonds)
    bonded = {tuple(sorted(bond)) for bond in bonds.tolist()}
    free = {tuple(sorted((i, j))) for i, j, _ in rotatable_bonds(bonds)}
    degree = {atom: len(near) for atom, near in neighbours(bonds).items()}
    planes = [star for star in planes if degree[star[0]] == 3]
    stiffness = [_STIFF["bond"] if pair in bonded else _STIFF["pair"] for pair in pairs]
    stiffness += [_STIFF["angle"]] * len(bends)
    stiffness += [_STIFF["torsion" if tuple(sorted(chain[1:3])) in free else "planar"] for chain in twists]
    stiffness += [_STIFF["planar"]] * len(planes)
    return InternalCoordinates(pairs, bends, [*twists, *planes], n_atoms), np.array(stiffness)
