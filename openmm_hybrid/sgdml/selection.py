"""Drawing frames: which geometries are the same, and how some of them are chosen at random."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats.qmc import Halton

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.sgdml.descriptor import descriptor, pair_permutations

DRAWS = ("auto", "stratified", "random")
_SAME = 1e-6  # 1/Å; geometries whose descriptors differ by less are one geometry
_TOUCHING = 1e-3  # Å
_BATCH = 10_000  # frames whose descriptors are made at once

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def first_copies(frames: Frames, perms: Ints) -> Ints:
    """Of every frame the first one with the same geometry, up to motion, mirror image and `perms`: (n_frames,).

    A frame without an earlier copy is its own first one.

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


def draw_frames(candidates: Ints, energies: Floats | None, n: int, draw: str, rng: np.random.Generator) -> Ints:
    """n of the candidates, none twice, in an order whose every beginning is a draw of the same kind.

    "stratified" sorts the candidates by energy, cuts the row into n parts of equal length and takes one of each at
    random, so that the energies drawn follow the distribution of all of them: the two distribution functions differ by
    1/n at most. "random" takes each set of n with the same probability. "auto" is "stratified" where there are
    energies. That training energies should be distributed as all energies is the practice of Chmiela et al., Comput.
    Phys. Commun. 240, 38 (2019); equal parts instead of a histogram are our choice.

    Parameters
    ----------
    candidates : (n_candidates,)
        Indices of frames.
    energies : (n_frames,), kcal/mol, or None
        Of all frames.
    n : int
        At most n_candidates.
    draw : {"auto", "stratified", "random"}
    rng : numpy.random.Generator

    Raises
    ------
    InputError
        An unknown draw, or a stratified one without energies.
    """
    if draw not in DRAWS:
        raise InputError(f"draw = {draw!r}", expected=" or ".join(map(repr, DRAWS)))
    if draw == "stratified" and energies is None:
        raise InputError("the frames have no energies to draw by", hint='take draw="random"')
    if draw == "random" or energies is None or n == 0:
        return rng.choice(candidates, n, replace=False)
    # Sorted after a shuffle, so that equal energies come in a random order.
    shuffled = rng.permutation(candidates)
    row = shuffled[np.argsort(energies[shuffled], kind="stable")]
    edges = np.linspace(0, len(row), n + 1).astype(np.int64)
    drawn = row[rng.integers(edges[:-1], edges[1:])]
    # The parts in the order of a van der Corput sequence: its every beginning is spread evenly.
    places = (Halton(1, scramble=False).random(n)[:, 0] + rng.random()) % 1.0
    return drawn[np.argsort(np.argsort(places))]


def _twins(frames: Frames, perms: Ints) -> list[tuple[int, int]]:
    """Pairs of frames (first, later) with the same descriptor in some permutation.

    |x| and the largest x are the same for all permutations, so that only neighbours in the order of |x| with the same
    largest x need comparing.
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
