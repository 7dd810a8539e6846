"""The sGDML descriptor: inverse interatomic distances, with their Jacobian, permutations and equal geometries.

Pairs (i, j), i > j, are ordered row by row of the lower triangle (numpy.tril_indices), as in sGDML's files. Chmiela et
al., Nat. Commun. 9, 3887 (2018).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames

_SAME = 1e-6  # 1/Å; geometries whose descriptors differ by less are one geometry
_TOUCHING = 1e-3  # Å; shortest distance of two atoms
_BATCH = 10_000  # frames per batch of descriptors


def pairs(n_atoms: int) -> NDArray[np.int64]:
    """Atom pairs (n_pairs, 2), i > j, in the order of the descriptor."""
    return np.stack(np.tril_indices(n_atoms, -1), axis=1).astype(np.int64)


def pair_permutations(perms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Permutations of the descriptor (n_perms, n_pairs) that belong to atom permutations (n_perms, n_atoms).

    Row s satisfies ``descriptor(r[:, perms[s]]) == descriptor(r)[:, row]``.
    """
    n_atoms = perms.shape[1]
    i, j = pairs(n_atoms).T
    number = np.zeros((n_atoms, n_atoms), dtype=np.int64)
    number[i, j] = number[j, i] = np.arange(len(i))
    return number[perms[:, i], perms[:, j]]


def sorted_pair_permutations(perms: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """`pair_permutations` for an order of the pairs in which the pairs that no permutation moves come first.

    Returns
    -------
    moves : (n_perms, n_pairs)
        Permutations of the pairs in the new order.
    order : (n_pairs,)
        Indices of these pairs in the descriptor.
    n_fixed : int
        Number of pairs that no permutation moves.
    """
    moves = pair_permutations(perms)
    is_fixed = (moves == np.arange(moves.shape[1])).all(axis=0)
    order = np.argsort(~is_fixed, kind="stable")
    return np.argsort(order)[moves[:, order]], order, int(is_fixed.sum())


def descriptor(positions: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse distances x = 1/|r_i − r_j| and their slopes.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3), Å

    Returns
    -------
    x : (n_frames, n_pairs), 1/Å
    slopes : (n_frames, n_pairs, 3), 1/Å²
        y = (r_i − r_j) x³, so that ∂x/∂r_j = y and ∂x/∂r_i = −y.
    """
    i, j = torch.tensor(pairs(positions.shape[1])).unbind(1)
    difference = positions[:, i] - positions[:, j]
    x = difference.square().sum(-1).rsqrt()
    return x, difference * x.pow(3).unsqueeze(-1)


def jacobian(slopes: Tensor) -> Tensor:
    """∂x/∂r as full matrices (n_frames, n_pairs, 3 n_atoms) from slopes (n_frames, n_pairs, 3)."""
    n_frames, n_pairs = slopes.shape[:2]
    n_atoms = (1 + round((1 + 8 * n_pairs) ** 0.5)) // 2
    i, j = torch.tensor(pairs(n_atoms)).unbind(1)
    number = torch.arange(n_pairs)
    full = torch.zeros(n_frames, n_pairs, n_atoms, 3, dtype=slopes.dtype, device=slopes.device)
    full[:, number, i] = -slopes
    full[:, number, j] = slopes
    return full.reshape(n_frames, n_pairs, -1)


def jacobian_times(slopes: Tensor, vectors: Tensor) -> Tensor:
    """(∂x/∂r) v, (n_frames, n_pairs), for vectors v (n_frames, n_atoms, 3)."""
    i, j = torch.tensor(pairs(vectors.shape[1])).unbind(1)
    return (slopes * (vectors[:, j] - vectors[:, i])).sum(-1)


def first_copies(frames: Frames, perms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the first frame with the same geometry, (n_frames,), up to motion, mirror image and `perms`.

    A frame without an earlier copy has its own index.

    Raises
    ------
    InputError
        Two atoms touch.
    """
    first, later = np.array(_twins(frames, perms), dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(first)), (first, later)), shape=(frames.n_frames, frames.n_frames))
    _, labels = connected_components(graph, directed=False)
    _, firsts, groups = np.unique(labels, return_index=True, return_inverse=True)
    return firsts[groups].astype(np.int64)


def _twins(frames: Frames, perms: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs of frames (first, later) with the same descriptor in some permutation.

    |x| and the largest x are the same for all permutations, so that we compare only neighbours in the order of |x| that
    have the same largest x.
    """
    x = torch.cat([descriptor(part)[0] for part in torch.tensor(frames.positions).split(_BATCH)]).numpy()
    touching = x.max(axis=1) > 1.0 / _TOUCHING
    if touching.any():
        raise InputError(f"two atoms touch in frame {int(np.argmax(touching))} of {frames.name!r}", hint="remove it")
    moves = pair_permutations(perms)
    order = np.argsort(np.linalg.norm(x, axis=1), kind="stable")
    norms, peaks = np.linalg.norm(x, axis=1)[order], x.max(axis=1)[order]
    twins = []
    for shift in range(1, len(order)):
        near = norms[shift:] - norms[:-shift] <= _SAME * x.shape[1] ** 0.5
        if not near.any():
            break
        for k in np.flatnonzero(near & (np.abs(peaks[shift:] - peaks[:-shift]) < _SAME)):
            first, later = sorted((int(order[k]), int(order[k + shift])))
            if (np.abs(x[first] - x[later][moves]).max(axis=1) < _SAME).any():
                twins.append((first, later))
    return sorted(twins)
