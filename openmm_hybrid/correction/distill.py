"""The distilled recipe: the residual as functions of few coordinates, which OpenMM evaluates without torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.least_squares import (
    NormalEquations,
    left_out_errors,
    smallest_error,
    strongest_within_error,
)
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.correction import smoothness
from openmm_hybrid.correction.functions import FOLDS, Entry, designs, functions, named, parse
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.diagnose.coordinates import torsional_displacements
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.model import ForceFieldModule
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.residual import residual
from openmm_hybrid.models_io.correction import Correction

Floats = NDArray[np.float64]

_LABELS = {
    "torsional": "the residual forces along rotations about bonds",
    "forces": "the residual forces",
    "energies": "the residual energies",
}
_TOLERANCE = 0.01  # largest excess over the smallest error, relative to it, of the penalty that is chosen
_RIDGE = 1e-9  # of the mean diagonal element: determines what forces leave open, such as a spline's constant
_ROUNDING = 1e-12  # squared slopes per frame that are rounding errors
_BATCH = 64  # number of frames in a batch


def distill(
    forcefield: EnergyModel,
    frames: Frames,
    along: Sequence[Entry],
    *,
    molecule: Molecule | None = None,
    reference: EnergyModel | None = None,
    labels: str = "torsional",
    pieces: int = 12,
    order: int = 5,
    progress: bool = True,
) -> Correction:
    """The mean residual along chosen coordinates, as splines and Fourier series.

    The coefficients c minimise Σ ‖Uᵀ(ΔF + Σ_k c_k ∂φ_k/∂r)‖² + s cᵀ P c over frames. The columns of U are the
    orthonormal rotations about bonds (`openmm_hybrid.diagnose.coordinates.torsional_displacements`), P penalises
    curvature, and five-fold cross-validation chooses s. A function of one coordinate is a `Spline`, one of two
    coordinates a `Fourier2D`. Each is applied to all images of its atoms under the symmetries of the molecule's graph,
    and has the same value for a mirror image.

    Parameters
    ----------
    forcefield : EnergyModel
    frames : Frames
        Labelled frames, or geometries alone if `reference` labels them.
    along : sequence
        One entry per function: atoms (2, 3 or 4 of them: a distance, angle or dihedral), or a pair of these for a
        function of two coordinates. ``[(8, 10), ((5, 6, 12, 11), (6, 5, 10, 7))]`` makes two functions and adds them.
    molecule : Molecule, optional
        Source of the bonds, which are otherwise found from the distances.
    reference : EnergyModel, optional
        Model that labels the frames.
    labels : {"torsional", "forces", "energies"}
        What is fitted: the forces along rotations about bonds; all forces (for angles, or if no bond can rotate); or
        the energies, whose mean is to first order the missing free energy, but which need many more frames (see
        docs/corrections.md).
    pieces, order : int
        Number of pieces of a spline, and order of a Fourier series.
    progress : bool
        Whether to show the progress.

    Returns
    -------
    Correction
        Its model is a `ForceField` of these functions alone, on all atoms. Its report has "along" (the atoms of each
        function), "labels", "smoothness" (s), and "share": the part of the labels' squares (energies: less their mean)
        that the functions explain in frames that they were not fitted to.

    Raises
    ------
    InputError
        An entry is not a coordinate, no motion changes the coordinates, there are too few frames, or a setting is
        unknown.
    MismatchError
        The force field, the frames and the reference have different atoms.
    """
    if labels not in _LABELS:
        raise InputError(f"labels = {labels!r}", expected=f"one of {', '.join(map(repr, _LABELS))}")
    coordinates = parse(along, frames.n_atoms)
    if len(frames) < 2 * FOLDS:
        raise InputError(f"{len(frames)} frames", expected=f"{2 * FOLDS} or more")
    rest = residual(forcefield, frames, reference=reference)
    start = functions(frames, molecule, coordinates, pieces, order)
    coefficients, strength, share = _fitted(start, rest, labels, progress)
    values = start.parameters.values.copy()
    values[start.parameters.fitted] = coefficients
    text = (
        f"functions of {named(coordinates)} explain {share:.1%} of the squares of {_LABELS[labels]} in frames left out"
    )
    report = {"along": coordinates, "labels": labels, "smoothness": strength, "share": share, "summary": text}
    return Correction(start.with_values(values), recipe="distill", report=report)


def _fitted(start: ForceField, rest: Frames, labels: str, progress: bool) -> tuple[Floats, float, float]:
    """Coefficients (n_fitted,) in kcal/mol, the strength of the penalty, and the share that is explained."""
    folds = _folds(start, rest, labels, progress)
    total = NormalEquations.total(folds)
    if total.gram.trace() <= _ROUNDING * len(rest):
        raise InputError(
            "no rotation about a bond changes these coordinates", hint="fit labels='forces', or other coordinates"
        )
    if total.square <= 0.0:
        raise InputError("there is no residual", expected="a reference that differs from the force field")
    penalties = smoothness.penalties(start, total.gram)
    errors = left_out_errors(folds, penalties, ridge=_RIDGE)
    # Energies scatter with all other coordinates: a tolerance relative to their error would smooth everything away.
    best = smallest_error(errors) if labels == "energies" else strongest_within_error(errors, _TOLERANCE)
    share = 1.0 - float(errors[:, best].sum()) / total.square
    return total.solve(penalties[best], ridge=_RIDGE), smoothness.STRENGTHS[best], share


def _folds(start: ForceField, rest: Frames, labels: str, progress: bool) -> list[NormalEquations]:
    """Normal equations of random folds of the frames."""
    energies, forces = rest.labels()
    n_fitted = int(start.parameters.fitted.sum())
    module = start.module()
    order = np.random.default_rng(0).permutation(len(rest))
    folds = []
    with progress_bar(len(rest), "distilling", "frames", enabled=progress) as advance:
        for fold in np.array_split(order, FOLDS):
            parts, energy_rows = [], []
            for batch in np.array_split(fold, -(-len(fold) // _BATCH)):
                values, rows = _rows(module, start, rest.positions[batch])
                energy_rows.append(values)
                y = forces[batch].reshape(len(batch), -1, 1)
                if labels == "torsional":
                    u = torsional_displacements(rest.positions[batch], start.bonds).transpose(0, 2, 1)
                    rows, y = u @ rows, u @ y
                parts.append(NormalEquations.of(rows.reshape(-1, n_fitted), y.ravel()))
                advance(len(batch))
            if labels == "energies":  # each fold has a constant of its own
                values = np.concatenate(energy_rows)
                y = energies[fold] - energies[fold].mean()
                parts = [NormalEquations.of(values - values.mean(axis=0), y)]
            folds.append(NormalEquations.total(parts))
    return folds


def _rows(module: ForceFieldModule, start: ForceField, positions: Floats) -> tuple[Floats, Floats]:
    """Energies (n_frames, n_fitted) and forces (n_frames, 3 n_atoms, n_fitted) of the functions with coefficient 1."""
    q, jacobian = module.internal.jacobian(torch.tensor(positions))
    n_fitted = int(start.parameters.fitted.sum())
    energies = torch.zeros(len(positions), n_fitted, dtype=torch.float64)
    forces = torch.zeros(len(positions), jacobian.shape[2], n_fitted, dtype=torch.float64)
    for coordinates, columns, values, slopes in designs(start, q):
        energies[:, columns] += values
        forces[:, :, columns] -= torch.einsum("ftqn,ftqx->fxn", slopes, jacobian[:, coordinates])
    return energies.numpy(), forces.numpy()
