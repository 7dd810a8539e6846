"""Which frames are trained on, validated on and tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.data.frames import Frames


@final
@dataclass(frozen=True, eq=False)
class Split:
    """Indices of frames; no geometry stands in two of them, nor twice in one.

    Parameters
    ----------
    train, valid, test : (n,)
    """

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]


def split(frames: Frames, n_train: int, n_valid: int, n_test: int, seed: int) -> Split:
    """Frames drawn at random without replacement.

    For one seed the training frames of a smaller `n_train` are the first ones of a larger one, and the test frames are
    the same, so that a learning curve compares like with like.

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
    frames.labels()
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
