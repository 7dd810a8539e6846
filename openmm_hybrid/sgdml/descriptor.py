"""The sGDML descriptor: inverse interatomic distances, with their Jacobian and their permutations.

Pairs (i, j), i > j, come row by row of the lower triangle (numpy.tril_indices): the order of sGDML's files. Chmiela et
al., Nat. Commun. 9, 3887 (2018).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def pairs(n_atoms: int) -> NDArray[np.int64]:
    """Atom pairs (n_pairs, 2), i > j, in the order of the descriptor."""
    return np.stack(np.tril_indices(n_atoms, -1), axis=1).astype(np.int64)


def pair_permutations(perms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Permutations of the descriptor (n_perms, n_pairs) that atom permutations (n_perms, n_atoms) stand for.

    Row s satisfies ``descriptor(r[:, perms[s]]) == descriptor(r)[:, row]``.
    """
    n_atoms = perms.shape[1]
    i, j = pairs(n_atoms).T
    number = np.zeros((n_atoms, n_atoms), dtype=np.int64)
    number[i, j] = number[j, i] = np.arange(len(i))
    return number[perms[:, i], perms[:, j]]


def sorted_pair_permutations(perms: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """`pair_permutations` in an order of the pairs that has those first which no permutation moves.

    Returns
    -------
    moves : (n_perms, n_pairs)
        Of the pairs in that order.
    order : (n_pairs,)
        Numbers of the pairs as the descriptor has them.
    n_fixed : int
        How many pairs stay in place.
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
