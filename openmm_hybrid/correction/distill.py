"""The distilled recipe: the mean residual along few coordinates as functions that OpenMM evaluates itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid import geometry
from openmm_hybrid.correction.forces_fit import FOLDS, fit
from openmm_hybrid.correction.residual import bonds_of, residual
from openmm_hybrid.errors import InputError
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forms.base import FunctionalForm
from openmm_hybrid.forms.spline import Spline
from openmm_hybrid.forms.waves import Waves
from openmm_hybrid.frames import Frames
from openmm_hybrid.models.base import EnergyModel
from openmm_hybrid.molecule import Molecule
from openmm_hybrid.sgdml import training_set

Floats = NDArray[np.float64]
Atoms = tuple[int, ...]
_LABELS = {
    "turns": "residual forces along turns about bonds",
    "forces": "residual forces",
    "energies": "residual energies",
}
_KINDS = {2: "distance", 3: "angle", 4: "dihedral"}


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
        names = ", ".join(" × ".join("-".join(map(str, atoms)) for atoms in term) for term in self.along)
        kind = _LABELS[self.labels]
        return f"functions of {names}: {self.share:.1%} of the squares of {kind} explained in frames left out"


def distill(
    force_field: EnergyModel,
    frames: Frames,
    along: Sequence[Sequence[int] | Sequence[Sequence[int]]],
    *,
    molecule: Molecule | None = None,
    reference: EnergyModel | None = None,
    labels: str = "turns",
    pieces: int = 12,
    order: int = 5,
    show: bool = True,
) -> Distilled:
    """The mean residual along chosen coordinates, as splines and Fourier series.

    The coefficients c minimise Σ ‖Uᵀ(ΔF + Σ_k c_k ∂φ_k/∂r)‖² + s Σ (penalty of curvature) over frames, U the
    orthonormal turns about bonds (see `openmm_hybrid.correction.motions.turns`), and s by five-fold cross-validation.
    Functions of one coordinate are `Spline`, of two `Waves`; each is put on all images of its atoms under the
    symmetries of the molecule's graph, and is the same for a mirror image.

    Parameters
    ----------
    force_field : EnergyModel
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
    show : bool
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
    terms = tuple(_coordinates(entry, frames.n_atoms) for entry in along)
    if not terms or len(frames) < 2 * FOLDS:
        raise InputError(
            f"{len(terms)} functions and {len(frames)} frames",
            expected=f"one function and {2 * FOLDS} frames, or more",
        )
    bonds = bonds_of(frames, molecule)
    rest = residual(force_field, frames, reference=reference)
    perms = training_set(rest[: 2 * FOLDS], molecule=molecule, draw="random").perms
    start = _start(frames, bonds, terms, perms, pieces, order)
    solution = fit(start, rest, labels, bonds, show=show)
    values = start.parameters.values.copy()
    values[start.parameters.fitted] = solution.coefficients
    return Distilled(start.with_values(values), terms, solution.smoothness, solution.share, labels)


def _coordinates(entry: Sequence[int] | Sequence[Sequence[int]], n_atoms: int) -> tuple[Atoms, ...]:
    """One or two tuples of atoms from an entry of `along`."""
    given: Any = entry
    try:
        rows = given if isinstance(given[0], Sequence | np.ndarray) else [given]
        found = tuple(tuple(int(atom) for atom in row) for row in rows)
    except (TypeError, ValueError, IndexError):
        found = ()
    good = 1 <= len(found) <= 2 and all(
        len(part) in _KINDS and len(set(part)) == len(part) and min(part) >= 0 and max(part) < n_atoms for part in found
    )
    if not good:
        raise InputError(
            f"the coordinate {entry!r}",
            expected=f"2, 3 or 4 different atoms of 0 to {n_atoms - 1}, or a pair of such",
        )
    return found


def _start(
    frames: Frames,
    bonds: NDArray[np.int64],
    terms: Sequence[tuple[Atoms, ...]],
    perms: NDArray[np.int64],
    pieces: int,
    order: int,
) -> ForceField:
    """The functions at zero, with the sampled ranges."""
    builder = Builder(frames.atomic_numbers, bonds, name=frames.name)
    for number, coordinates in enumerate(terms):
        atoms = tuple(dict.fromkeys(atom for part in coordinates for atom in part))
        form: FunctionalForm
        if len(coordinates) == 1:
            form = Spline(_KINDS[len(atoms)], pieces=pieces)
        else:
            texts = [f"{_KINDS[len(part)]} {' '.join(str(atoms.index(atom)) for atom in part)}" for part in coordinates]
            form = Waves(texts[0], texts[1], order=order)
        images: dict[tuple[Atoms, ...], Atoms] = {}
        for perm in perms.tolist():
            key = tuple(min(own, own[::-1]) for own in (tuple(perm[atom] for atom in part) for part in coordinates))
            images.setdefault(key, tuple(perm[atom] for atom in atoms))
        (row,) = form.start(1).tolist()
        ends = []
        for place, part in enumerate(coordinates):
            if len(part) < 4:
                values = _values(frames, [key[place] for key in images])
                ends += [float(values.min()), float(values.max())]
        row[: len(ends)] = ends
        builder.add(f"distilled.{number}", form, dict.fromkeys(images.values(), row))
    return builder.finish()


def _values(frames: Frames, parts: Sequence[Atoms]) -> Floats:
    function = geometry.distance if len(parts[0]) == 2 else geometry.angle
    return function(frames.positions, list(parts))
