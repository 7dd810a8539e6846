"""The distilled recipe from ensembles: the free energy that a force field misses along few coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.core.units import BOLTZMANN, strip
from openmm_hybrid.correction import smoothness
from openmm_hybrid.correction.coordinates import Atoms, Entry, coordinates, described, designs, functions
from openmm_hybrid.correction.force_matching import FOLDS
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.forcefield import ForceField

Floats = NDArray[np.float64]

_BATCH = 4096  # frames at once
_RIDGE = 1e-9  # of the mean curvature: settles what frames do not say, as a spline's constant
_TIGHT = 1e-10  # gradient of the loss at its minimum


@final
@dataclass(frozen=True, eq=False)
class Matched:
    """Functions of few coordinates that turn one ensemble's populations into another's. Made by `match_populations`.

    Parameters
    ----------
    model : ForceField
        These functions alone, on all atoms of the molecule; add it to a System with `attach`.
    along : tuple
        The coordinates of each function: one or two tuples of atoms.
    smoothness : float
        The penalty that cross-validation chose.
    divergence : float, bit
        Jensen-Shannon divergence between the two ensembles along these coordinates, so far as the functions tell them
        apart in frames that they were not fitted to: a lower bound.
    """

    model: ForceField
    along: tuple[tuple[Atoms, ...], ...]
    smoothness: float
    divergence: float = field(repr=False)

    def summary(self) -> str:
        """One line for a reader."""
        return f"functions of {described(self.along)}: the ensembles were {self.divergence:.3f} bit apart along them"


def match_populations(
    own: Frames,
    reference: Frames,
    along: Sequence[Entry],
    *,
    temperature: float,
    molecule: Molecule | None = None,
    pieces: int = 12,
    order: int = 5,
) -> Matched:
    r"""The free energy that a force field misses along chosen coordinates, from two ensembles.

    With the populations p of a coordinate q in both ensembles, E(q) = −kT ln(p_ref(q)/p_ff(q)) added to the force field
    makes its populations those of the reference. Logistic regression finds this ratio without densities: of all
    functions, E minimises ⟨ln(1 + exp(−a + E/kT))⟩_ref + ⟨ln(1 + exp(a − E/kT))⟩_ff (Gutmann and Hyvärinen, J. Mach.
    Learn. Res. 13, 307 (2012), the force field's ensemble being the noise). Curvature is penalised as much
    as cross-validation over five stretches of time says. The minimum of the sum is 2 ln 2 − 2 J, J the Jensen-Shannon
    divergence.

    It needs no labels and no overlap of energies, only frames that are spread as each ensemble has them: from a run of
    the force field, and from ab initio dynamics or from the runs of a model. Where neither ensemble goes the functions
    are flat; where only one goes, call it again with frames of the corrected force field as `own`, and add the two.

    Parameters
    ----------
    own : Frames
        Of the force field, in order of time, equally weighted. Energies and forces are not looked at.
    reference : Frames
        Of the reference, likewise.
    along : sequence
        As in `distill`.
    temperature : float, K
        Of both ensembles.
    molecule : Molecule, optional
        Gives the bonds; else they are taken from the distances.
    pieces, order : int
        Of the splines and of the series.

    Raises
    ------
    InputError
        Coordinates that are none, too few frames, or a temperature that is not above zero.
    MismatchError
        The frames are of different atoms.
    NumericalError
        The regression did not converge.
    """
    if not np.array_equal(own.atomic_numbers, reference.atomic_numbers):
        raise MismatchError(
            f"the frames of {own.name!r} and {reference.name!r} have other atoms, or another order",
            expected="both ensembles of one molecule",
        )
    terms = coordinates(along, own.n_atoms)
    kelvin = float(strip(temperature, "temperature"))
    if min(len(own), len(reference)) < 2 * FOLDS or not kelvin > 0:
        raise InputError(
            f"{len(own)} and {len(reference)} frames, temperature {kelvin:g} K",
            expected=f"{2 * FOLDS} frames or more of each, and a temperature above zero",
        )
    both = Frames(own.atomic_numbers, np.concatenate([own.positions, reference.positions]), name=own.name)
    start = functions(both, molecule, terms, pieces, order)
    rows = -_energies(start, both.positions) / (BOLTZMANN * kelvin)
    data = _Classes(rows[: len(own)], rows[len(own) :])
    penalties = smoothness.penalties(start, data.curvature())
    losses = [_left_out(data, penalty) for penalty in penalties]
    best = int(np.argmin(losses))
    values = start.parameters.values.copy()
    values[start.parameters.fitted] = _solve(data, penalties[best])[1:]
    divergence = max(0.0, 1.0 - losses[best] / (2.0 * np.log(2.0)))
    return Matched(start.with_values(values), terms, smoothness.STRENGTHS[best], divergence)


@final
@dataclass(frozen=True, eq=False)
class _Classes:
    """Functions at the coefficient 1, as −φ/kT, of the force field's frames and of the reference's."""

    own: Floats
    reference: Floats

    def curvature(self) -> Floats:
        """Second derivative of the loss by the coefficients, where they are zero."""
        return sum((rows - rows.mean(axis=0)).T @ (rows - rows.mean(axis=0)) / (4 * len(rows)) for rows in self._both())

    def part(self, number: int, *, without: bool) -> _Classes:
        """A stretch of time of both ensembles, or all but this stretch."""
        chosen = []
        for rows in self._both():
            inside = np.zeros(len(rows), dtype=bool)
            inside[np.array_split(np.arange(len(rows)), FOLDS)[number]] = True
            chosen.append(rows[inside != without])
        return _Classes(*chosen)

    def loss(self, x: Floats) -> float:
        """⟨ln(1 + e^−u)⟩_ref + ⟨ln(1 + e^u)⟩_own with u = x₀ + rows·x."""
        own, reference = (x[0] + rows @ x[1:] for rows in self._both())
        return float(np.logaddexp(0.0, own).mean() + np.logaddexp(0.0, -reference).mean())

    def gradient(self, x: Floats) -> Floats:
        """∂loss/∂x."""
        found = np.zeros(len(x))
        for rows, sign in zip(self._both(), (1.0, -1.0), strict=True):
            push = sign * expit(sign * (x[0] + rows @ x[1:])) / len(rows)
            found += np.concatenate([[push.sum()], push @ rows])
        return found

    def hessian(self, x: Floats) -> Floats:
        """∂²loss/∂x∂x."""
        found = np.zeros((len(x), len(x)))
        for rows in self._both():
            u = x[0] + rows @ x[1:]
            all_rows = np.column_stack([np.ones(len(rows)), rows])
            found += all_rows.T @ ((expit(u) * expit(-u) / len(rows))[:, None] * all_rows)
        return found

    def _both(self) -> tuple[Floats, Floats]:
        return self.own, self.reference


def _left_out(data: _Classes, penalty: Floats) -> float:
    """Mean loss of each stretch of time under the functions that the others give."""
    return float(
        np.mean([data.part(k, without=False).loss(_solve(data.part(k, without=True), penalty)) for k in range(FOLDS)])
    )


def _solve(data: _Classes, penalty: Floats) -> Floats:
    """Constant and coefficients (1 + n_fitted,) of the smallest penalised loss."""
    n = len(penalty)
    weight = np.zeros((n + 1, n + 1))
    weight[1:, 1:] = penalty + _RIDGE * penalty.trace() / n * np.eye(n)
    found = minimize(
        lambda x: data.loss(x) + 0.5 * x @ weight @ x,
        np.zeros(n + 1),
        jac=lambda x: data.gradient(x) + weight @ x,
        hess=lambda x: data.hessian(x) + weight,
        method="trust-exact",
        options={"gtol": _TIGHT},
    )
    if not np.abs(data.gradient(found.x) + weight @ found.x).max() < 1e-6:
        raise NumericalError(
            f"the regression of populations did not converge ({found.message})",
            hint="take fewer pieces or a smaller order, or more frames",
        )
    return np.asarray(found.x)


def _energies(start: ForceField, positions: Floats) -> Floats:
    """Energies (n_frames, n_fitted) of functions with the coefficient 1."""
    internal = start.module().internal
    found = np.zeros((len(positions), int(start.parameters.fitted.sum())))
    for first in range(0, len(positions), _BATCH):
        q, _ = internal(torch.tensor(positions[first : first + _BATCH]))
        for _, columns, values, _ in designs(start, q):
            found[first : first + len(q), columns.numpy()] += values.numpy()
    return found
