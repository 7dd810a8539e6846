"""Linear least squares with a penalty: normal equations summed in folds, and its strength by cross-validation.

With rows A and labels y of some frames, the coefficients c minimise |y − A c|² + cᵀ P c, so that

    (AᵀA + P) c = Aᵀy.

AᵀA, Aᵀy and yᵀy are sums over frames. We keep the sums of each fold apart, so that every penalty can be tested on
frames that were left out without computing the rows again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class NormalEquations:
    """Sums over the rows of some frames.

    Parameters
    ----------
    gram : (n, n)
        AᵀA.
    right : (n,)
        Aᵀy.
    square : float
        yᵀy.
    """

    gram: Floats
    right: Floats
    square: float

    @classmethod
    def of(cls, rows: Floats, labels: Floats) -> NormalEquations:
        """The sums over rows A (n_rows, n) and labels y (n_rows,)."""
        return cls(rows.T @ rows, rows.T @ labels, float(labels @ labels))

    @classmethod
    def total(cls, parts: Sequence[NormalEquations]) -> NormalEquations:
        """The sums over the rows of all parts."""
        return cls(
            np.sum([part.gram for part in parts], axis=0),
            np.sum([part.right for part in parts], axis=0),
            sum(part.square for part in parts),
        )

    def solve(self, penalty: Floats, *, ridge: float = 0.0) -> Floats:
        """Coefficients (n,) that minimise |y − A c|² + cᵀ P c.

        Parameters
        ----------
        penalty : (n, n)
            P.
        ridge : float
            Multiple of the mean diagonal element of AᵀA that is added to its diagonal, for coefficients that neither
            rows nor penalty determine.

        Raises
        ------
        numpy.linalg.LinAlgError
            The matrix is singular.
        """
        level = ridge * self.gram.trace() / len(self.gram)
        return np.asarray(np.linalg.solve(self.gram + penalty + level * np.eye(len(penalty)), self.right))

    def error(self, coefficients: Floats) -> float:
        """|y − A c|², which rounding cannot make negative."""
        fitted = coefficients @ self.gram @ coefficients
        return max(0.0, self.square - 2.0 * float(self.right @ coefficients) + float(fitted))


def left_out_errors(
    folds: Sequence[NormalEquations], penalties: Sequence[Floats], *, ridge: float = 0.0
) -> NDArray[np.float64]:
    """Squared errors (n_folds, n_penalties) of each fold under the coefficients of all other folds.

    Parameters
    ----------
    folds : sequence of NormalEquations
        Two or more.
    penalties : sequence of (n, n)
    ridge : float
        As in `NormalEquations.solve`.
    """
    errors = np.zeros((len(folds), len(penalties)))
    for fold, left_out in enumerate(folds):
        others = NormalEquations.total([part for number, part in enumerate(folds) if number != fold])
        errors[fold] = [left_out.error(others.solve(penalty, ridge=ridge)) for penalty in penalties]
    return errors


def smallest_error(errors: Floats) -> int:
    """Index of the strength with the smallest sum of errors (n_folds, n_strengths)."""
    return int(np.argmin(errors.sum(axis=0)))


def strongest_within_error(errors: Floats, tolerance: float) -> int:
    """Index of the strongest penalty whose error is within one standard error of the smallest.

    This is the rule of Breiman, Friedman, Olshen and Stone, Classification and Regression Trees (1984). The penalty
    with the smallest error may leave a function that is bent by few frames at the ends of its range.

    Parameters
    ----------
    errors : (n_folds, n_strengths)
        Strengths ascend.
    tolerance : float
        Largest excess over the smallest sum of errors, relative to it, if the standard error is larger: it is large
        where the frames differ much.
    """
    least = smallest_error(errors)
    excess = (errors - errors[:, [least]]).sum(axis=0)
    standard_error = errors[:, least].std(ddof=1) * np.sqrt(len(errors))
    return int(np.flatnonzero(excess <= min(standard_error, tolerance * errors[:, least].sum())).max())
