"""Random splits of frames into training, validation and test sets."""

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
    """Indices of the frames in each set. No geometry occurs twice, within a set or across sets.

    Parameters
    ----------
    train, valid, test : (n,)
    """

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]


def split(frames: Frames, n_train: int, n_valid: int, n_test: int, seed: int) -> Split:
    """Draw frames at random, without replacement.

    For one seed, a smaller `n_train` gives the first frames of the training set of a larger one, and the test set is
    the same. The points of a learning curve are therefore comparable.

    Raises
    ------
    InputError
        A number is out of range, the frames have no labels, or there are too few distinct geometries.
    """
    for name, number, least in (("n_train", n_train, 2), ("n_valid", n_valid, 0), ("n_test", n_test, 0)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise InputError(f"{name} = {number!r}", expected=f"a whole number, {least} or more")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed = {seed!r}", expected="a whole number, 0 or more")
    frames.labels()
    later = [frame for group in frames.duplicates() for frame in group[1:]]
    distinct = np.setdiff1d(np.arange(frames.n_frames), later)
    wanted = n_train + n_valid + n_test
    if wanted > len(distinct):
        raise InputError(
            f"{frames.name!r} has {len(distinct)} distinct geometries",
            expected=f"{wanted} or more: {n_train} to train on, {n_valid} to validate on and {n_test} to test on",
            hint="lower n_train, n_valid or n_test",
        )
    order = np.random.default_rng(seed).permutation(distinct)
    first_test = len(order) - n_test
    return Split(order[:n_train], order[n_train : n_train + n_valid], order[first_test:])
