"""Averages of correlated series, with errors from block averages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.analysis.arguments import plain
from openmm_hybrid.core.errors import InputError, MismatchError

Array = NDArray[np.float64]

_FEWEST_BLOCKS = 8


@dataclass(frozen=True)
class Estimate:
    """An average and its standard error.

    Parameters
    ----------
    value : float
    error : float
        One standard deviation of `value`.
    inefficiency : float
        Statistical inefficiency: the squared error divided by that of uncorrelated frames; 1 without correlation.
    block : int
        Length of the blocks in frames.
    n_blocks : int
        Number of blocks.
    converged : bool
        Whether the series is long enough for independent blocks; if not, `error` is too small.
    """

    value: float
    error: float
    inefficiency: float
    block: int
    n_blocks: int
    converged: bool


def mean_with_error(series: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """Weighted average Σwx/Σw of a correlated series, with an error from block averages.

    The series is cut into blocks of B = 1, 2, 4, … frames (Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989)).
    With σ_B the standard error from the averages of blocks of B frames, we use the smallest B with B³ > 2 n (σ_B/σ_1)⁴,
    which balances the bias of the error against its noise (Wolff, Comput. Phys. Commun. 156, 143 (2004); Lee et al.,
    Phys. Rev. E 83, 066706 (2011)). B is determined on the linearised ratio w(x − A). At this B we compute the
    jackknife error: with A_k the average without block k of K, σ² = (K − 1)/K Σ_k (A_k − Ā)² (Efron, *The Jackknife,
    the Bootstrap and Other Resampling Plans*, SIAM, 1982). Without weights it equals the standard error of the blocks.

    Parameters
    ----------
    series : (n_frames,) or (n_runs, n_frames)
        Values in time order. Blocks do not extend across runs.
    weights : same shape as `series`, optional
        Weights of the frames, not negative.

    Raises
    ------
    InputError
        Fewer than 8 frames per run, a number that is not finite, or weights that are negative or all zero.
    """
    values, weight = _runs(series, weights)
    average = float((weight * values).sum() / weight.sum())
    influence = weight * (values - average)
    n_frames = values.size
    plain = _standard_error(influence)
    block, converged = 1, True
    if plain > 0:
        converged = False
        longest = max(1, n_frames // _FEWEST_BLOCKS)
        for block in _powers_of_two(min(longest, values.shape[1])):
            ratio = _standard_error(_block_means(influence, block)) / plain
            if block**3 > 2 * n_frames * ratio**4:
                converged = True
                break
    weighted, total = _block_means(weight * values, block), _block_means(weight, block)
    n_blocks = weighted.size
    rest = total.sum() - total
    if (rest <= 0).any():  # one block has all of the weight
        return Estimate(average, float("inf"), float("inf"), block, n_blocks, False)
    without = (weighted.sum() - weighted) / rest
    variance = (n_blocks - 1) / n_blocks * ((without - without.mean()) ** 2).sum()
    independent = (plain / weight.mean()) ** 2
    inefficiency = float(variance / independent) if independent > 0 else 1.0
    return Estimate(average, float(np.sqrt(variance)), inefficiency, block, n_blocks, converged)


def statistical_inefficiency(series: ArrayLike) -> float:
    """Statistical inefficiency g of a series (n_frames,): n/g frames are independent.

    g = 1 + 2 Σ_t (1 − t/n) C(t), at least 1, with the normalised autocorrelation C. The sum ends where the sum of two
    neighbours C(2m) + C(2m + 1) turns negative (Geyer's initial positive sequence, Statist. Sci. 7, 473 (1992)). The
    autocorrelation time is (g − 1)/2 frames.
    """
    values, _ = _runs(series, None)
    if len(values) != 1:
        raise InputError("the series has several runs", expected="one, (n_frames,)")
    x = values[0] - values[0].mean()
    n = len(x)
    variance = float(x @ x)
    if variance == 0.0:
        return 1.0
    spectrum = np.fft.rfft(x, 2 * n)
    correlation = np.fft.irfft(spectrum * spectrum.conj())[:n] / variance  # (1 − t/n) C(t): the biased estimate
    pairs = correlation[: n - n % 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs < 0)
    end = 2 * int(negative[0]) if len(negative) else n
    return max(1.0, float(2.0 * correlation[:end].sum() - 1.0))


def _runs(series: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array]:
    values = np.atleast_2d(plain(series, "the series"))
    weight = np.ones_like(values) if weights is None else np.atleast_2d(plain(weights, "an array of weights"))
    if values.ndim != 2 or values.shape[1] < _FEWEST_BLOCKS:
        raise InputError(
            f"the series has shape {np.shape(series)}", expected=f"at least {_FEWEST_BLOCKS} frames per run"
        )
    if weight.shape != values.shape:
        raise MismatchError(f"weights have shape {weight.shape}", expected=f"{values.shape}, as the series")
    if not (np.isfinite(values).all() and np.isfinite(weight).all()):
        raise InputError("the series or its weights hold a number that is not finite")
    if (weight < 0).any() or weight.sum() <= 0:
        raise InputError("the weights are negative or all zero")
    return values, weight


def _block_means(runs: Array, block: int) -> Array:
    """Averages (n_blocks,) of whole blocks; the remainder at the beginning of each run is left out."""
    number = runs.shape[1] // block
    return runs[:, runs.shape[1] - number * block :].reshape(-1, block).mean(axis=1)


def _standard_error(samples: Array) -> float:
    return float(samples.std(ddof=1) / np.sqrt(samples.size))


def _powers_of_two(largest: int) -> list[int]:
    return [2**power for power in range(int(largest).bit_length())]
