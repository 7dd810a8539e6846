"""The distilled recipe: the mean residual along few coordinates as functions that OpenMM evaluates itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.correction.coordinates import Atoms, Entry, coordinates, described, functions
from openmm_hybrid.correction.force_matching import FOLDS, fit
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.residual import residual

_LABELS = {
    "turns": "residual forces along turns about bonds",
    "forces": "residual forces",
    "energies": "residual energies",
}


@final
@dataclass(frozen=True, eq=False)
class Distilled:
    """Functions of few coordinates. Made by `distill`.

    Parameters
    ----------
    model : ForceField
        These functions alone, on all atoms of the molecule; add it to a System with `attach`.
    along : tuple
        The coordinates of each function: one or two tuples of atoms.
    smoothness : float
        The penalty that cross-validation chose.
    share : float
        Part of the squares of the labels that the functions take away from frames that they were not fitted to.
    labels : {"turns", "forces", "energies"}
    """

    model: ForceField
    along: tuple[tuple[Atoms, ...], ...]
    smoothness: float
    share: float
    labels: str = field(repr=False)

    def summary(self) -> str:
        """One line for a reader."""
        share = f"{self.share:.1%} of the squares of {_LABELS[self.labels]}"
        return f"functions of {described(self.along)}: {share} explained in frames left out"


def distill(
    forcefield: EnergyModel,
    frames: Frames,
    along: Sequence[Entry],
    *,
    molecule: Molecule | None = None,
    reference: EnergyModel | None = None,
    labels: str = "turns",
    pieces: int = 12,
    order: int = 5,
    progress: bool = True,
) -> Distilled:
    """The mean residual along chosen coordinates, as splines and Fourier series.

    The coefficients c minimise Σ ‖Uᵀ(ΔF + Σ_k c_k ∂φ_k/∂r)‖² + s Σ (penalty of curvature) over frames, U the
    orthonormal turns about bonds (see `openmm_hybrid.diagnose.motions.turns`), and s by five-fold cross-validation.
    Functions of one coordinate are `Spline`, of two `Fourier2D`; each is put on all images of its atoms under the
    symmetries of the molecule's graph, and is the same for a mirror image.

    Parameters
    ----------
    forcefield : EnergyModel
    frames : Frames
        Labelled, or geometries alone where `reference` labels them.
    along : sequence
        One entry a function: atoms (2, 3 or 4 of them: a distance, angle or dihedral), or a pair of such for a function
        of two coordinates. ``[(8, 10), ((5, 6, 12, 11), (6, 5, 10, 7))]`` makes two functions, which are summed.
    molecule : Molecule, optional
        Gives the bonds; else they are taken from the distances.
    reference : EnergyModel, optional
        A model as the reference.
    labels : {"turns", "forces", "energies"}
        Fit forces along turns about bonds; all forces (for angles, or where nothing turns); or the energies, whose mean
        is the free energy that is missing, to first order, but which take many more frames (see docs/corrections.md).
    pieces, order : int
        Of the splines and of the series.
    progress : bool
        Show the progress.

    Raises
    ------
    InputError
        Coordinates that are none, or that no motion changes; too few frames; an unknown setting.
    MismatchError
        The parts are of other atoms.
    """
    if labels not in _LABELS:
        raise InputError(f"labels = {labels!r}", expected=f"one of {', '.join(map(repr, _LABELS))}")
    terms = coordinates(along, frames.n_atoms)
    if len(frames) < 2 * FOLDS:
        raise InputError(f"{len(frames)} frames", expected=f"{2 * FOLDS} or more")
    rest = residual(forcefield, frames, reference=reference)
    start = functions(frames, molecule, terms, pieces, order)
    solution = fit(start, rest, labels, start.bonds, progress=progress)
    values = start.parameters.values.copy()
    values[start.parameters.fitted] = solution.coefficients
    return Distilled(start.with_values(values), terms, solution.smoothness, solution.share, labels)
