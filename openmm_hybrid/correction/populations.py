"""The recipe from two ensembles: the free energy that a force field misses along few coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.core.least_squares import smallest_error
from openmm_hybrid.core.units import BOLTZMANN, strip
from openmm_hybrid.correction import smoothness
from openmm_hybrid.correction.functions import FOLDS, Entry, designs, functions, named, parse
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models_io.correction import Correction

Floats = NDArray[np.float64]

_BATCH = 4096  # number of frames in a batch
_RIDGE = 1e-9  # ridge relative to the mean penalty, for what frames leave open, such as a spline's constant
_TIGHT = 1e-10  # gradient of the loss at which the search for its minimum ends


def match_populations(
    sampled: Frames,
    reference: Frames,
    along: Sequence[Entry],
    *,
    temperature: float,
    molecule: Molecule | None = None,
    pieces: int = 12,
    order: int = 5,
) -> Correction:
    r"""The free energy that a force field misses along chosen coordinates, from two ensembles.

    With the populations p of a coordinate q in both ensembles, E(q) = −kT ln(p_ref(q)/p_ff(q)) added to the force field
    makes its populations those of the reference. Logistic regression finds this ratio without densities: of all
    functions, E minimises ⟨ln(1 + exp(−a + E/kT))⟩_ref + ⟨ln(1 + exp(a − E/kT))⟩_ff (Gutmann and Hyvärinen, J. Mach.
    Learn. Res. 13, 307 (2012), with the force field's ensemble as the noise). Curvature is penalised, and
    cross-validation over five blocks of time chooses how much. The minimum of the sum is 2 ln 2 − 2 J, where J is the
    Jensen-Shannon divergence.

    This needs neither labels nor an overlap of energies, only frames with the probabilities of their ensembles: from a
    run of the force field, and from ab initio dynamics or runs of a model. Where neither ensemble has frames the
    functions are flat. Where only one has frames, call it again with frames of the corrected force field as `sampled`,
    and add both corrections.

    Parameters
    ----------
    sampled : Frames
        Frames of the force field's own dynamics, in order of time, equally weighted. Energies and forces are ignored.
    reference : Frames
        Frames of the reference's dynamics, likewise.
    along : sequence
        As in `distill`.
    temperature : float, K
        Temperature of both ensembles.
    molecule : Molecule, optional
        Source of the bonds, which are otherwise found from the distances.
    pieces, order : int
        Number of pieces of a spline, and order of a Fourier series.

    Returns
    -------
    Correction
        Its model is a `ForceField` of these functions alone, on all atoms. Its report has "along" (the atoms of each
        function), "smoothness" (strength of the penalty), "temperature" (K), and "divergence" (bit): a lower bound of
        the Jensen-Shannon divergence of both ensembles along these coordinates, measured by how well the functions
        tell them apart in frames that they were not fitted to.

    Raises
    ------
    InputError
        An entry is not a coordinate, there are too few frames, or the temperature is not above zero.
    MismatchError
        The frames are of different atoms.
    NumericalError
        The regression did not converge.
    """
    if not np.array_equal(sampled.atomic_numbers, reference.atomic_numbers):
        raise MismatchError(
            f"the frames of {sampled.name!r} and {reference.name!r} have different atoms or atom orders",
            expected="both ensembles of one molecule",
        )
    coordinates = parse(along, sampled.n_atoms)
    kelvin = float(strip(temperature, "temperature"))
    if min(len(sampled), len(reference)) < 2 * FOLDS or not kelvin > 0:
        raise InputError(
            f"there are {len(sampled)} and {len(reference)} frames, and the temperature is {kelvin:g} K",
            expected=f"{2 * FOLDS} frames or more of each, and a temperature above zero",
        )
    both = Frames(sampled.atomic_numbers, np.concatenate([sampled.positions, reference.positions]), name=sampled.name)
    start = functions(both, molecule, coordinates, pieces, order)
    rows = -_energies(start, both.positions) / (BOLTZMANN * kelvin)
    data = _Classes(rows[: len(sampled)], rows[len(sampled) :])
    penalties = smoothness.penalties(start, data.curvature())
    losses = _left_out_losses(data, penalties)
    best = smallest_error(losses)
    values = start.parameters.values.copy()
    values[start.parameters.fitted] = _solve(data, penalties[best])[1:]
    divergence = max(0.0, 1.0 - float(losses[:, best].mean()) / (2.0 * np.log(2.0)))
    report = {
        "along": coordinates,
        "smoothness": smoothness.STRENGTHS[best],
        "temperature": kelvin,
        "divergence": divergence,
        "summary": f"functions of {named(coordinates)}; the ensembles were {divergence:.3f} bit apart along them",
    }
    return Correction(start.with_values(values), recipe="match_populations", report=report)


@final
@dataclass(frozen=True, eq=False)
class _Classes:
    """Functions with coefficient 1, as −φ/kT, in the frames of the force field and in those of the reference."""

    sampled: Floats
    reference: Floats

    def curvature(self) -> Floats:
        """Second derivative of the loss by the coefficients, at zero."""
        return sum((rows - rows.mean(axis=0)).T @ (rows - rows.mean(axis=0)) / (4 * len(rows)) for rows in self._both())

    def part(self, number: int, *, without: bool) -> _Classes:
        """One block of time of both ensembles, or all but this block."""
        chosen = []
        for rows in self._both():
            inside = np.zeros(len(rows), dtype=bool)
            inside[np.array_split(np.arange(len(rows)), FOLDS)[number]] = True
            chosen.append(rows[inside != without])
        return _Classes(*chosen)

    def loss(self, x: Floats) -> float:
        """⟨ln(1 + e^−u)⟩_ref + ⟨ln(1 + e^u)⟩_sampled with u = x₀ + rows·x."""
        sampled, reference = (x[0] + rows @ x[1:] for rows in self._both())
        return float(np.logaddexp(0.0, sampled).mean() + np.logaddexp(0.0, -reference).mean())

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
        return self.sampled, self.reference


def _left_out_losses(data: _Classes, penalties: Sequence[Floats]) -> Floats:
    """Loss (n_folds, n_penalties) of each block of time under the functions that were fitted to the other blocks.

    The loss is infinite where the regression does not converge: in a few frames the ensembles can be apart altogether,
    and a weak penalty then hardly holds the functions.
    """
    losses = np.full((FOLDS, len(penalties)), np.inf)
    for fold in range(FOLDS):
        left_out, others = data.part(fold, without=False), data.part(fold, without=True)
        for number, penalty in enumerate(penalties):
            with suppress(NumericalError):
                losses[fold, number] = left_out.loss(_solve(others, penalty))
    return losses


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
            hint="use fewer pieces, a smaller order, or more frames",
        )
    return np.asarray(found.x)


def _energies(start: ForceField, positions: Floats) -> Floats:
    """Energies (n_frames, n_fitted) of the functions with coefficient 1."""
    internal = start.module().internal
    found = np.zeros((len(positions), int(start.parameters.fitted.sum())))
    for first in range(0, len(positions), _BATCH):
        q, _ = internal(torch.tensor(positions[first : first + _BATCH]))
        for _, columns, values, _ in designs(start, q):
            found[first : first + len(q), columns.numpy()] += values.numpy()
    return found
