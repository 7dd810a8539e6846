"""Selection of frames: at random, stratified by energy, and split into training, validation and test sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.stats.qmc import Halton

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames

SELECTIONS = ("auto", "stratified", "random")
"""The ways in which `select` chooses frames."""


@final
@dataclass(frozen=True, eq=False)
class Split:
    """Indices of training, validation and test frames; no geometry occurs twice.

    Parameters
    ----------
    train, valid, test : (n,)
    """

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]


def split(frames: Frames, n_train: int, n_valid: int, n_test: int, seed: int) -> Split:
    """Select frames at random, no geometry twice.

    For the same seed, the training frames of a smaller `n_train` are the first ones of a larger one, and the test
    frames are the same, so that the points of a learning curve can be compared.

    Raises
    ------
    InputError
        A number is out of range; no labels; there are too few distinct geometries.
    """
    for name, number, least in (("n_train", n_train, 2), ("n_valid", n_valid, 0), ("n_test", n_test, 0)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise InputError(f"{name} = {number!r}", expected=f"a whole number from {least} on")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed = {seed!r}", expected="a whole number from 0 on")
    if frames.forces is None:
        raise InputError(f"the frames of {frames.name!r} have no forces", hint="label them with a reference engine")
    later = [frame for group in frames.duplicates() for frame in group[1:]]
    distinct = np.setdiff1d(np.arange(frames.n_frames), later)
    wanted = n_train + n_valid + n_test
    if wanted > len(distinct):
        raise InputError(
            f"{frames.name!r} has {len(distinct)} distinct geometries, {n_train} to train on, {n_valid} to validate on "
            f"and {n_test} to test on were asked for",
            expected=f"{wanted} or more",
            hint="lower n_train, n_valid or n_test",
        )
    order = np.random.default_rng(seed).permutation(distinct)
    first_test = len(order) - n_test
    return Split(order[:n_train], order[n_train : n_train + n_valid], order[first_test:])


def select(
    candidates: NDArray[np.int64],
    energies: NDArray[np.float64] | None,
    n: int,
    selection: str,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Select n of the candidates, none twice; the first k of them are a selection of the same kind.

    "stratified" sorts the candidates by energy, cuts them into n parts of equal length and selects one of each part at
    random, so that the energies follow the distribution of all energies: the two distribution functions differ by 1/n
    at most. "random" selects each set of n with the same probability. "auto" is "stratified" if there are energies.
    Training energies distributed as all energies are the practice of Chmiela et al., Comput. Phys. Commun. 240, 38
    (2019); equal parts instead of a histogram are our choice.

    Parameters
    ----------
    candidates : (n_candidates,)
        Indices of frames.
    energies : (n_frames,), kcal/mol, or None
        Energies of all frames.
    n : int
        At most n_candidates.
    selection : {"auto", "stratified", "random"}
    rng : numpy.random.Generator

    Returns
    -------
    (n,)

    Raises
    ------
    InputError
        An unknown selection, or a stratified one without energies.
    """
    if selection not in SELECTIONS:
        raise InputError(f"selection = {selection!r}", expected=" or ".join(map(repr, SELECTIONS)))
    if selection == "stratified" and energies is None:
        raise InputError("the frames have no energies to stratify by", hint='use selection="random"')
    if selection == "random" or energies is None or n == 0:
        return rng.choice(candidates, n, replace=False)
    # Sorted after a shuffle, so that equal energies come in a random order.
    shuffled = rng.permutation(candidates)
    ordered = shuffled[np.argsort(energies[shuffled], kind="stable")]
    edges = np.linspace(0, len(ordered), n + 1).astype(np.int64)
    selected = ordered[rng.integers(edges[:-1], edges[1:])]
    # The parts in the order of a van der Corput sequence: its first k members are spread evenly for every k.
    sequence = (Halton(1, scramble=False).random(n)[:, 0] + rng.random()) % 1.0
    return selected[np.argsort(np.argsort(sequence))]
